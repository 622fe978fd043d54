"""Turns the dynamic quantisation of an ONNX graph back into floats.

ONNX Runtime's quantiser (`model_quantized.onnx`, `-q` in the names of jars) converts activations to
one byte, with one scale for all texts of a batch: so a text's vector depends on its neighbours. The
weights have one byte and a scale. Multiplied out, they are ordinary weights, and this package
stores those in bytes by its own means. Only the rounding of the published weights remains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.openvino import import_openvino
from sidecar.models.preparing.errors import NeedsTorch

# What OpenVINO makes of DynamicQuantizeLinear, from the bytes up to the float that they stand for.
_QUANTISING = ("Subtract", "Convert", "Convert", "Clamp", "Add", "Round", "Divide", "Multiply")


def undo_quantisation(graph: Any) -> int:
    """Change products of whole numbers into products of floats, in place; returns their number.

    Raises NeedsTorch for a graph that is quantised in another way.
    """
    ops = import_openvino().opset15
    count = 0
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        if not node.input_value(0).get_element_type().is_integral():
            continue
        scaled = _only_reader(_only_reader(node, "Convert"), "Multiply")
        weight = _codes(node.input_value(1)) * _weight_scale(scaled)
        product = ops.matmul(_floats(node.input_value(0)), ops.constant(weight), False, False)
        product.set_friendly_name(node.get_friendly_name())
        scaled.output(0).replace(product.output(0))
        count += 1
    graph.validate_nodes_and_infer_types()
    return count


def _floats(output: Any) -> Any:
    """The floats from which the bytes of an activation were made."""
    for name in _QUANTISING:
        node = output.get_node()
        if node.get_type_name() != name:
            raise _unknown()
        output = node.input_value(0)
    return output


def _codes(output: Any) -> FloatArray:
    """A weight's codes less its zero points."""
    node = output.get_node()
    if node.get_type_name() != "Subtract":
        raise _unknown()
    codes, zero_points = (_constant(node.input_value(side)) for side in (0, 1))
    return codes - zero_points


def _weight_scale(scaled: Any) -> FloatArray:
    """The weight's part of the scale of a product: the constant factor."""
    for side in (0, 1):
        factors = scaled.input_value(side).get_node()
        if factors.get_type_name() != "Multiply":
            continue
        for which in (0, 1):
            if factors.input_value(which).get_node().get_type_name() == "Constant":
                return _constant(factors.input_value(which))
    raise _unknown()


def _constant(output: Any) -> FloatArray:
    node = output.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        raise _unknown()
    return np.array(node.data, np.float32)


def _only_reader(node: Any, name: str) -> Any:
    readers = list(node.output(0).get_target_inputs())
    if len(readers) != 1 or readers[0].get_node().get_type_name() != name:
        raise _unknown()
    return readers[0].get_node()


def _unknown() -> NeedsTorch:
    return NeedsTorch(
        "the graph is quantised in an unknown way; take the same model's graph in 32-bit floats"
    )
