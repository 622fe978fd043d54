"""A model of torch as one graph: tokens in, a vector of length 1 or a score out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.models.backends.openvino import import_openvino
from sidecar.models.preparing.original import CannotPrepare, OriginalModel

if TYPE_CHECKING:
    import torch

# Layers that are built like BERT's, down to the names of their parts.
_LIKE_BERT = frozenset({"BertLayer", "RobertaLayer", "XLMRobertaLayer", "ElectraLayer"})
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def export_openvino(original: OriginalModel, precision: str, folder: Path) -> None:
    """Write `graph.xml`, `graph.bin` and `words.npy`. Changes the model: use it no more.

    `int8` is for the weights of all linear layers, one scale an output; what the activations
    become is decided as they come (`backends/openvino.py`).
    """
    ov = import_openvino()
    function, example = _traceable(original)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing, to those who wrote the model
        graph = ov.convert_model(
            function, example_input=example, input=[ov.PartialShape([-1, -1])] * len(example)
        )
    for node, name in zip(graph.inputs, _INPUTS, strict=False):
        node.set_names({name})
    words = _take_out_words(ov, graph)
    if precision == "int8":
        import nncf

        graph = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM)
    small = precision != "f32"
    ov.save_model(graph, folder / "graph.xml", compress_to_fp16=small)
    np.save(folder / "words.npy", words.astype(np.float16) if small else words)


def export_onnx(original: OriginalModel, folder: Path) -> None:
    """Write `graph.onnx`. Changes the model: use it no more."""
    import torch

    function, example = _traceable(original)
    names = _INPUTS[: len(example)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            function,
            example,
            folder / "graph.onnx",
            input_names=list(names),
            output_names=["answer"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in (*names, "answer")},
            dynamo=False,
        )


def _traceable(original: OriginalModel) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """The model as a function of arrays, and arrays to call it with."""
    import torch

    class Function(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(original.modules)

        def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
            features: dict[str, Any] = dict(zip(_INPUTS, arrays, strict=False))
            for part in self.parts:
                features = part(features)
            scores: torch.Tensor
            if original.kind == "cross-encoder":
                scores = features["scores"].reshape(-1, 1)
                return scores
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

    _read_last_layer_for_first_token(original)
    # Two texts of different lengths, so that the trace has padding in it.
    ids = torch.full((2, 16), original.pad_id, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    arrays = (ids, mask, torch.zeros_like(ids))
    return Function().eval(), arrays[: 3 if original.reads_types else 2]


def _read_last_layer_for_first_token(original: OriginalModel) -> None:
    """Where only the first token's vector is used, compute no other in the last layer.

    The other tokens' keys and values are still needed, so this saves the queries, the attention's
    output and the feed-forward part: 14 % of a model of six layers, with the same result.
    """
    pooling = [m for m in original.modules if type(m).__name__ == "Pooling"]
    if original.kind == "bi-encoder" and [m.pooling_mode for m in pooling] != ["cls"]:
        return
    layers = [
        module
        for module in original.modules[0].modules()
        if type(module).__name__ in _LIKE_BERT and not module.is_decoder
    ]
    if not layers:
        return
    layer = layers[-1]

    def forward(hidden: torch.Tensor, mask: torch.Tensor | None = None, *_: Any, **__: Any) -> Any:
        import torch

        attention = layer.attention.self
        first = hidden[:, :1]

        def heads(projection: Any, tokens: torch.Tensor) -> Any:
            size = attention.attention_head_size
            return projection(tokens).view(*tokens.shape[:-1], -1, size).transpose(1, 2)

        read = torch.nn.functional.scaled_dot_product_attention(
            heads(attention.query, first),
            heads(attention.key, hidden),
            heads(attention.value, hidden),
            attn_mask=None if mask is None else mask[:, :, :1],
        )
        read = read.transpose(1, 2).flatten(2)
        return layer.feed_forward_chunk(layer.attention.output(read, first))

    layer.forward = forward


def _take_out_words(ov: Any, graph: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make the words' vectors an input of the graph, the last one; returns their table."""
    ids = graph.inputs[0]
    for node in graph.get_ops():
        if node.get_type_name() != "Gather":
            continue
        table, rows = node.input_value(0), node.input_value(1)
        if not _comes_from(rows, ids) or table.get_node().get_type_name() != "Constant":
            continue
        values = np.array(table.get_node().data, np.float32)
        words = ov.op.Parameter(ov.Type.f32, ov.PartialShape([-1, -1, values.shape[1]]))
        words.output(0).set_names({"words"})
        node.output(0).replace(words.output(0))
        graph.add_parameters([words])
        graph.validate_nodes_and_infer_types()
        return values
    raise CannotPrepare("the model has no table of word vectors")


def _comes_from(output: Any, source: Any) -> bool:
    """Whether it is that input, but for a change of its number type."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        return _comes_from(node.input_value(0), source)
    return bool(node.get_friendly_name() == source.get_node().get_friendly_name())
