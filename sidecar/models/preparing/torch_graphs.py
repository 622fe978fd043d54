"""Turns a model of torch into one graph: tokens in, a vector of length 1 or a score out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.models.backends.openvino import import_openvino

if TYPE_CHECKING:
    import torch

    from sidecar.models.preparing.torch_original import TorchOriginal

# Layers with the structure of BERT's and the same names of their parts.
_LIKE_BERT = frozenset({"BertLayer", "RobertaLayer", "XLMRobertaLayer", "ElectraLayer"})
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def convert(original: TorchOriginal) -> Any:
    """The model as a graph of OpenVINO. Changes the model: only convert or export it again."""
    ov = import_openvino()
    function, example = _traceable(original)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are for the model's authors
        graph = ov.convert_model(
            function, example_input=example, input=[ov.PartialShape([-1, -1])] * len(example)
        )
    for node, name in zip(graph.inputs, _INPUTS, strict=False):
        node.set_names({name})
    return graph


def export_onnx(original: TorchOriginal, folder: Path) -> None:
    """Write `graph.onnx`. Changes the model: only convert or export it again."""
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


def _traceable(original: TorchOriginal) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """The model as a function of arrays, and example arrays."""
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


def _read_last_layer_for_first_token(original: TorchOriginal) -> None:
    """If only the first token's vector is used, compute no other vector in the last layer.

    `transformer_graph.py` says what this saves.
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

        attended = torch.nn.functional.scaled_dot_product_attention(
            heads(attention.query, first),
            heads(attention.key, hidden),
            heads(attention.value, hidden),
            attn_mask=None if mask is None else mask[:, :, :1],
        )
        attended = attended.transpose(1, 2).flatten(2)
        return layer.feed_forward_chunk(layer.attention.output(attended, first))

    layer.forward = forward
