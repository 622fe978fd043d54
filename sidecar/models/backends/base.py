"""The protocols of a backend, which turns texts into numbers.

A backend blocks, on purpose, and serves one call at a time. It knows no search, no deadline and no
queue: `scheduling.py` calls it from one thread, with a few texts at a time. An exception fails that
one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.piece_rules import PieceRules

FloatArray = NDArray[np.float32]

Pieces = NDArray[np.uint32]
"""The word pieces of one text, by their numbers in the model's tokenizer; shape (pieces,)."""


CALL_DEADLINE: ContextVar[float | None] = ContextVar("CALL_DEADLINE", default=None)
"""Until when the caller waits for the texts that a backend reads now, in seconds of the monotonic
clock; None without a limit. Only a backend that can stop in between needs it."""


class BiEncoderBackend(Protocol):
    """Turns each text into a vector; two vectors are compared by their cosine."""

    @property
    def identity(self) -> str:
        """Digest of weights and settings; vectors of equal identities may be compared."""
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
        """Vectors of passages, in the same form; some models use another prompt for them."""
        ...


@runtime_checkable
class PieceReader(Protocol):
    """A backend that can cut texts into the word pieces that its model reads."""

    def read_pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """The numbers of each text's pieces, without a prompt and without special ones.

        At most as many as the model reads. May be called in any thread, also while the model reads.
        """
        ...

    def piece_rules(self) -> PieceRules | None:
        """By which rules it cuts; None if a word's pieces may depend on its neighbours."""
        ...


class CrossEncoderBackend(Protocol):
    """Turns a query text and a passage, read together, into one score."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        """Scores, shape (len(texts),), higher is more relevant. Needs at least one text.

        A score depends on its pair alone, so scores of several calls with the same query text
        may be compared.
        """
        ...


@runtime_checkable
class ClosableBackend(Protocol):
    """A backend that holds connections or threads."""

    def close(self) -> None:
        """Release them. Blocks; no call comes later."""
        ...
