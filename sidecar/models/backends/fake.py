"""No model: counts the words that two texts share. For tests and for a first try."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pipelines.words import WORD
from sidecar.models.backends.base import FloatArray


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


class FakeBiEncoder:
    """Counts words in hashed dimensions, so the cosine grows with the share of common words."""

    identity = "fake"
    dimensions = 256

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in _words(text):
                # hash() differs between processes, and vectors are stored.
                digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=2).digest()
                vector[int.from_bytes(digest) % self.dimensions] += 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        vectors /= lengths
        return vectors

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        return self.embed_queries(texts)


class FakeCrossEncoder:
    """Scores a text by the share of the query's words that it contains, from 0 to 1."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        words = set(_words(query_text))
        shares = [len(words.intersection(_words(text))) / max(1, len(words)) for text in texts]
        return np.array(shares, np.float32)
