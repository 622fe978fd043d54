"""What a backend does: turn texts into numbers, one call at a time, blocking on purpose.

A backend knows no search, no deadline and no queue; `scheduling.py` calls it from one thread,
with a few texts at a time. Whatever it raises fails that one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class BiEncoderBackend(Protocol):
    """Reads each text alone into a vector; two vectors are compared by their cosine."""

    @property
    def identity(self) -> str:
        """Digest of weights and settings: vectors of equal identities may be compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of query texts, shape (len(texts), dimensions), each of length 1.

        Needs at least one text. A text without any word may get the zero vector.
        """
        ...

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """The same for passages, which some models read differently."""
        ...


class CrossEncoderBackend(Protocol):
    """Reads a query text and a passage together into one score."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        """Scores, shape (len(texts),), higher is more relevant. Needs at least one text.

        A score depends on its own pair alone, so that scores of several calls with the same
        query text may be compared.
        """
        ...
