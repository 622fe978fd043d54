"""Prepared models on disk, a folder for each; its name is a digest of all that affects it.

      prepared/KEY/manifest.json     what the folder contains
                   original.npy      the original's scores of the bundled passages
                   verdict-*.json    a file for each kind of processor: how the model is computed
                                     there, and how closely it ranks
                   tokenizer.json
                   graph-FORM.xml, graph-FORM.bin, words.npy     for OpenVINO, or
                   graph.onnx                                    for ONNX Runtime
                   readings.npz      a bi-encoder's vector of each word piece, for its student

FORM is how weights are stored: `int8`, `bf16` (any floats of two bytes) or `f32`, or `int8-fixed`,
where the graph also has scales for activations. With `precision: auto` there are all but `bf16`,
because which is fastest depends on the processor.

A folder is renamed into place in one step, when it is whole. So two processes may prepare the same
model at the same time, and a process that dies leaves no half of a model under a valid name.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from sidecar.config.main_file import Model
from sidecar.models.known_models import find_reading
from sidecar.models.sources import content_digest

# Raise it with each change that prepares a model differently, such as other bundled passages.
_FORMAT = 5
_MANIFEST = "manifest.json"
_ABANDONED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Parity:
    """How closely a prepared model ranks the bundled passages like the original."""

    queries: int
    passages: int
    """Passages for each query."""

    spearman_mean: float
    spearman_min: float
    top_10: float
    """Share of the original's ten best passages that are among the prepared model's ten best."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a prepared folder contains and how to use it."""

    kind: str
    backend: str
    precision: str
    """The configured one: `auto`, `int8`, `bf16` or `f32`."""

    forms: tuple[str, ...]
    """How weights are stored, a graph for each: `int8`, `bf16`, `f32`, `int8-fixed`."""

    max_tokens: int
    dimensions: int
    """Length of a vector; 1 for a cross-encoder."""

    pad_id: int
    reads_types: bool
    """Whether the graph reads token types, which distinguish query text and passage."""

    query_prompt: str
    passage_prompt: str


def default_cache() -> Path:
    """The folder of prepared models if the configuration names none."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "rescore-sidecar"


def prepared_key(model: Model, folder: Path) -> str:
    """The name of a model's prepared folder: a digest of weights and settings."""
    settings = {
        "format": _FORMAT,
        "weights": content_digest(folder),
        "kind": model.kind,
        "backend": model.backend,
        "precision": model.precision,
        "max_tokens": model.max_tokens,
        "reading": asdict(find_reading(model, folder)),
    }
    return blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16).hexdigest()


def find_prepared(key: str, cache: Path | None) -> Path | None:
    """The prepared folder of a key, in `cache` or in the default cache; None if there is none."""
    for root in (cache, default_cache()):
        if root is not None and (folder := root / "prepared" / key).is_dir():
            return folder
    return None


def read_manifest(folder: Path) -> Manifest:
    """Read a prepared folder's manifest; raises OSError or ValueError if it is damaged."""
    try:
        values = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return Manifest(**{**values, "forms": tuple(values["forms"])})
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{folder} is damaged; delete it and prepare the model again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, as the last file of the folder."""
    text = json.dumps(asdict(manifest), indent=1) + "\n"
    (folder / _MANIFEST).write_text(text, encoding="utf-8")


@contextmanager
def new_prepared(key: str, cache: Path | None) -> Iterator[Path]:
    """An empty folder to prepare in. It is renamed into place at the end, but not after an error.

    If another process was faster, its folder stays and this folder is deleted.
    """
    root = (cache or default_cache()) / "prepared"
    root.mkdir(parents=True, exist_ok=True)
    for path in root.glob(".*-*"):  # left by killed processes
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=root))
    try:
        yield unfinished
        unfinished.chmod(0o755)  # mkdtemp allows only the owner; an image may run as another user
        for path in (*unfinished.iterdir(), unfinished):
            _flush(path)
        try:
            unfinished.rename(root / key)
        except OSError:
            if not (root / key / _MANIFEST).is_file():
                raise
        _flush(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
