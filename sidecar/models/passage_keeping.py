"""Keeps a passage store and its files in step.

The files are mapped at start, or loaded where that is not safe; segments are loaded, and merged
into these files at the next start. Every few seconds, new vectors are written as a segment, so a
process that is killed loses only the vectors of those seconds. Segments of other processes, such as
`sidecar warm`, are loaded while this process runs. A thread of its own does this work.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path

from sidecar.models.passage_files import (
    add_segment,
    list_segments,
    load_passages,
    load_segments,
    map_passages,
    remove_segments,
    save_passages,
)
from sidecar.models.passage_store import PassageStore

TICK_SECONDS = 5.0
"""Interval of `tick`."""

MOST_SEGMENTS = 64
"""Number of segments above which they are merged into one."""

_log = logging.getLogger(__name__)


class PassageKeeper:
    """Keeps one store's vectors in a folder that other processes may also use.

    If several use one folder, the first is its owner until it ends, then the next. Only the owner
    merges segments. With `owner=False`, this process never becomes the owner.
    """

    def __init__(
        self, store: PassageStore, identity: str, folder: Path, *, owner: bool = True
    ) -> None:
        """Load the files. The store must be made with `track_new`."""
        self._store = store
        self._identity = identity
        self._folder = folder
        self._may_own = owner
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = self._lock() if owner else None
        mapped = map_passages(store, identity, folder)
        if mapped is not None:
            store.use_files(mapped)
        else:
            load_passages(store, identity, folder)
        self._known = set(load_segments(store, identity, folder))
        if self._known and self._compact():
            mapped = map_passages(store, identity, folder)
            if mapped is not None:
                store.move_to_files(mapped)
        self._flushing = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="passages", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Write all new vectors. Blocks until they are on disk."""
        with self._flushing:
            snapshot = self._store.take_new()
            if len(snapshot.digests):
                name = add_segment(snapshot, self._identity, self._folder)
                if name is not None:
                    self._known.add(name)

    def close(self) -> None:
        """Write everything and release the folder; a second call does nothing."""
        self._closing.set()
        self._thread.join()
        self.flush()
        if self._lock_file is not None:
            if self._store.count_unmapped():
                self._compact()
            # A second close must not close another file with the same descriptor number.
            lock_file, self._lock_file = self._lock_file, None
            os.close(lock_file)

    def tick(self) -> None:
        """Write this store's new vectors, and load new segments of other processes.

        Become the owner if the former one has ended.
        """
        self.flush()
        if self._lock_file is None and self._may_own:
            self._lock_file = self._try_lock()
        added = load_segments(self._store, self._identity, self._folder, self._known)
        self._known.update(added)
        self._known.intersection_update(list_segments(self._folder))
        if self._lock_file is not None and len(self._known) > MOST_SEGMENTS:
            self._merge()

    def _work(self) -> None:
        while not self._closing.wait(TICK_SECONDS):
            try:
                self.tick()
            except Exception:
                _log.exception("cannot update %s; the next try is in a few seconds", self._folder)

    def _compact(self) -> bool:
        """Write all vectors as one pair of files and delete the segments; call it when idle."""
        if self._lock_file is None or not save_passages(self._store, self._identity, self._folder):
            return False
        remove_segments(self._folder, self._known)
        self._known.clear()
        return True

    def _merge(self) -> None:
        """Merge the segments into one, without the store, because searches use it."""
        merged = PassageStore(self._store.dimensions, self._store.max_bytes)
        names = load_segments(merged, self._identity, self._folder)
        name = add_segment(merged.snapshot(), self._identity, self._folder)
        if name is not None:
            remove_segments(self._folder, names)
            self._known = {name} | (self._known - set(names))

    def _lock(self) -> int | None:
        """The open lock file; None if another process owns the folder."""
        descriptor = self._try_lock()
        if descriptor is None:
            _log.info("%s has another owner; vectors are only added to it", self._folder)
        return descriptor

    def _try_lock(self) -> int | None:
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor
