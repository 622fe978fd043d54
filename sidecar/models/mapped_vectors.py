"""Passage vectors that stay in their file, which all processes of a machine share.

A store looks here for what it does not have itself. Of its own memory, a process needs 12 bytes a
passage, for the order of the digests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray

_HALF = 8


class MappedVectors:
    """The n vectors of one pair of files; they never change. Any thread may call it."""

    def __init__(
        self, digests: NDArray[np.uint8], codes: NDArray[np.uint8], scales: FloatArray
    ) -> None:
        """Shapes (n, 16), (n, dimensions) and (n,). A code's first bit is turned, as in its file.

        The rows are in the order of their last use, the oldest first.
        """
        self._digests = digests
        self._codes = codes
        self._scales = scales
        keys = np.ascontiguousarray(digests[:, :_HALF]).view(np.uint64)[:, 0]
        self._order = np.argsort(keys, kind="stable").astype(np.uint32)
        self._keys = keys[self._order]
        self._used = np.zeros(len(digests), np.bool_)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, digests: Sequence[bytes]) -> NDArray[np.int64]:
        """The row of each digest, -1 for those that are not here."""
        whole = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
        places = np.searchsorted(self._keys, whole[:, 0])
        np.minimum(places, len(self._keys) - 1, out=places)
        rows = self._order[places].astype(np.int64)
        same = (self._digests[rows].view(np.uint64) == whole).all(axis=1)
        # If two had the same first half, one would not be found, and the model would read it again.
        rows[~same] = -1
        return rows

    def vectors(self, rows: NDArray[np.int64]) -> FloatArray:
        """The vectors of rows, shape (len(rows), dimensions); they count as used."""
        self._used[rows] = True
        codes, scales = self.read(rows)
        vectors = codes.astype(np.float32)
        vectors *= scales[:, None]
        return vectors

    def read(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int8], FloatArray]:
        """The codes and scales of rows."""
        return (self._codes[rows] ^ np.uint8(128)).view(np.int8), self._scales[rows]

    def digests_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The digests of rows, shape (len(rows), 16)."""
        return self._digests[rows]

    def by_use(self) -> NDArray[np.int64]:
        """All rows: first those that nobody has used here, then the others."""
        return np.argsort(self._used, kind="stable")
