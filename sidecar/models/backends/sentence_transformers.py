"""Runs published models with torch, through the sentence-transformers library.

Weights come from a folder on disk (`sources.py` finds it), so loading needs no network. Code that
comes with a model never runs. If torch sees a CUDA device, it is used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.piece_rules import PieceRules, find_piece_rules
from sidecar.models.backends.readable import readable
from sidecar.models.known_models import NO_READING, Reading, choose_prompts

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class SentenceTransformersBiEncoder:
    """A bi-encoder; `prompts` are the texts before a query text and before a passage."""

    def __init__(
        self,
        folder: Path,
        identity: str,
        max_tokens: int | None,
        reading: Reading = NO_READING,
        device: str | None = None,
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
        self.prompts = choose_prompts(self.model.prompts, self.model.default_prompt_name, reading)
        self._pieces: Tokenizer | None = None

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._embed(self.model.encode_query, self.prompts[0], texts)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._embed(self.model.encode_document, self.prompts[1], texts)

    def read_pieces(self, texts: Sequence[str]) -> list[Pieces]:
        encodings = self._piece_tokenizer().encode_batch_fast(
            [readable(text, self._max_tokens) for text in texts], add_special_tokens=False
        )
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]

    def piece_rules(self) -> PieceRules | None:
        return find_piece_rules(self._piece_tokenizer(), self._max_tokens)

    def _piece_tokenizer(self) -> Tokenizer:
        if self._pieces is None:
            from tokenizers import Tokenizer

            # A copy: the library changes its own with each call, also while another thread reads.
            self._pieces = Tokenizer.from_str(self.model.tokenizer.backend_tokenizer.to_str())
            self._pieces.no_padding()
            if self._max_tokens is None:
                self._pieces.no_truncation()
            else:
                self._pieces.enable_truncation(self._max_tokens)
        return self._pieces

    def _embed(self, encode: Any, prompt: str, texts: Sequence[str]) -> FloatArray:
        vectors = encode(
            [readable(text, self._max_tokens) for text in texts],
            prompt=prompt,
            batch_size=len(texts),
            show_progress_bar=False,
            normalize_embeddings=True,
        )
        return np.asarray(vectors, np.float32)


class SentenceTransformersCrossEncoder:
    """A cross-encoder. A score is the model's raw logit. A sigmoid would keep the order, but the
    scores of the best passages would be so close to 1 that they no longer differ."""

    def __init__(self, folder: Path, max_tokens: int | None, device: str | None = None) -> None:
        """Load the weights; raises as the bi-encoder does, and ValueError for a model that gives
        several numbers for a pair."""
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
    """Let torch's threads sleep, not spin, while they wait for each other; call before torch loads.

    Beside a busy OpenSearch, a spinning thread takes the core from the thread it waits for. On two
    cores with other work, chunks took 3 to 6 times as long (measured with torch 2.15). A value of
    OMP_WAIT_POLICY that the operator has set stays. OpenMP reads the variable when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _limit_tokens(model: Any, max_tokens: int | None) -> int | None:
    """Apply the configured limit; returns the limit in effect, None if there is none."""
    limit = model.max_seq_length
    if max_tokens is not None and (limit is None or max_tokens < limit):
        model.max_seq_length = limit = max_tokens
    return int(limit) if limit is not None and math.isfinite(limit) else None


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Turn off the library's progress bars on stderr; its switch is for the whole process."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
