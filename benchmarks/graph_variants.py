"""Changes of a transformer's graph that may make it faster: what `engine_forms.py` compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.openvino import import_openvino

Calibration = Sequence[Sequence[NDArray[Any]]]
"""Inputs of a graph, batch by batch, on which fixed scales are measured."""

_LEVELS = 256
_SYMMETRIC_LEVELS = 255
# Share of the activations between the bounds of a fixed scale.
_INSIDE = 0.9999
_HIDDEN = np.float32(-65504)


def fuse_projections(graph: Any) -> int:
    """Compute query, key and value of a layer in one product; returns the number of layers."""
    ops = import_openvino().opset15
    readers: dict[str, list[Any]] = {}
    for node in _products(graph):
        source = node.input_value(0)
        name = f"{source.get_node().get_friendly_name()}:{source.get_index()}"
        readers.setdefault(name, []).append(node)
    count = 0
    for nodes in readers.values():
        sums = [found for node in nodes if (found := _biased(node)) is not None]
        if len(nodes) != 3 or len(sums) != 3:
            continue
        weights = [_rows(node) for node in nodes]
        biases = [bias.reshape(-1) for _, bias in sums]
        product = ops.matmul(
            nodes[0].input_value(0), ops.constant(np.concatenate(weights)), False, True
        )
        whole = ops.add(product, ops.constant(np.concatenate(biases)))
        lengths = np.array([len(rows) for rows in weights], np.int64)
        parts = ops.variadic_split(whole, np.int64(2), lengths)
        for number, (total, _) in enumerate(sums):
            total.output(0).replace(parts.output(number))
        count += 1
    graph.validate_nodes_and_infer_types()
    return count


def use_tanh(graph: Any) -> int:
    """Compute GELU by its approximation with tanh; returns the number of activations."""
    ops = import_openvino().opset15
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Gelu"]
    for node in nodes:
        node.output(0).replace(ops.gelu(node.input_value(0), "tanh").output(0))
    graph.validate_nodes_and_infer_types()
    return len(nodes)


def decompose_attention(graph: Any) -> int:
    """Two products and a softmax in the place of the attention operation; returns their number."""
    ops = import_openvino().opset15
    names = "ScaledDotProductAttention"
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == names]
    for node in nodes:
        query, key, value, mask = (node.input_value(number) for number in range(4))
        size = query.get_partial_shape()[3].get_length()
        scores = ops.matmul(query, key, False, True)
        scores = ops.multiply(scores, np.float32(size**-0.5))
        if mask.get_element_type().get_type_name() == "boolean":
            mask = ops.select(mask, np.float32(0), _HIDDEN).output(0)
        shares = ops.softmax(ops.add(scores, mask), 3)
        node.output(0).replace(ops.matmul(shares, value, False, False).output(0))
    graph.validate_nodes_and_infer_types()
    return len(nodes)


def quantise_statically(graph: Any, calibration: Calibration) -> int:
    """Give each product with weights fixed scales for its activations; returns their number.

    OpenVINO's low-precision transformations turn this into products of bytes.
    """
    ops = import_openvino().opset15
    nodes = list(_products(graph))
    bounds = _find_bounds(graph, nodes, calibration)
    for node, (low, high) in zip(nodes, bounds, strict=True):
        rows = _rows(node)
        inputs = ops.fake_quantize(
            node.input_value(0), *(np.float32(bound) for bound in (low, high) * 2), _LEVELS
        )
        most = np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.float32(1e-9))
        weights = ops.fake_quantize(ops.constant(rows), -most, most, -most, most, _SYMMETRIC_LEVELS)
        node.output(0).replace(ops.matmul(inputs, weights, False, True).output(0))
    graph.validate_nodes_and_infer_types()
    return len(nodes)


def _find_bounds(
    graph: Any, nodes: Sequence[Any], calibration: Calibration
) -> list[tuple[float, float]]:
    """The bounds of the activations that each product reads."""
    ov = import_openvino()
    copy = graph.clone()
    by_name = {node.get_friendly_name(): node for node in copy.get_ordered_ops()}
    read = [by_name[node.get_friendly_name()].input_value(0) for node in nodes]
    results = [ov.opset15.result(value) for value in read]
    observed = ov.Model([*copy.get_results(), *results], copy.get_parameters())
    compiled = ov.Core().compile_model(observed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    lows = np.full(len(nodes), np.inf)
    highs = np.full(len(nodes), -np.inf)
    for inputs in calibration:
        answers = compiled(list(inputs))
        for number in range(len(nodes)):
            values = answers[number + 1]
            low, high = np.quantile(values, [1 - _INSIDE, _INSIDE])
            lows[number] = min(lows[number], low, 0)
            highs[number] = max(highs[number], high, 1e-6)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))


def _products(graph: Any) -> list[Any]:
    """The products of activations with weights."""
    return [
        node
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "MatMul"
        and node.input_value(1).get_node().get_type_name() == "Constant"
        and len(node.input_value(1).get_shape()) == 2
    ]


def _rows(node: Any) -> FloatArray:
    """A product's weights, shape (outputs, inputs)."""
    weight = np.array(node.input_value(1).get_node().data, np.float32)
    return weight if node.get_attributes()["transpose_b"] else np.ascontiguousarray(weight.T)


def _biased(node: Any) -> tuple[Any, FloatArray] | None:
    """The sum of a product and its bias, and the bias; None if there is none."""
    readers = list(node.output(0).get_target_inputs())
    if len(readers) != 1 or readers[0].get_node().get_type_name() != "Add":
        return None
    total = readers[0].get_node()
    for side in (0, 1):
        other = total.input_value(side).get_node()
        if other.get_type_name() == "Constant":
            return total, np.array(other.data, np.float32)
    return None
