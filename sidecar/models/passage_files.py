"""Passage vectors on disk, over a restart: a folder a model.

      vectors-XXXX.faiss   the codes, a flat 8-bit faiss index
      passages.npz         which model they belong to, digests, scales, and the name XXXX
      segments/XXXX/       the same two files with what was read since; any number of folders

The second file is written last and takes its place in one step, and so does a segment's folder:
a process that dies while it writes leaves all that was there before. Segments may be written by
several processes at once. Files of another model, of other settings or of another version are
ignored, and so are damaged ones: they only cost the time to read again.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from sidecar.models.passage_store import DIGEST_BYTES, PassageStore, Snapshot

_VERSION = 1
_MANIFEST = "passages.npz"
_SEGMENTS = "segments"
_UNFINISHED = ".unfinished"
# Rows turned to floats and back at once, for faiss: some tens of megabytes.
_BLOCK = 32_768

_log = logging.getLogger(__name__)


def save_passages(store: PassageStore, identity: str, folder: Path) -> bool:
    """Write a store's vectors; a failure is logged, leaves the former files, and gives False."""
    try:
        _write(store.snapshot(), store.dimensions, identity, folder)
    except (OSError, RuntimeError) as error:  # faiss reports a full disk as RuntimeError
        _log.warning("passage vectors were not saved to %s: %s", folder, error)
        return False
    return True


def load_passages(store: PassageStore, identity: str, folder: Path) -> None:
    """Fill a store with the vectors of the same identity; whatever else there is, is left out."""
    if not (folder / _MANIFEST).is_file():
        return
    try:
        try:
            snapshot = _read(store.dimensions, identity, folder)
        except FileNotFoundError:  # another process has just put new files in their place
            snapshot = _read(store.dimensions, identity, folder)
    # A damaged file may fail in zip, in numpy or in faiss, each with errors of its own.
    except Exception as error:
        _log.warning("passage vectors in %s are not used: %s", folder, error)
        return
    store.restore(snapshot)
    _log.info("%d passage vectors read from %s", len(snapshot.digests), folder)


def add_segment(snapshot: Snapshot, identity: str, folder: Path) -> str | None:
    """Write vectors beside those that are there; the segment's name, None after a failure."""
    segments = folder / _SEGMENTS
    name = secrets.token_hex(8)
    unfinished = segments / f"{name}{_UNFINISHED}"
    try:
        _write(snapshot, snapshot.codes.shape[1], identity, unfinished)
        unfinished.rename(segments / name)
        _flush(segments)
    except (OSError, RuntimeError) as error:
        _log.warning("passage vectors were not saved to %s: %s", folder, error)
        return None
    return name


def load_segments(
    store: PassageStore, identity: str, folder: Path, known: Collection[str] = ()
) -> list[str]:
    """Fill a store with the segments whose names are not known; gives these names, oldest first."""
    names = [name for name in list_segments(folder) if name not in known]
    for name in names:
        load_passages(store, identity, folder / _SEGMENTS / name)
    return names


def list_segments(folder: Path) -> list[str]:
    """The names of all whole segments, the oldest first."""
    segments = folder / _SEGMENTS
    if not segments.is_dir():
        return []
    found = []
    for path in segments.iterdir():
        if path.suffix != _UNFINISHED:
            try:
                found.append((path.stat().st_mtime_ns, path.name))
            except FileNotFoundError:
                continue  # its vectors have just moved to the other files
    return [name for _, name in sorted(found)]


def remove_segments(folder: Path, names: Collection[str]) -> None:
    """Delete segments whose vectors stand elsewhere now."""
    for name in names:
        shutil.rmtree(folder / _SEGMENTS / name, ignore_errors=True)


def _write(snapshot: Snapshot, dimensions: int, identity: str, folder: Path) -> None:
    import faiss

    index = faiss.IndexScalarQuantizer(
        dimensions, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    for start in range(0, len(snapshot.codes), _BLOCK):
        index.add(snapshot.codes[start : start + _BLOCK].astype(np.float32))
    folder.mkdir(parents=True, exist_ok=True)
    vectors = folder / f"vectors-{secrets.token_hex(4)}.faiss"
    faiss.write_index(index, str(vectors))
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
    import faiss

    # Opened here: numpy leaves a damaged file open that it opened itself.
    with (folder / _MANIFEST).open("rb") as file, np.load(file, allow_pickle=False) as manifest:
        if int(manifest["version"]) != _VERSION:
            raise ValueError(f"they have version {manifest['version']}, not {_VERSION}")
        if str(manifest["identity"]) != identity:
            raise ValueError("the model or its settings have changed")
        digests, scales = manifest["digests"], manifest["scales"]
        name = Path(str(manifest["vectors"])).name
    index = faiss.read_index(str(folder / name))
    count = index.ntotal
    shapes = (digests.shape, scales.shape, index.d)
    if shapes != ((count, DIGEST_BYTES), (count,), dimensions):
        raise ValueError("the files do not belong together")
    codes = np.empty((count, dimensions), np.int8)
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        codes[start : start + rows] = index.reconstruct_n(start, rows)
    return Snapshot(digests.astype(np.uint8), codes, scales.astype(np.float32))


def _flush(path: Path) -> None:
    """Have the system write a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
