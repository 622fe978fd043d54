"""A model as it was published, run by torch, and as the one function that is exported.

Only what can be said as a graph is taken: a transformer, pooling, linear layers, normalisation.
Whatever else a model has is refused by name, and can be run by the `sentence-transformers` backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.sentence_transformers import (
    SentenceTransformersBiEncoder,
    SentenceTransformersCrossEncoder,
)

_MODULES = frozenset({"Transformer", "Pooling", "Dense", "Normalize", "Dropout", "LayerNorm"})
_TASKS = frozenset({"feature-extraction", "sequence-classification"})
# Transformers without a limit of their own read no more than this, so that shapes stay few.
_MAX_TOKENS = 512


class CannotPrepare(ValueError):
    """The model is none that can be prepared; another backend may run it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; write backend: sentence-transformers for this model")


class OriginalModel:
    """What preparing needs to know of a model. `folder`: as published."""

    def __init__(self, folder: Path, kind: str, max_tokens: int | None) -> None:
        """Load it; raises CannotPrepare, and what its sentence-transformers backend raises."""
        self.backend: SentenceTransformersBiEncoder | SentenceTransformersCrossEncoder
        if kind == "cross-encoder":
            self.backend = SentenceTransformersCrossEncoder(folder, max_tokens, device="cpu")
        else:
            self.backend = SentenceTransformersBiEncoder(folder, "", max_tokens, device="cpu")
        self.model: Any = self.backend.model.float().eval()
        self.modules: list[Any] = list(self.model)
        self.kind = kind
        self._check()
        tokenizer = self.model.tokenizer
        self.max_tokens = int(self.model.max_seq_length or _MAX_TOKENS)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        names = set(self.model.preprocess([("a", "b")] if kind == "cross-encoder" else ["a"]))
        self.reads_types = kind == "cross-encoder" and "token_type_ids" in names
        self.query_prompt = self._prompt(("query",))
        self.passage_prompt = self._prompt(("document", "passage", "corpus"))

    @property
    def dimensions(self) -> int:
        """Length of a vector; 1 for a cross-encoder."""
        if isinstance(self.backend, SentenceTransformersBiEncoder):
            return self.backend.dimensions
        return 1

    def save_tokenizer(self, path: Path) -> None:
        """Write it as the `tokenizers` library reads it, whatever form it was published in."""
        self.model.tokenizer.backend_tokenizer.save(str(path))

    def scores(self, query_texts: Sequence[str], passages: Sequence[str]) -> FloatArray:
        """Each query text with each passage, shape (query texts, passages)."""
        return score_all(self.backend, query_texts, passages)

    def _check(self) -> None:
        for module in self.modules:
            place, name = type(module).__module__, type(module).__name__
            if not place.startswith("sentence_transformers.") or name not in _MODULES:
                raise CannotPrepare(f"the model has a part {name}, which is no part of a graph")
        transformer = self.modules[0]
        if type(transformer).__name__ != "Transformer":
            raise CannotPrepare(f"the model begins with {type(transformer).__name__}")
        task = getattr(transformer, "transformer_task", "feature-extraction")
        if task not in _TASKS:
            raise CannotPrepare(f"the model answers by {task}")
        tokenizer = self.model.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise CannotPrepare("the model's tokenizer has no tokenizer.json form")
        if tokenizer.padding_side != "right":
            raise CannotPrepare("the model is padded on the left, as generative ones are")
        if getattr(transformer, "query_expansion", None):
            raise CannotPrepare("the model expands its query texts")
        prompts = any(self.model.prompts.values())
        if prompts and any(not getattr(module, "include_prompt", True) for module in self.modules):
            raise CannotPrepare("the model leaves its prompts out of the vectors")
        if prompts and self.kind == "cross-encoder":
            raise CannotPrepare("the model puts prompts before pairs")

    def _prompt(self, names: Sequence[str]) -> str:
        """The prompt that `encode_query` or `encode_document` puts before a text."""
        prompts = self.model.prompts
        known = [name for name in (*names, self.model.default_prompt_name) if name in prompts]
        return str(prompts[known[0]] or "") if known else ""


def score_all(backend: Any, query_texts: Sequence[str], passages: Sequence[str]) -> FloatArray:
    """Scores of each query text with each passage, by either kind of backend; by cosine for one
    that embeds."""
    if hasattr(backend, "score_pairs"):
        return np.stack(
            [
                np.concatenate(
                    [
                        backend.score_pairs(query_text, passages[start : start + 8])
                        for start in range(0, len(passages), 8)
                    ]
                )
                for query_text in query_texts
            ]
        )
    vectors = np.concatenate(
        [
            backend.embed_passages(passages[start : start + 8])
            for start in range(0, len(passages), 8)
        ]
    )
    scores: FloatArray = backend.embed_queries(query_texts) @ vectors.T
    return scores
