"""Remembers the pieces of words in one array, so that numpy looks up a text's words at once.

A word is known by a 64-bit hash of its bytes. Each has four places where it may be, and a new word
takes that of the oldest of the four. So the memory never grows, and there is nothing to clear.
"""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_PIECES: Final = 8
"""A word of more pieces is not remembered."""

MOST_BYTES: Final = 32
"""A longer word is not remembered."""

# 262,144 words, in 11 MiB. With half of the buckets, one of a hundred of 40,000 words was lost.
_BUCKET_BITS: Final = 16
_PLACES: Final = 4

Hashes = NDArray[np.uint64]


class WordHashes:
    """Hashes words by their bytes, with secret numbers, so that nobody can make two words equal.

    The hash of a word is a polynomial of a secret base, whose coefficients are a secret number for
    each value of a byte: numpy computes those of all words of a text from one running sum.
    """

    def __init__(self, lowercase: bool, most_bytes: int) -> None:
        """`lowercase`: whether A to Z count as a to z. `most_bytes`: of one call."""
        generator = np.random.default_rng()
        self._numbers = generator.integers(0, 2**64, 256, np.uint64)
        if lowercase:
            self._numbers[ord("A") : ord("Z") + 1] = self._numbers[ord("a") : ord("z") + 1]
        base = int(generator.integers(0, 2**64, dtype=np.uint64)) | 1
        self._powers = _powers(base, most_bytes)
        self._inverses = _powers(pow(base, -1, 2**64), most_bytes)

    def __call__(
        self, text: NDArray[np.uint8], starts: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> Hashes:
        """The hashes of the words `text[start:end]`; never 0."""
        sums = np.zeros(len(text) + 1, np.uint64)
        np.cumsum(self._numbers.take(text) * self._powers[: len(text)], out=sums[1:])
        return (sums.take(ends) - sums.take(starts)) * self._inverses.take(starts) | np.uint64(1)


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers)


class WordPieceRows(NamedTuple):
    """The pieces of n words."""

    known: NDArray[np.bool_]
    """Which words are remembered, shape (n,)."""

    counts: NDArray[np.uint8]
    """How many pieces each has, shape (n,)."""

    pieces: NDArray[np.uint32]
    """Shape (n, MOST_PIECES); what is beyond a word's count means nothing."""


class KnownWords:
    """The pieces of the words that were met last; any thread may call it."""

    def __init__(self, bucket_bits: int = _BUCKET_BITS) -> None:
        """Has room for 4 x 2**bucket_bits words."""
        buckets = 1 << bucket_bits
        self._shift = np.uint64(64 - bucket_bits)
        self._hashes = np.zeros(buckets * _PLACES, np.uint64)
        self._next = np.zeros(buckets, np.intp)
        self._counts = np.zeros(buckets * _PLACES, np.uint8)
        self._pieces = np.zeros((buckets * _PLACES, MOST_PIECES), np.uint32)
        self._lock = threading.Lock()

    def find(self, hashes: Hashes) -> WordPieceRows:
        """The pieces of those words that are remembered; the others have none."""
        places = (hashes >> self._shift).astype(np.intp) * _PLACES
        with self._lock:
            # Most words of a text are frequent, came early, and so are at the first place.
            known = self._hashes.take(places) == hashes
            rest = np.flatnonzero(~known)
            for _ in range(1, _PLACES):
                if not len(rest):
                    break
                places[rest] += 1
                here = self._hashes.take(places[rest]) == hashes[rest]
                known[rest[here]] = True
                rest = rest[~here]
            counts, pieces = self._counts.take(places), self._pieces.take(places, axis=0)
        counts[rest] = 0
        return WordPieceRows(known, counts, pieces)

    def remember(
        self, hashes: Hashes, counts: NDArray[np.uint8], pieces: NDArray[np.uint32]
    ) -> None:
        """Remember n different words; the arrays are those of `WordPieceRows`."""
        buckets = (hashes >> self._shift).astype(np.intp)
        order = np.argsort(buckets, kind="stable")
        buckets = buckets[order]
        # Words of the same bucket take one place after the other.
        numbers = np.arange(len(order)) - np.searchsorted(buckets, buckets)
        with self._lock:
            nexts = self._next[buckets] + numbers
            self._next[buckets] = nexts + 1  # of equal buckets, the last one counts
            places = buckets * _PLACES + nexts % _PLACES
            self._hashes[places] = hashes[order]
            self._counts[places] = counts[order]
            self._pieces[places] = pieces[order]
