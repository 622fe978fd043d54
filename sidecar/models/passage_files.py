"""Passage vectors on disk, one folder for each model; they survive a restart.

      vectors-XXXX.faiss   the codes, a flat 8-bit faiss index (`vector_files.py`)
      passages.npz         identity of the model, digests, scales, and the name XXXX
      segments/XXXX/       the same two files with newer vectors; any number of folders

The second file is written last and is renamed into place in one step, as is a segment's folder. So
a process that dies while it writes leaves the older files whole. Several processes may write
segments at the same time. Files of another model, other settings or another version are ignored,
and so are damaged files: the model then reads the passages again.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sidecar.models.mapped_files import can_be_mapped, map_array
from sidecar.models.mapped_vectors import MappedVectors
from sidecar.models.passage_store import DIGEST_BYTES, PassageStore, Snapshot
from sidecar.models.vector_files import map_vectors, read_vectors, write_vectors

T = TypeVar("T")

_VERSION = 1
_MANIFEST = "passages.npz"
_SEGMENTS = "segments"
_UNFINISHED = ".unfinished"

_log = logging.getLogger(__name__)


def save_passages(store: PassageStore, identity: str, folder: Path) -> bool:
    """Write a store's vectors. A failure is logged, keeps the older files, and returns False."""
    try:
        _write(store.snapshot(), identity, folder)
    except OSError as error:
        _log.warning("passage vectors were not saved to %s: %s", folder, error)
        return False
    return True


def load_passages(store: PassageStore, identity: str, folder: Path) -> None:
    """Fill a store with vectors of the same identity; other files are ignored."""
    snapshot = _try(lambda: _read(store.dimensions, identity, folder), folder)
    if snapshot is not None:
        store.restore(snapshot)
        _log.info("%d passage vectors read from %s", len(snapshot.digests), folder)


def map_passages(store: PassageStore, identity: str, folder: Path) -> MappedVectors | None:
    """The vectors in a folder, which stay in their files; None if they cannot be used so."""
    if not can_be_mapped(folder):
        return None
    return _try(lambda: _map(store, identity, folder), folder)


def _try(read: Callable[[], T], folder: Path) -> T | None:
    """What `read` returns; None, and a line in the log, if the files are damaged or of another
    model."""
    if not (folder / _MANIFEST).is_file():
        return None
    try:
        try:
            return read()
        except FileNotFoundError:  # another process has just replaced the files
            return read()
    # A damaged file may fail in zip or in numpy; each raises errors of its own.
    except Exception as error:
        _log.warning("passage vectors in %s are not used: %s", folder, error)
        return None


def add_segment(snapshot: Snapshot, identity: str, folder: Path) -> str | None:
    """Write vectors as a new segment; returns its name, or None after a failure."""
    segments = folder / _SEGMENTS
    name = secrets.token_hex(8)
    unfinished = segments / f"{name}{_UNFINISHED}"
    try:
        _write(snapshot, identity, unfinished)
        unfinished.rename(segments / name)
        _flush(segments)
    except OSError as error:
        _log.warning("passage vectors were not saved to %s: %s", folder, error)
        return None
    return name


def load_segments(
    store: PassageStore, identity: str, folder: Path, known: Collection[str] = ()
) -> list[str]:
    """Load the segments whose names are not in `known`; returns their names, oldest first."""
    names = [name for name in list_segments(folder) if name not in known]
    for name in names:
        load_passages(store, identity, folder / _SEGMENTS / name)
    return names


def list_segments(folder: Path) -> list[str]:
    """The names of all whole segments, oldest first."""
    segments = folder / _SEGMENTS
    if not segments.is_dir():
        return []
    times_and_names = []
    for path in segments.iterdir():
        if path.suffix != _UNFINISHED:
            try:
                times_and_names.append((path.stat().st_mtime_ns, path.name))
            except FileNotFoundError:
                continue  # another process has just merged it
    return [name for _, name in sorted(times_and_names)]


def remove_segments(folder: Path, names: Collection[str]) -> None:
    """Delete segments whose vectors are in other files now."""
    for name in names:
        shutil.rmtree(folder / _SEGMENTS / name, ignore_errors=True)


def _write(snapshot: Snapshot, identity: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    vectors = folder / f"vectors-{secrets.token_hex(4)}.faiss"
    write_vectors(vectors, snapshot.codes)
    _flush(vectors)
    unfinished = folder / f"{_MANIFEST}{_UNFINISHED}"
    with unfinished.open("wb") as file:
        np.savez(
            file,
            version=np.array(_VERSION),
            identity=np.array(identity),
            vectors=np.array(vectors.name),
            digests=snapshot.digests,
            scales=snapshot.scales,
        )
    _flush(unfinished)
    unfinished.replace(folder / _MANIFEST)
    _flush(folder)
    for former in folder.glob("vectors-*.faiss"):
        if former != vectors:
            former.unlink()


def _read(dimensions: int, identity: str, folder: Path) -> Snapshot:
    with (folder / _MANIFEST).open("rb") as file:
        digests, scales, name = _read_manifest(file, identity)
    codes = read_vectors(folder / name)
    _check(digests, scales, codes, dimensions)
    return Snapshot(digests.astype(np.uint8), codes, scales.astype(np.float32))


def _map(store: PassageStore, identity: str, folder: Path) -> MappedVectors | None:
    with (folder / _MANIFEST).open("rb") as file:
        digests, scales, name = _read_manifest(file, identity)  # which checks their bytes
        codes = map_vectors(folder / name)
        _check(digests, scales, codes, store.dimensions)
        if not len(codes) or len(codes) > store.capacity:
            return None
        digests, scales = map_array(file, "digests"), map_array(file, "scales")
    if digests.dtype.str != "|u1" or scales.dtype.str != "<f4":
        raise ValueError("the files do not belong together")
    mapped = MappedVectors(digests, codes, scales)
    _log.info("%d passage vectors mapped from %s", len(codes), folder)
    return mapped


def _read_manifest(
    file: IO[bytes], identity: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32], str]:
    # From an open file, because numpy does not close a damaged file that it has opened.
    with np.load(file, allow_pickle=False) as manifest:
        if int(manifest["version"]) != _VERSION:
            raise ValueError(f"they have version {manifest['version']}, not {_VERSION}")
        if str(manifest["identity"]) != identity:
            raise ValueError("the model or its settings have changed")
        name = Path(str(manifest["vectors"])).name
        return manifest["digests"], manifest["scales"], name


def _check(
    digests: NDArray[Any], scales: NDArray[Any], codes: NDArray[Any], dimensions: int
) -> None:
    count = len(codes)
    shapes = (digests.shape, scales.shape, codes.shape)
    if shapes != ((count, DIGEST_BYTES), (count,), (count, dimensions)):
        raise ValueError("the files do not belong together")


def _flush(path: Path) -> None:
    """Flush a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
