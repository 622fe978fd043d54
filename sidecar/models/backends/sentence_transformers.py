"""Models run by torch, through the sentence-transformers library.

Weights come from a folder on disk (`sources.py` finds it), so loading never touches the network.
Code that a model brings along is never run. A CUDA device is used when torch sees one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.readable import readable


class SentenceTransformersBiEncoder:
    """A bi-encoder. Prompts that the model configures for queries and documents are applied."""

    def __init__(
        self, folder: Path, identity: str, max_tokens: int | None, device: str | None = None
    ) -> None:
        """Load the weights; `max_tokens` shortens the model's own limit.

        Raises ImportError without the library, OSError or ValueError for files it cannot read.
        """
        _let_threads_sleep()
        from sentence_transformers import SentenceTransformer

        with _no_progress_bars():
            self.model = SentenceTransformer(
                str(folder),
                device=device or _device(),
                local_files_only=True,
                trust_remote_code=False,
            )
        dimensions = self.model.get_embedding_dimension()
        if dimensions is None:
            raise ValueError("the model does not say how long its vectors are")
        self._max_tokens = _limit_tokens(self.model, max_tokens)
        self.dimensions = int(dimensions)
        self.identity = identity

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._embed(self.model.encode_query, texts)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._embed(self.model.encode_document, texts)

    def _embed(self, encode: Any, texts: Sequence[str]) -> FloatArray:
        vectors = encode(
            [readable(text, self._max_tokens) for text in texts],
            batch_size=len(texts),
            show_progress_bar=False,
            normalize_embeddings=True,
        )
        return np.asarray(vectors, np.float32)


class SentenceTransformersCrossEncoder:
    """A cross-encoder. A score is the model's raw logit: activations such as the sigmoid keep
    the order but press the best passages together, so that near 1 they no longer differ."""

    def __init__(self, folder: Path, max_tokens: int | None, device: str | None = None) -> None:
        """Load the weights; raises as the bi-encoder does, and ValueError for a model that
        answers with several numbers a pair."""
        _let_threads_sleep()
        from sentence_transformers import CrossEncoder
        from torch.nn import Identity

        with _no_progress_bars():
            self.model = CrossEncoder(
                str(folder),
                device=device or _device(),
                local_files_only=True,
                trust_remote_code=False,
                activation_fn=Identity(),
            )
        if self.model.num_labels != 1:
            raise ValueError(
                f"the model gives {self.model.num_labels} numbers a pair, a score is one; "
                "use a cross-encoder that was trained for ranking"
            )
        self._max_tokens = _limit_tokens(self.model, max_tokens)

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        query_text = readable(query_text, self._max_tokens)
        scores = self.model.predict(
            [(query_text, readable(text, self._max_tokens)) for text in texts],
            batch_size=len(texts),
            show_progress_bar=False,
        )
        return np.asarray(scores, np.float32)


def _let_threads_sleep() -> None:
    """Let torch's threads sleep, not spin, while they wait for one another; call before torch.

    Beside a busy OpenSearch a spinning thread takes the core from the one it waits for: with two
    cores and other work on them, chunks took 3 to 6 times as long (measured with torch 2.15).
    An operator's own OMP_WAIT_POLICY stands. OpenMP reads the variable once, when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _limit_tokens(model: Any, max_tokens: int | None) -> int | None:
    """Apply the configured limit; returns the one that holds, None for none."""
    limit = model.max_seq_length
    if max_tokens is not None and (limit is None or max_tokens < limit):
        model.max_seq_length = limit = max_tokens
    return int(limit) if limit is not None and math.isfinite(limit) else None


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep the library from drawing on stderr; its switch is one for the whole process."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
