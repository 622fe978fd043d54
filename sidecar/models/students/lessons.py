"""Lessons of a student: passages that the model has read, as word pieces and vectors, in memory.

A reservoir has a bounded number of lessons, and each passage that was ever offered has the same
chance to be in it. Source: algorithm R, Vitter, "Random sampling with a reservoir" (1985).

The pieces of a passage are its text in another form. So they are never written to disk.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import numpy as np

from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.passage_store import round_vectors
from sidecar.models.students.teaching import Lessons

MOST_LESSONS = 40_000

MOST_PIECES = 256
"""Pieces of a lesson; of a longer passage, the rest teaches nothing."""

# Memory for the vectors and pieces of a reservoir. Passages of 100 words have about 130 pieces:
# 40,000 of them take 36 MB for a model of 384 dimensions.
_MOST_BYTES = 64 * 2**20
_BYTES_A_PIECE = 4
_BYTES_A_LESSON = 120
# One passage of ten never teaches, in no process: it judges. The first byte of the digest decides.
_HELD_OUT_BYTE = 26


class Reservoir:
    """A bounded random sample of the passages that a model reads; any thread may call it."""

    def __init__(self, dimensions: int, most: int = MOST_LESSONS) -> None:
        row = dimensions + 4 + _BYTES_A_PIECE * MOST_PIECES + _BYTES_A_LESSON
        self.most = min(most, _MOST_BYTES // row)
        """Maximum number of lessons."""
        self._lock = threading.Lock()
        self._pieces: list[Pieces] = []
        # The system allocates these pages when rows are first written.
        self._codes = np.empty((self.most, dimensions), np.int8)
        self._scales = np.empty(self.most, np.float32)
        self._held_out = np.zeros(self.most, np.bool_)
        self._seen = 0
        self._random = random.Random()  # noqa: S311 - no secret

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def seen(self) -> int:
        """The number of passages that were offered."""
        return self._seen

    def offer(
        self,
        digests: Sequence[bytes],
        texts: Sequence[str],
        vectors: FloatArray,
        read_pieces: Callable[[Sequence[str]], Sequence[Pieces]],
    ) -> None:
        """Take some of these passages as lessons; only these are cut into pieces.

        `vectors` are the model's, shape (len(texts), dimensions).
        """
        with self._lock:
            chosen: dict[int, int] = {}
            for number in range(len(texts)):
                place = (
                    self._seen if self._seen < self.most else self._random.randrange(self._seen + 1)
                )
                self._seen += 1
                if place < self.most:
                    chosen[place] = number
        if not chosen:
            return
        numbers = list(chosen.values())
        pieces = read_pieces([texts[number] for number in numbers])
        codes, scales = round_vectors(vectors[numbers])
        with self._lock:
            for row, (place, number) in enumerate(chosen.items()):
                # Another thread's lessons of later places may still be missing.
                place = min(place, len(self._pieces))
                one = pieces[row][:MOST_PIECES]
                if place == len(self._pieces):
                    self._pieces.append(one)
                else:
                    self._pieces[place] = one
                self._codes[place], self._scales[place] = codes[row], scales[row]
                self._held_out[place] = digests[number][0] < _HELD_OUT_BYTE

    def lessons(self) -> Lessons:
        """A copy of all lessons; takes some milliseconds."""
        with self._lock:
            count = len(self._pieces)
            return Lessons(
                list(self._pieces),
                self._codes[:count].copy(),
                self._scales[:count].copy(),
                self._held_out[:count].copy(),
            )
