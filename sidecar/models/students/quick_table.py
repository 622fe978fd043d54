"""A student's table as searches use it: the vectors of many texts, from pieces in one array.

The sum over a text's pieces is a product of matrices: how often each piece is in each text, and the
pieces' vectors. The vectors stay in one byte a number until the product, because it takes less time
to convert those of a few texts than to fetch four times the bytes.
"""

from __future__ import annotations

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.students.student import Student, count_pieces
from sidecar.models.students.word_pieces import CutTexts

# Piece numbers up to here are looked up in an array; no vocabulary is larger.
_MOST_PIECES = 1 << 21
# More texts have fewer rows in total, and larger products. Measured: 8 and 32 take longer.
_TEXTS = 16


class QuickTable:
    """The table of one student; any thread may call it."""

    def __init__(self, student: Student) -> None:
        """Takes some milliseconds."""
        self.student = student
        # The last row is for all pieces that the student does not know.
        known = student.pieces[: np.searchsorted(student.pieces, _MOST_PIECES)]
        most = int(known[-1]) if len(known) else -1
        self._rows = np.full(most + 2, len(student.pieces), np.intp)
        self._rows[known] = np.arange(len(known))
        zeros = np.zeros((1, student.dimensions), np.int8)
        self._codes = np.concatenate([student.codes, zeros])
        self._weights = np.append(student.weights, np.float32(0))
        self._factors = np.append(student.weights * student.scales, np.float32(0))

    def vectors(self, texts: CutTexts) -> FloatArray:
        """The vectors of n texts, as `Student.vectors` has them: shape (n, dimensions)."""
        rows = self._rows.take(np.minimum(texts.pieces, len(self._rows) - 1))
        count = len(texts.counts)
        ends = np.concatenate([[0], np.cumsum(texts.counts)])
        owners = np.repeat(np.arange(count), texts.counts)
        totals = np.bincount(owners, self._weights.take(rows), count).astype(np.float32)
        vectors = np.empty((count, self.student.dimensions), np.float32)
        for start in range(0, count, _TEXTS):
            stop = min(start + _TEXTS, count)
            part = slice(ends[start], ends[stop])
            held = count_pieces(owners[part] - start, rows[part], stop - start)
            shares = held.counts * self._factors.take(held.rows)
            table = self._codes.take(held.rows, axis=0).astype(np.float32)
            np.matmul(shares, table, out=vectors[start:stop])
        known = totals > 0
        vectors /= np.where(known, totals, 1)[:, None]
        vectors += self.student.bias
        vectors[~known] = 0
        lengths = np.sqrt(np.einsum("td,td->t", vectors, vectors))
        vectors /= np.where(lengths > 0, lengths, 1)[:, None]
        return vectors
