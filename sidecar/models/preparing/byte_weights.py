"""Stores the weights of linear layers in one byte each.

A row (one output of a layer) has a scale and a zero point: weight = (code - zero point) x scale.
The graph keeps the codes and computes the weights from them with the pattern of operations that
OpenVINO recognises as compressed weights (constant, convert, subtract, multiply, convert; see
"LLM weight compression" in its documentation). OpenVINO then multiplies the codes themselves, with
activations that it converts to one byte at run time (`backends/openvino.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.openvino import import_openvino

_CODES = 255


def compress_weights(graph: Any) -> int:
    """Change a graph's linear layers, in place; returns their number."""
    ops = import_openvino().opset15
    count = 0
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        weight = constant_floats(node.input_value(1))
        if weight is None or weight.ndim != 2:
            continue
        attributes = node.get_attributes()
        rows = weight if attributes["transpose_b"] else np.ascontiguousarray(weight.T)
        product = ops.matmul(
            node.input_value(0), _decompression(ops, rows), attributes["transpose_a"], True
        )
        product.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(product.output(0))
        count += 1
    graph.validate_nodes_and_infer_types()
    return count


def round_rows(weight: FloatArray) -> tuple[NDArray[np.uint8], NDArray[np.uint8], FloatArray]:
    """Codes, zero points and scales of a weight of shape (outputs, inputs).

    Zero points and scales have the shape (outputs, 1). Scales have the digits of 16-bit floats.
    """
    least = np.minimum(weight.min(axis=1, keepdims=True), 0)
    most = np.maximum(weight.max(axis=1, keepdims=True), 0)
    scales = ((most - least) / _CODES).astype(np.float16).astype(np.float32)
    scales[scales == 0] = 1
    zero_points = np.clip(np.rint(-least / scales), 0, _CODES)
    codes = np.clip(np.rint(weight / scales) + zero_points, 0, _CODES)
    return codes.astype(np.uint8), zero_points.astype(np.uint8), scales


def _decompression(ops: Any, weight: FloatArray) -> Any:
    codes, zero_points, scales = round_rows(weight)
    numbers = ops.convert(ops.constant(codes), "f16")
    centred = ops.subtract(numbers, ops.convert(ops.constant(zero_points), "f16"))
    return ops.convert(ops.multiply(centred, ops.constant(scales.astype(np.float16))), "f32")


def constant_floats(output: Any) -> FloatArray | None:
    """The numbers of a constant of floats, seen through a change of their type; else None."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or not node.get_element_type().is_real():
        return None
    return np.array(node.data, np.float32)
