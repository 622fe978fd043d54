"""A store and its files: loaded at the start, saved as it grows, and open to what others add.

What was read since the last time is written as a segment, every few seconds, so that a process
which is killed loses no more than those. Segments that another process writes, as `sidecar warm`
does, are taken in while this one runs. All of it happens in a thread of its own.
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
    remove_segments,
    save_passages,
)
from sidecar.models.passage_store import PassageStore

TICK_SECONDS = 5.0
"""How often the files are looked after."""

MOST_SEGMENTS = 64
"""Segments that may be there before they are put into one."""

_log = logging.getLogger(__name__)


class PassageKeeper:
    """Keeps one store's vectors in a folder that other processes may use too.

    Of several processes that serve from one folder, one is its owner, for as long as it lives: it
    alone puts segments together. `owner=False` never does.
    """

    def __init__(
        self, store: PassageStore, identity: str, folder: Path, *, owner: bool = True
    ) -> None:
        """Load what is there. The store must have been made with `tell_fresh`."""
        self._store = store
        self._identity = identity
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = self._lock() if owner else None
        load_passages(store, identity, folder)
        self._known = set(load_segments(store, identity, folder))
        if self._known:
            self._put_together()
        self._flushing = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="passages", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Write what is not yet written. Blocks for as long as the disk takes."""
        with self._flushing:
            fresh = self._store.take_fresh()
            if len(fresh.digests):
                name = add_segment(fresh, self._identity, self._folder)
                if name is not None:
                    self._known.add(name)

    def close(self) -> None:
        """Write everything, and give the folder free; once more does nothing."""
        self._closing.set()
        self._thread.join()
        self.flush()
        if self._lock_file is not None:
            self._put_together()
            # By then the number may be another file's.
            lock_file, self._lock_file = self._lock_file, None
            os.close(lock_file)

    def tick(self) -> None:
        """Write what is new here, take in what is new there."""
        self.flush()
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
                _log.exception("looking after %s failed; it is tried again", self._folder)

    def _put_together(self) -> None:
        """All that the store holds becomes the one pair of files; nobody searches meanwhile."""
        if self._lock_file is not None and save_passages(self._store, self._identity, self._folder):
            remove_segments(self._folder, self._known)
            self._known.clear()

    def _merge(self) -> None:
        """The segments become one, without a look at the store, which is in use."""
        merged = PassageStore(self._store.dimensions, self._store.max_bytes)
        names = load_segments(merged, self._identity, self._folder)
        name = add_segment(merged.snapshot(), self._identity, self._folder)
        if name is not None:
            remove_segments(self._folder, names)
            self._known = {name} | (self._known - set(names))

    def _lock(self) -> int | None:
        """The open lock file, or None when another process owns the folder."""
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            _log.info("another process looks after %s; this one only adds to it", self._folder)
            return None
        return descriptor
