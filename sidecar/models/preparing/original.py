"""A model as it was published, in 32-bit floats: what a prepared model is compared with.

Most models are read from their files alone and run by OpenVINO, without torch: transformers of the
BERT family from `model.safetensors`, others from the ONNX graph that they bring. What cannot be
read this way is loaded by sentence-transformers, if that is installed.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sidecar.config.main_file import Model
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.graphs import GraphBiEncoder, GraphCrossEncoder
from sidecar.models.backends.openvino import OpenVinoGraph
from sidecar.models.known_models import find_reading
from sidecar.models.prepared import Manifest
from sidecar.models.prepared_backends import default_threads
from sidecar.models.preparing.answer_graph import add_score, add_vector, reads_first_token
from sidecar.models.preparing.errors import NeedsTorch
from sidecar.models.preparing.graph_files import take_out_words, write_graph
from sidecar.models.preparing.onnx_source import read_onnx
from sidecar.models.preparing.parity import score_all
from sidecar.models.preparing.published import read_published
from sidecar.models.preparing.transformer_graph import build_transformer, has_types
from sidecar.models.preparing.weights import has_weights, read_weights
from sidecar.models.sources import find_onnx
from sidecar.models.ways import Way

_EXTRA = "pip install 'rescore-sidecar[sentence-transformers]'"


class Original(Protocol):
    """What preparing needs to know of a model, and does with it."""

    kind: str
    max_tokens: int
    pad_id: int
    reads_types: bool
    query_prompt: str
    passage_prompt: str

    @property
    def dimensions(self) -> int:
        """Length of a vector; 1 for a cross-encoder."""
        ...

    def save_tokenizer(self, path: Path) -> None:
        """Write the tokenizer as the `tokenizers` library reads it."""
        ...

    def scores(self, query_texts: Sequence[str], passages: Sequence[str]) -> FloatArray:
        """Score each query text with each passage, shape (query texts, passages)."""
        ...

    def write_openvino(self, form: str, folder: Path) -> None:
        """Write the graph with weights in that form, and the word vectors."""
        ...

    def write_onnx(self, folder: Path) -> None:
        """Write `graph.onnx`."""
        ...


def open_original(model: Model, folder: Path) -> Original:
    """Read a published model. `folder`: its files.

    Raises CannotPrepare or ValueError, with what to do, for a model that cannot be prepared, and
    ImportError if a library is missing.
    """
    try:
        if model.backend == "onnx":
            raise NeedsTorch("graphs for ONNX Runtime are exported by torch")
        return FileOriginal(model, folder)
    except NeedsTorch as reason:
        if not has_torch_weights(folder):
            raise ValueError(str(reason)) from None
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ValueError(f"{reason}, so preparing it needs torch; run: {_EXTRA}") from None
    from sidecar.models.preparing.torch_original import TorchOriginal

    return TorchOriginal(folder, model.kind, model.max_tokens, find_reading(model, folder))


def has_torch_weights(folder: Path) -> bool:
    """Whether sentence-transformers finds weights in a folder, at its root or one level below."""
    names = ("model.safetensors*", "pytorch_model.bin*")
    return any(any(folder.glob(f"{place}{name}")) for place in ("", "*/") for name in names)


class FileOriginal:
    """A model that is read from its files, without torch."""

    def __init__(self, model: Model, folder: Path) -> None:
        """Read and build it; raises NeedsTorch if another way is left, and as `open_original`."""
        reading = find_reading(model, folder)
        published = read_published(folder, model.kind, model.max_tokens, reading)
        self.kind = published.kind
        self.pad_id = published.pad_id
        self.query_prompt = published.query_prompt
        self.passage_prompt = published.passage_prompt
        self.max_tokens = published.max_tokens
        self._published = published
        onnx = find_onnx(folder)
        if has_weights(published.body):
            try:
                self._build()
                return
            except NeedsTorch:
                if onnx is None:
                    raise
        if onnx is None:
            raise NeedsTorch("the model has neither model.safetensors nor an ONNX graph")
        self._graph, self.reads_types = read_onnx(onnx, published)
        self._words = take_out_words(self._graph)

    @property
    def dimensions(self) -> int:
        return int(self._graph.outputs[0].get_partial_shape()[1].get_length())

    def save_tokenizer(self, path: Path) -> None:
        path.write_text(self._published.tokenizer, encoding="utf-8")

    def scores(self, query_texts: Sequence[str], passages: Sequence[str]) -> FloatArray:
        with tempfile.TemporaryDirectory(prefix="rescore-original-") as folder:
            return score_all(self.load(Path(folder)), query_texts, passages)

    def load(self, folder: Path) -> GraphBiEncoder | GraphCrossEncoder:
        """The model in f32, without a warm-up; its files are written to an empty folder."""
        self.save_tokenizer(folder / "tokenizer.json")
        self.write_openvino("f32", folder)
        manifest = self._manifest()
        graph = OpenVinoGraph(folder, self.kind, Way("f32", "f32"), default_threads())
        if self.kind == "cross-encoder":
            return GraphCrossEncoder(folder, manifest, graph)
        return GraphBiEncoder(folder, manifest, "", graph, graph)

    def write_openvino(self, form: str, folder: Path) -> None:
        write_graph(self._graph.clone(), self._words, form, folder)

    def write_onnx(self, folder: Path) -> None:
        raise NeedsTorch("graphs for ONNX Runtime are exported by torch")

    def _build(self) -> None:
        published = self._published
        config = published.config
        family = str(config.get("model_type"))
        weights = read_weights(published.body)
        self.reads_types = self.kind == "cross-encoder" and has_types(weights)
        transformer = build_transformer(
            config,
            weights,
            reads_types=self.reads_types,
            first_token_only=reads_first_token(published.parts, self.kind),
        )
        build, tokens = transformer.build, transformer.tokens
        if self.kind == "cross-encoder":
            answer = add_score(build, tokens, family, config, weights)
        else:
            answer = add_vector(build, tokens, transformer.mask, published.parts)
        self._graph = build.ov.Model([answer], transformer.inputs)
        self._words = transformer.words
        self.max_tokens = min(self.max_tokens, transformer.positions)

    def _manifest(self) -> Manifest:
        """For the original itself, in 32-bit floats."""
        return Manifest(
            kind=self.kind,
            backend="openvino",
            precision="f32",
            forms=("f32",),
            max_tokens=self.max_tokens,
            dimensions=self.dimensions,
            pad_id=self.pad_id,
            reads_types=self.reads_types,
            query_prompt=self.query_prompt,
            passage_prompt=self.passage_prompt,
        )
