"""How far a run of `sidecar warm` has come, so that the next run can resume there.

The file is written after the vectors that it counts, so it never claims too much.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


class AlreadyRunning(Exception):
    """Another process is warming the same index with the same plan."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Every document below `number` is done; `number` is the next sequence number to read."""

    number: int = 0
    documents: int = 0
    passages: int = 0


class ProgressFile:
    """The file of one run; `identity` contains everything that decides which vectors it computes.

    It is locked while it is open. Raises AlreadyRunning.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        digest = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{digest}.json"
        self._lock = os.open(folder / f"{digest}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyRunning from None

    def read(self) -> Progress:
        """The progress of the last run, if it was interrupted; else that of a new run."""
        try:
            return Progress(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return Progress()  # no file, or one cut off by a full disk: start again

    def write(self, progress: Progress) -> None:
        unfinished = self._path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            json.dump(asdict(progress), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)

    def remove(self) -> None:
        """Forget the progress, so that the next run starts again."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._lock)
