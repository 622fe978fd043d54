"""Reads a published ONNX graph by OpenVINO and completes it: pooling, length 1, inputs by name.

Such graphs are what transformers' exporters write (`onnx/model.onnx` on the Hugging Face hub): ids,
mask and token types in; token vectors, a finished vector, or a cross-encoder's scores out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.models.backends.openvino import import_openvino
from sidecar.models.preparing.answer_graph import add_vector, check_one_score
from sidecar.models.preparing.errors import NeedsTorch
from sidecar.models.preparing.published import PublishedModel
from sidecar.models.preparing.quantised_graph import undo_quantisation
from sidecar.models.preparing.transformer_graph import GraphBuilder, Tensors

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_VECTORS = ("sentence_embedding", "text_embeds")


def read_onnx(path: Path, published: PublishedModel) -> tuple[Any, bool]:
    """The whole graph, with the table of words still in it, and whether it reads token types.

    Raises NeedsTorch for a graph with other inputs or answers, ValueError for one whose pooling
    nothing names, and RuntimeError for a damaged file.
    """
    ov = import_openvino()
    graph = ov.Core().read_model(str(path))
    given = {_name(node): node for node in graph.inputs}
    if unknown := sorted(set(given) - set(_INPUTS)):
        raise NeedsTorch(f"the graph has an input {', '.join(unknown)}")
    if not {"input_ids", "attention_mask"} <= set(given):
        raise NeedsTorch("the graph does not read input_ids and attention_mask")
    undo_quantisation(graph)
    build = GraphBuilder(Tensors({}))
    reads_types = published.kind == "cross-encoder" and "token_type_ids" in given
    names = _INPUTS[: 3 if reads_types else 2]
    inputs = {name: build.parameter(name, ov.Type.i64, -1, -1) for name in names}
    answer = _answer(graph, published.kind)
    for name, node in given.items():
        source = inputs.get(name) or _zeros(build, inputs["input_ids"])
        if node.get_element_type() != ov.Type.i64:
            source = build.ops.convert(source, node.get_element_type())
        node.replace(source.output(0))
    answer = (
        build.ops.convert(answer, "f32") if answer.get_element_type() != ov.Type.f32 else answer
    )
    whole = ov.Model(
        [_complete(build, answer, inputs["attention_mask"], published)], list(inputs.values())
    )
    whole.validate_nodes_and_infer_types()
    return whole, reads_types


def _complete(build: GraphBuilder, answer: Any, mask: Any, published: PublishedModel) -> Any:
    rank = _shape(answer).rank.get_length()
    if published.kind == "cross-encoder":
        if rank != 2:
            raise NeedsTorch("the graph gives no score for a pair")
        size = _shape(answer)[1]
        check_one_score(size.get_length() if size.is_static else 1)
        return build.ops.reshape(answer, build.integers(-1, 1), False)
    parts = published.parts
    if rank == 2:
        parts = ()
    elif rank != 3:
        raise NeedsTorch(f"the graph's answer has {rank} dimensions")
    elif not any(part.pooling for part in parts):
        raise ValueError(
            "the graph gives a vector for each token and no file says how they become one; write "
            "pooling: mean or pooling: cls for this model, as its authors say"
        )
    return add_vector(build, answer, mask, parts)


def _answer(graph: Any, kind: str) -> Any:
    """What feeds the output that matters."""
    outputs = {_name(node): node for node in graph.outputs}
    chosen = graph.outputs[0]
    if kind == "bi-encoder":
        chosen = next((outputs[name] for name in _VECTORS if name in outputs), chosen)
    return chosen.get_node().input_value(0)


def _zeros(build: GraphBuilder, ids: Any) -> Any:
    """Token types of a text that stands alone."""
    shape = build.ops.shape_of(ids)
    return build.ops.broadcast(build.ops.constant(0, build.ov.Type.i64), shape)


def _name(output: Any) -> str:
    names = sorted(output.get_names())
    return next(
        (name for name in names if name in (*_INPUTS, *_VECTORS)), names[0] if names else ""
    )


def _shape(value: Any) -> Any:
    output = value.output(0) if hasattr(value, "output") else value
    return output.get_partial_shape()
