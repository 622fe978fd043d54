"""A student: vectors of texts without the model, by a table with one row for each word piece.

The vector of a text is the weighted mean of the vectors of its pieces plus a bias, of length 1. The
pieces are those of the model's own tokenizer, and the vectors are in the model's own space: so a
student's vector of a passage is compared with the model's vector of a query text.

The form is that of static embeddings (Model2Vec by Tulkens and van Dongen; `StaticEmbedding` in
sentence-transformers), with a learned weight for each piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray, Pieces

# Texts whose vectors are computed together; this bounds the matrix of counts.
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Student:
    """The table of one model; n known pieces. Do not change the arrays."""

    identity: str
    """The identity of the model that taught it."""

    pieces: NDArray[np.uint32]
    """The numbers of the known pieces, ascending; shape (n,)."""

    codes: NDArray[np.int8]
    """The vectors of the pieces as one byte a number; shape (n, dimensions)."""

    scales: FloatArray
    """What a piece's codes are multiplied with; shape (n,)."""

    weights: FloatArray
    """How much a piece counts in a text; shape (n,), positive."""

    bias: FloatArray
    """Shape (dimensions,)."""

    lessons: int
    """Number of passages that taught it."""

    taught_at: float
    """When it was made, in seconds since 1970."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return len(self.bias)

    def vectors(self, texts: Sequence[Pieces]) -> tuple[NDArray[np.bool_], FloatArray]:
        """Whether a piece of each of n texts is known, shape (n,), and n vectors of length 1.

        A text without a known piece gets the zero vector.
        """
        known = np.zeros(len(texts), np.bool_)
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), _BLOCK):
            block = slice(start, start + _BLOCK)
            known[block], vectors[block] = self._vectors(texts[block])
        return known, vectors

    def _vectors(self, texts: Sequence[Pieces]) -> tuple[NDArray[np.bool_], FloatArray]:
        owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        rows, places = find_rows(self.pieces, texts)
        owners, rows = owners[places], rows[places]
        counts = count_pieces(owners, rows, len(texts))
        shares = counts.counts * self.weights[counts.rows]
        totals = shares.sum(axis=1)
        known = totals > 0
        shares[known] /= totals[known, None]
        table = self.codes[counts.rows] * self.scales[counts.rows, None]
        vectors = shares @ table + self.bias
        vectors[~known] = 0
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths > 0, lengths, 1)
        return known, vectors.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class PieceCounts:
    """How often each of some rows is in each of n texts."""

    rows: NDArray[np.intp]
    """The different rows, ascending; shape (m,)."""

    counts: FloatArray
    """Shape (n, m)."""


def find_rows(
    pieces: NDArray[np.uint32], texts: Sequence[Pieces]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The row of each piece of all texts, one after the other, and whether it is known at all.

    `pieces`: the number of each row, ascending. The row of an unknown piece means nothing.
    """
    flat = np.concatenate([*texts, np.empty(0, np.uint32)])
    if not len(pieces):
        return np.zeros(len(flat), np.intp), np.zeros(len(flat), np.bool_)
    rows = np.minimum(np.searchsorted(pieces, flat), len(pieces) - 1)
    return rows, pieces[rows] == flat


def count_pieces(owners: NDArray[np.intp], rows: NDArray[np.intp], texts: int) -> PieceCounts:
    """Count the rows of `texts` texts; each place of `owners` and `rows` is one piece of a text."""
    # Rows are small numbers, so this is many times faster than `np.unique`, which sorts.
    seen = np.zeros(rows.max(initial=-1) + 1, np.bool_)
    seen[rows] = True
    different = np.flatnonzero(seen)
    numbers = (np.cumsum(seen) - 1)[rows]
    flat = np.bincount(owners * len(different) + numbers, minlength=texts * len(different))
    return PieceCounts(different, flat.reshape(texts, len(different)).astype(np.float32))
