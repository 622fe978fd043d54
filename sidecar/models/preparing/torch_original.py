"""A published model, run and exported by torch, for models that `original.py` cannot read alone.

Only what a graph can do is taken: a transformer, pooling, linear layers, normalisation. Any other
part of a model is refused by name; the `sentence-transformers` backend may run such a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.sentence_transformers import (
    SentenceTransformersBiEncoder,
    SentenceTransformersCrossEncoder,
)
from sidecar.models.known_models import NO_READING, Reading
from sidecar.models.preparing.errors import CannotPrepare
from sidecar.models.preparing.graph_files import take_out_words, write_graph
from sidecar.models.preparing.parity import score_all
from sidecar.models.preparing.published import MAX_TOKENS
from sidecar.models.preparing.torch_graphs import convert, export_onnx

_MODULES = frozenset({"Transformer", "Pooling", "Dense", "Normalize", "Dropout", "LayerNorm"})
_TASKS = frozenset({"feature-extraction", "sequence-classification"})


class TorchOriginal:
    """A model that sentence-transformers loads. `folder`: its published files."""

    def __init__(
        self, folder: Path, kind: str, max_tokens: int | None, reading: Reading = NO_READING
    ) -> None:
        """Load the model; raises CannotPrepare, and the errors of its backend."""
        self.backend: SentenceTransformersBiEncoder | SentenceTransformersCrossEncoder
        if kind == "cross-encoder":
            self.backend = SentenceTransformersCrossEncoder(folder, max_tokens, device="cpu")
        else:
            self.backend = SentenceTransformersBiEncoder(
                folder, "", max_tokens, reading, device="cpu"
            )
        self.model: Any = self.backend.model.float().eval()
        self.modules: list[Any] = list(self.model)
        self.kind = kind
        self._check()
        tokenizer = self.model.tokenizer
        self.max_tokens = int(self.model.max_seq_length or MAX_TOKENS)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        names = set(self.model.preprocess([("a", "b")] if kind == "cross-encoder" else ["a"]))
        self.reads_types = kind == "cross-encoder" and "token_type_ids" in names
        self.query_prompt = self.passage_prompt = ""
        if isinstance(self.backend, SentenceTransformersBiEncoder):
            self.query_prompt, self.passage_prompt = self.backend.prompts

    @property
    def dimensions(self) -> int:
        """Length of a vector; 1 for a cross-encoder."""
        if isinstance(self.backend, SentenceTransformersBiEncoder):
            return self.backend.dimensions
        return 1

    def save_tokenizer(self, path: Path) -> None:
        """Write the tokenizer as the `tokenizers` library reads it, from any published form."""
        self.model.tokenizer.backend_tokenizer.save(str(path))

    def write_openvino(self, form: str, folder: Path) -> None:
        graph = convert(self)
        write_graph(graph, take_out_words(graph), form, folder)

    def write_onnx(self, folder: Path) -> None:
        export_onnx(self, folder)

    def scores(self, query_texts: Sequence[str], passages: Sequence[str]) -> FloatArray:
        """Score each query text with each passage, shape (query texts, passages)."""
        return score_all(self.backend, query_texts, passages)

    def _check(self) -> None:
        for module in self.modules:
            place, name = type(module).__module__, type(module).__name__
            if not place.startswith("sentence_transformers.") or name not in _MODULES:
                raise CannotPrepare(f"the model has a part {name}, which a graph cannot express")
        transformer = self.modules[0]
        if type(transformer).__name__ != "Transformer":
            raise CannotPrepare(f"the model begins with {type(transformer).__name__}")
        task = getattr(transformer, "transformer_task", "feature-extraction")
        if task not in _TASKS:
            raise CannotPrepare(f"the model's task is {task}")
        tokenizer = self.model.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise CannotPrepare("the model's tokenizer has no tokenizer.json form")
        if tokenizer.padding_side != "right":
            raise CannotPrepare("the model is padded on the left, as generative ones are")
        if getattr(transformer, "query_expansion", None):
            raise CannotPrepare("the model adds tokens to its query texts")
        prompts = any(self.model.prompts.values()) or any(getattr(self.backend, "prompts", ()))
        if prompts and any(not getattr(module, "include_prompt", True) for module in self.modules):
            raise CannotPrepare("the model leaves its prompts out of the vectors")
        if prompts and self.kind == "cross-encoder":
            raise CannotPrepare("the model has prompts for pairs")
