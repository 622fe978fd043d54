"""Where a model's weights are: an installed package, a folder, or the Hugging Face hub.

Whatever the source, the result is a folder on disk. Nothing here imports torch, so that a
configuration is checked in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from sidecar.config import Model

_PACKAGE = "package:"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_HEADS = ("ForSequenceClassification", "ForCausalLM")
# A tokenizer's own file; SentencePiece models have names of their own that end in .model.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
# What decides a model's numbers; read-me files and other runtimes' copies do not.
_DECIDING = (".json", ".txt", ".safetensors", ".bin", ".model")
# Copies of the weights for other libraries.
_NOT_FOR_TORCH = ("onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.mlpackage/*")


def check_source(model: Model, base_dir: Path) -> str | None:
    """What is wrong with a model's source, in one line; None when nothing is.

    `base_dir` is the folder of the configuration file. A hub id cannot be checked without the
    network, only its form.
    """
    if model.backend == "fake":
        return None
    try:
        folder = _local_folder(model.source, base_dir)
        if folder is not None:
            _check_folder(model, folder)
    # RuntimeError: ~NAME of an account that does not exist.
    except (OSError, RuntimeError, ValueError) as error:
        return str(error)
    return None


def find_weights(model: Model, base_dir: Path) -> Path:
    """The folder of a model's weights; a hub model is downloaded unless it is here already.

    A hub model that is on disk is used without asking the hub again, so a restart needs no
    network; name a revision to get another. Raises ValueError for a wrong source and OSError
    when the hub cannot be reached, both with what to do about it.
    """
    folder = _local_folder(model.source, base_dir)
    if folder is None:
        folder = _fetch(model.source, model.revision)
    _check_folder(model, folder)
    return folder


def content_digest(folder: Path) -> str:
    """Digest of every file that decides the model's numbers, by relative name and content.

    Times and paths do not count, so that a copied or rebuilt container keeps its vectors.
    """
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.suffix in _DECIDING and path.is_file():
            whole.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "blake2b").digest())
    return whole.hexdigest()


def _local_folder(source: str, base_dir: Path) -> Path | None:
    """The folder that a source names, None for a hub id; ValueError when there is none."""
    if source.startswith(_PACKAGE):
        return _package_folder(source.removeprefix(_PACKAGE))
    if source.startswith((".", "/", "~")):
        folder = (base_dir / Path(source).expanduser()).resolve()
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}; source is seen from the main file")
        return folder
    if not _HUB_ID.fullmatch(source):
        raise ValueError(
            f"{source!r} is no source; write a hub id as ORGANISATION/NAME, a folder as ./FOLDER, "
            "or package:NAME"
        )
    return None


def _package_folder(name: str) -> Path:
    try:
        files = distribution(name).files or []
    except (PackageNotFoundError, ValueError):
        raise ValueError(f"package {name!r} is not installed; run: pip install {name}") from None
    # A folder with modules.json is the whole model; its parts have a config.json of their own.
    for marker in ("modules.json", "config.json"):
        folders = {Path(str(file.locate())).parent for file in files if file.name == marker}
        whole = sorted(folder for folder in folders if _missing(folder) is None)
        if len(whole) == 1:
            return whole[0]
        if whole:
            raise ValueError(
                f"package {name!r} carries several models; name one of them as a folder: "
                + ", ".join(map(str, whole))
            )
    raise ValueError(f"package {name!r} carries no model: no config.json with weights beside it")


def _check_folder(model: Model, folder: Path) -> None:
    if missing := _missing(folder):
        raise ValueError(f"{folder} holds no whole model: {missing}")
    scores_pairs = _scores_pairs(folder)
    if model.kind == "cross-encoder" and not scores_pairs:
        # The library would give it a head of random numbers and score with that.
        raise ValueError(f"{folder} is no cross-encoder: it has no scoring head; use a bi-encoder")
    if model.kind == "bi-encoder" and scores_pairs:
        raise ValueError(f"{folder} is a cross-encoder; write kind: cross-encoder")


def _scores_pairs(folder: Path) -> bool:
    """Whether a model says that it is a cross-encoder, or else has the head of one."""
    declared = _read_object(folder / "config_sentence_transformers.json").get("model_type")
    if declared in ("CrossEncoder", "SentenceTransformer"):
        return bool(declared == "CrossEncoder")
    # A generative reranker is scored by its words "yes" and "no"; a bi-encoder may have the same
    # body, and says with its modules.json what comes after it.
    whole_model = (folder / "modules.json").is_file()
    heads = ("ForSequenceClassification",) if whole_model else _HEADS
    architectures = _read_object(folder / "config.json").get("architectures") or []
    return any(str(name).endswith(heads) for name in architectures)


def _missing(folder: Path) -> str | None:
    """What a folder lacks to be a model that sentence-transformers loads; None when whole."""
    body = folder
    needs_config = True
    if (folder / "modules.json").is_file():
        modules = _read_json(folder / "modules.json")
        if not isinstance(modules, list) or not modules or not isinstance(modules[0], dict):
            return "modules.json is damaged"
        body = folder / str(modules[0].get("path", ""))
        needs_config = str(modules[0].get("type", "")).endswith("Transformer")
    if needs_config and not (body / "config.json").is_file():
        return f"{body.name}/config.json is missing"
    if needs_config and not isinstance(_read_json(body / "config.json"), dict):
        return f"{body.name}/config.json is damaged"
    if not any((body / name).is_file() for name in _WEIGHTS):
        return f"no weights, such as {body.name}/{_WEIGHTS[0]}"
    if not any(any(place.glob(name)) for place in (body, folder) for name in _TOKENIZERS):
        return f"no tokenizer, such as {body.name}/{_TOKENIZERS[0]}"
    return None


def _read_json(path: Path) -> Any:
    """The parsed file; an empty object when it is absent, None when it cannot be read."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _read_object(path: Path) -> dict[str, Any]:
    value = _read_json(path)
    return value if isinstance(value, dict) else {}


def _fetch(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(hub_id, revision=revision, ignore_patterns=[*_NOT_FOR_TORCH]))
    except LocalEntryNotFoundError as error:
        raise OSError(
            f"{hub_id!r} is not on disk and the Hugging Face hub cannot be reached; run "
            f"`hf download {hub_id}` where it can and copy the folder here, then write "
            "source: ./FOLDER"
        ) from error
    except HfHubHTTPError as error:
        raise OSError(
            f"the Hugging Face hub does not give {hub_id!r}: {str(error).splitlines()[0]}; check "
            "the name and revision, and for a private model run `hf auth login`"
        ) from error
