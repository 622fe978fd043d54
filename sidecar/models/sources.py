"""Finds a model's weights: an installed package, a folder, an archive, or the Hugging Face hub.

For every source the result is a folder on disk. Nothing here imports torch, so a configuration is
checked in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from sidecar.config.main_file import Model
from sidecar.models.archives import ENDINGS, check_archive, default_archives, unpack_archive
from sidecar.models.package_files import list_package_files
from sidecar.models.static_tables import TableFiles, find_in_folder, find_in_package

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
# Files that affect a model's numbers; read-me files and copies for other runtimes do not.
_DECIDING = (".json", ".txt", ".safetensors", ".bin", ".model")
# Names of an ONNX graph, as transformers' exporters write it, the first that exists.
_GRAPHS = ("onnx/model.onnx", "model.onnx")
# Copies of the weights for other libraries.
_NOT_FOR_TORCH = ("onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.mlpackage/*")


def check_source(model: Model, base_dir: Path) -> str | None:
    """What is wrong with a model's source, in one line; None if nothing is.

    `base_dir` is the folder of the configuration file. Of a hub id only the form is checked, since
    the rest needs the network.
    """
    if not model.has_files:
        return None
    try:
        if model.kind == "static":
            _find_local_table(model, base_dir)
            return None
        archive = _archive(model.source, base_dir)
        if archive is not None:
            _check_backend(model, archive)
            check_archive(archive)
            return None
        folder = _local_folder(model.source, base_dir)
        if folder is not None:
            _check_folder(model, folder)
    # RuntimeError: ~NAME of an account that does not exist.
    except (OSError, RuntimeError, ValueError) as error:
        return str(error)
    return None


def find_weights(model: Model, base_dir: Path) -> Path:
    """The folder of a model's weights. A hub model is downloaded if it is not on disk.

    A hub model that is on disk is used without a request to the hub, so a restart needs no network;
    name a revision to get another version. Raises ValueError for a wrong source and OSError if the
    hub cannot be reached, both with what to do.
    """
    if model.kind == "static":
        return find_table(model, base_dir).folder
    archive = _archive(model.source, base_dir)
    if archive is not None:
        _check_backend(model, archive)
        return unpack_archive(archive, default_archives())
    folder = _local_folder(model.source, base_dir)
    if folder is None:
        folder = _fetch(model.source, model.revision)
    _check_folder(model, folder)
    return folder


def find_table(model: Model, base_dir: Path) -> TableFiles:
    """The files of a static model. Downloads and raises as `find_weights` does."""
    files = _find_local_table(model, base_dir)
    return files or find_in_folder(_fetch(model.source, model.revision))


def _find_local_table(model: Model, base_dir: Path) -> TableFiles | None:
    """The files of a static model in a package or folder, None for a hub id; raises ValueError."""
    if model.source.startswith(_PACKAGE):
        return find_in_package(model.source.removeprefix(_PACKAGE))
    if _archive(model.source, base_dir) is not None:
        raise ValueError("a static model is read from a folder, a package or the hub, not a file")
    folder = _local_folder(model.source, base_dir)
    return None if folder is None else find_in_folder(folder)


def list_files(model: Model, base_dir: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of the files of a model on this machine, to see whether they changed.

    Empty for a model of the hub or of a package, whose revision or version says that.
    """
    if not model.has_files or not model.source.startswith((".", "/", "~")):
        return ()
    place = (base_dir / Path(model.source).expanduser()).resolve()
    try:
        paths = sorted(place.rglob("*")) if place.is_dir() else [place]
        stats = [(path, path.stat()) for path in paths if path.is_file()]
    except OSError:
        return ()
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def content_digest(folder: Path) -> str:
    """Digest of every file that affects the model's numbers, by relative name and content.

    Times and paths do not count, so a copied or rebuilt container keeps its vectors.
    """
    whole = hashlib.blake2b(digest_size=16)
    graph = find_onnx(folder)
    for path in sorted(folder.rglob("*")):
        if (path.suffix in _DECIDING or path == graph) and path.is_file():
            whole.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "blake2b").digest())
    return whole.hexdigest()


def find_onnx(folder: Path) -> Path | None:
    """The ONNX graph that a model is read from, None if there is none."""
    graphs = [folder / name for name in _GRAPHS if (folder / name).is_file()]
    return next(iter(graphs or sorted(folder.glob("*.onnx"))), None)


def _archive(source: str, base_dir: Path) -> Path | None:
    """The jar or zip file that a source names; None if it names none."""
    if not source.startswith((".", "/", "~")) or not source.endswith(ENDINGS):
        return None
    path = (base_dir / Path(source).expanduser()).resolve()
    if path.is_dir():
        return None
    if not path.is_file():
        raise ValueError(f"there is no file {path}; source is relative to the main file")
    return path


def _local_folder(source: str, base_dir: Path) -> Path | None:
    """The folder that a source names, None for a hub id; raises ValueError if it is missing."""
    if source.startswith(_PACKAGE):
        return _package_folder(source.removeprefix(_PACKAGE))
    if source.startswith((".", "/", "~")):
        folder = (base_dir / Path(source).expanduser()).resolve()
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}; source is relative to the main file")
        return folder
    if not _HUB_ID.fullmatch(source):
        raise ValueError(
            f"{source!r} is no source; write a hub id as ORGANISATION/NAME, a folder as ./FOLDER, "
            "a jar or zip file as ./FILE.jar, or package:NAME"
        )
    return None


def _package_folder(name: str) -> Path:
    files = list_package_files(name)
    # A folder with modules.json is the whole model; its parts have a config.json of their own.
    for marker in ("modules.json", "config.json", "tokenizer.json"):
        folders = {file.parent for file in files if file.name == marker}
        whole = sorted(folder for folder in folders if _missing(folder) is None)
        if len(whole) == 1:
            return whole[0]
        if whole:
            raise ValueError(
                f"package {name!r} has several models; name one of them as a folder: "
                + ", ".join(map(str, whole))
            )
    raise ValueError(
        f"package {name!r} carries no model: no config.json with weights beside it, "
        "and no tokenizer.json with an ONNX graph"
    )


def _check_folder(model: Model, folder: Path) -> None:
    if missing := _missing(folder):
        raise ValueError(f"{folder} holds no whole model: {missing}")
    if model.pooling is not None and (folder / "modules.json").is_file():
        raise ValueError(f"the files in {folder} say the model's pooling; leave out pooling")
    if not _has_torch_weights(folder):
        _check_backend(model, folder)
        if not (folder / "config.json").is_file():
            return  # the graph's answer tells which kind it is, when the model is prepared
    scores_pairs = _scores_pairs(folder)
    if model.kind == "cross-encoder" and not scores_pairs:
        # sentence-transformers would give it a head of random numbers and score with that.
        raise ValueError(f"{folder} is no cross-encoder: it has no scoring head; use a bi-encoder")
    if model.kind == "bi-encoder" and scores_pairs:
        raise ValueError(f"{folder} is a cross-encoder; write kind: cross-encoder")


def _check_backend(model: Model, place: Path) -> None:
    """Refuse a backend that does not read ONNX graphs."""
    if model.backend != "openvino":
        raise ValueError(
            f"{place} has an ONNX graph and no weights for {model.backend}; write backend: openvino"
        )


def _has_torch_weights(folder: Path) -> bool:
    body = folder
    modules = _read_json(folder / "modules.json")
    if isinstance(modules, list) and modules:
        body = folder / str(modules[0].get("path", ""))
    return any((body / name).is_file() for name in _WEIGHTS)


def _scores_pairs(folder: Path) -> bool:
    """Whether a model says that it is a cross-encoder, or else has the head of one."""
    declared = _read_object(folder / "config_sentence_transformers.json").get("model_type")
    if declared in ("CrossEncoder", "SentenceTransformer"):
        return bool(declared == "CrossEncoder")
    # A generative reranker scores by its words "yes" and "no". A bi-encoder may have the same body;
    # its modules.json says what comes after it.
    whole_model = (folder / "modules.json").is_file()
    heads = ("ForSequenceClassification",) if whole_model else _HEADS
    architectures = _read_object(folder / "config.json").get("architectures") or []
    return any(str(name).endswith(heads) for name in architectures)


def _missing(folder: Path) -> str | None:
    """What a folder lacks to be a whole model; None if it lacks nothing."""
    if find_onnx(folder) and (folder / "tokenizer.json").is_file():
        return None
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
    """The parsed file; an empty object if it is absent, None if it cannot be read."""
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
