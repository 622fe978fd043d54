"""Prepared models on disk: a folder each, under a key of all that decides its content.

      prepared/KEY/manifest.json     what it is, and how near the original it ranks
                   tokenizer.json
                   graph.xml, graph.bin, words.npy     for OpenVINO, or
                   graph.onnx                          for ONNX Runtime

A folder takes its place in one step, whole, so that two processes may prepare the same model at
once and one that dies leaves nothing that another would take for a model.
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

from sidecar.config import Model
from sidecar.models.sources import content_digest

# To be raised with anything that prepares a model differently.
_FORMAT = 1
_MANIFEST = "manifest.json"
_ABANDONED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Parity:
    """How a prepared model ranks the bundled passages, against the original."""

    queries: int
    passages: int
    """For each query."""

    spearman_mean: float
    spearman_min: float
    top_10: float
    """Share of the original's ten best passages that are among the ten best."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a prepared folder holds and how it is read."""

    kind: str
    backend: str
    precision: str
    """`int8`, `bf16` or `f32`: what came out of it, never `auto`."""

    max_tokens: int
    dimensions: int
    """Length of a vector; 1 for a cross-encoder."""

    pad_id: int
    reads_types: bool
    """Whether the graphs read token types, which tell query text from passage."""

    query_prompt: str
    passage_prompt: str
    parity: Parity


def default_cache() -> Path:
    """Where prepared models are kept when the configuration names no folder."""
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
    }
    return blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16).hexdigest()


def find_prepared(key: str, cache: Path | None) -> Path | None:
    """The whole prepared folder of a key, in `cache` or else in the default one."""
    for root in (cache, default_cache()):
        if root is not None and (folder := root / "prepared" / key).is_dir():
            return folder
    return None


def read_manifest(folder: Path) -> Manifest:
    """What a prepared folder says of itself; raises OSError or ValueError when it is damaged."""
    try:
        values = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return Manifest(**{**values, "parity": Parity(**values["parity"])})
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{folder} is damaged; delete it and prepare the model again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it down, as the last file of the folder."""
    text = json.dumps(asdict(manifest), indent=1) + "\n"
    (folder / _MANIFEST).write_text(text, encoding="utf-8")


@contextmanager
def new_prepared(key: str, cache: Path | None) -> Iterator[Path]:
    """An empty folder to prepare in; it takes its place at the end, unless an error is raised.

    When another process was quicker, its folder stays and this one's is given up.
    """
    root = (cache or default_cache()) / "prepared"
    root.mkdir(parents=True, exist_ok=True)
    for path in root.glob(".*-*"):  # of processes that were killed
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=root))
    try:
        yield unfinished
        unfinished.chmod(0o755)  # mkdtemp's is the owner's alone, an image's user may be another
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
