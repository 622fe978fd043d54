"""Multiplies bytes with fixed scales for the activations, where a layer's rounding is small.

The form `int8` finds the scales of the activations at run time, for groups of 64 numbers. Fixed
scales save that work, but one scale for all inputs of a layer is too coarse: a transformer has a
few channels whose numbers are many times those of the others. So each channel is first divided by
a factor of its own, and the weights that read the channel are multiplied by it, as SmoothQuant does
(Xiao et al. 2022, arXiv:2211.10438). Channels are also shifted, so that the range of each begins at
zero and unsigned bytes have no zero point (as in Wei et al. 2023, arXiv:2304.09145). What the shift
and the rounding of the weights add to a layer's mean output is taken off its bias.

Ranges are measured on passages of the sample collection that the gate does not read, and on random
word pieces. A layer whose outputs are still too far off keeps the form `int8`: for all-MiniLM-L6-v2
these are the second linear layers of the first four feed-forward parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.graphs import TokenReader
from sidecar.models.backends.openvino import WORDS, graph_file, import_openvino
from sidecar.models.prepared import Manifest
from sidecar.models.preparing.byte_weights import compress_weights, constant_floats
from sidecar.models.preparing.parity import calibration_texts

FIXED = "int8-fixed"
"""Name of the form."""

MOST_ERROR = 0.025
"""The largest error of a layer with fixed scales, as a share of its outputs. All but the layers
named above stay below 0.02; those have 0.04 to 0.06."""

# How much of the difference between channels goes to the weights: 1 makes all ranges alike. The
# mean Spearman of all-MiniLM-L6-v2 on three collections, with every layer fixed: 0.9965 with 0.7,
# 0.9973 with 0.8, 0.9970 with 0.85 (better in the first layers), 0.9938 with 1.
_TO_WEIGHTS = 0.85
_STEPS = 255
_LARGEST_CODE = 127
_SMALLEST = 1e-5
# Rows of each layer's inputs for its error: 64 KiB a row for all-MiniLM-L6-v2.
_SAMPLE_ROWS = 512
_ROWS_A_TEXT = 6
_SEED = 7


@dataclass(slots=True)
class _Inputs:
    """What is measured of the inputs of one or several layers; arrays have a number a channel."""

    low: FloatArray
    high: FloatArray
    total: NDArray[np.float64]
    count: int
    sample: list[FloatArray]

    def add(self, rows: FloatArray, chosen: NDArray[np.int64]) -> None:
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.count += len(rows)
        if sum(map(len, self.sample)) < _SAMPLE_ROWS:
            self.sample.append(rows[chosen])

    @property
    def mean(self) -> FloatArray:
        return (self.total / self.count).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Scales:
    """code = (input - low) / factor / step, from 0 to 255; arrays have a number a channel."""

    low: FloatArray
    factor: FloatArray
    step: float

    def round(self, rows: FloatArray) -> FloatArray:
        """The inputs as the codes give them back."""
        codes = np.clip(np.rint((rows - self.low) / self.factor / self.step), 0, _STEPS)
        restored: FloatArray = codes * self.step * self.factor + self.low
        return restored


def write_fixed_scales(folder: Path, manifest: Manifest) -> None:
    """Write this form of a prepared folder's f32 graph, which is there with its word vectors.

    Raises ValueError if no layer can have fixed scales.
    """
    ov = import_openvino()
    graph = ov.Core().read_model(str(graph_file(folder, "f32")))
    if not fix_scales(graph, calibration_inputs(folder, manifest)):
        raise ValueError("no layer keeps its outputs with fixed scales")
    compress_weights(graph)
    # Two-byte floats would round factors and ranges.
    ov.save_model(graph, graph_file(folder, FIXED), compress_to_fp16=False)


def calibration_inputs(folder: Path, manifest: Manifest) -> Iterator[list[NDArray[Any]]]:
    """Inputs of the graph, text by text, each once more with random pieces."""
    tokens = TokenReader(folder, manifest)
    words = np.load(folder / WORDS, mmap_mode="r")
    queries, passages = calibration_texts()
    if manifest.kind == "cross-encoder":
        encodings = [
            tokens.pairs(queries[number % len(queries)], [passage])[0]
            for number, passage in enumerate(passages)
        ]
    else:
        encodings = [
            *tokens.texts(manifest.query_prompt, queries),
            *tokens.texts(manifest.passage_prompt, passages),
        ]
    numbers = np.random.default_rng(_SEED)
    for encoding in encodings:
        inputs = tokens.arrays([encoding])
        others = [array.copy() for array in inputs]
        places = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
        others[0][0, places] = numbers.integers(0, len(words), len(places))
        for arrays in (inputs, others):
            yield [*arrays, words[arrays[0]].astype(np.float32)]


def fix_scales(
    graph: Any, batches: Iterable[Sequence[NDArray[Any]]], most_error: float = MOST_ERROR
) -> int:
    """Change the linear layers that keep their outputs, in place; returns their number.

    `batches`: inputs of the graph, of one text each.
    """
    groups = _groups(graph)
    count = 0
    for nodes, inputs in zip(groups, _measure(graph, groups, batches), strict=True):
        weights = [_rows(node) for node in nodes]
        scales = _find_scales(inputs, np.concatenate(weights))
        if _error(inputs, scales, np.concatenate(weights)) > most_error:
            continue
        source = _quantise(nodes[0].input_value(0), scales)
        for node, rows in zip(nodes, weights, strict=True):
            _replace(node, source, rows, scales, inputs.mean)
        count += len(nodes)
    graph.validate_nodes_and_infer_types()
    return count


def _groups(graph: Any) -> list[list[Any]]:
    """The linear layers that read tokens; those with the same input, such as query and key,
    together."""
    groups: dict[tuple[str, int], list[Any]] = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.get_attributes()["transpose_a"]:
            continue
        source, weight = node.input_value(0), constant_floats(node.input_value(1))
        if weight is None or weight.ndim != 2 or source.get_partial_shape().rank.get_length() != 3:
            continue
        place = source.get_node().get_friendly_name(), source.get_index()
        groups.setdefault(place, []).append(node)
    return list(groups.values())


def _measure(
    graph: Any, groups: Sequence[Sequence[Any]], batches: Iterable[Sequence[NDArray[Any]]]
) -> list[_Inputs]:
    """What the layers of each group read."""
    ov = import_openvino()
    copy = graph.clone()
    by_name = {node.get_friendly_name(): node for node in copy.get_ordered_ops()}
    read = [by_name[nodes[0].get_friendly_name()].input_value(0) for nodes in groups]
    results = [ov.opset15.result(value) for value in read]
    observed = ov.Model([*copy.get_results(), *results], copy.get_parameters())
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(observed, "CPU", settings).create_infer_request()
    sizes = [_rows(nodes[0]).shape[1] for nodes in groups]
    measured = [
        _Inputs(
            np.full(size, np.inf, np.float32),
            np.full(size, -np.inf, np.float32),
            np.zeros(size),
            0,
            [],
        )
        for size in sizes
    ]
    numbers = np.random.default_rng(_SEED)
    for inputs in batches:
        is_read = inputs[1][0] > 0
        answers = request.infer(list(inputs))
        for number, one in enumerate(measured):
            rows = answers[len(copy.get_results()) + number][0]
            if len(rows) == len(is_read):  # not if it is the first token's alone
                rows = rows[is_read]
            one.add(rows, numbers.integers(0, len(rows), _ROWS_A_TEXT))
    return measured


def _find_scales(inputs: _Inputs, weights: FloatArray) -> _Scales:
    half = np.maximum((inputs.high - inputs.low) / 2, _SMALLEST)
    largest = np.maximum(np.abs(weights).max(axis=0), _SMALLEST)
    factor = half**_TO_WEIGHTS / largest ** (1 - _TO_WEIGHTS)
    # Channels whose range is below the widest keep their middle, and use fewer codes.
    bound = float((half / factor).max())
    low = (inputs.low + inputs.high) / 2 - factor * bound
    return _Scales(low, factor, 2 * bound / _STEPS)


def _error(inputs: _Inputs, scales: _Scales, weights: FloatArray) -> float:
    """How far a layer's outputs are off, as a share of their length; the root of the mean square
    over tokens. A share for each token, because a few tokens have outputs far above the others."""
    sample = np.concatenate(inputs.sample)
    codes, steps = _round_weights(weights * scales.factor)
    outputs = (sample - inputs.mean) @ weights.T
    restored = (scales.round(sample) - inputs.mean) @ (codes * steps / scales.factor).T
    lengths = np.maximum((outputs**2).sum(axis=1), _SMALLEST**2)
    return float(np.sqrt((((restored - outputs) ** 2).sum(axis=1) / lengths).mean()))


def _round_weights(weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Codes, and the steps of each row: shape (outputs, 1)."""
    steps = np.maximum(np.abs(weights).max(axis=1, keepdims=True), _SMALLEST**2) / _LARGEST_CODE
    return np.rint(weights / steps).astype(np.int8), steps.astype(np.float32)


def _quantise(source: Any, scales: _Scales) -> Any:
    """The operations that OpenVINO turns into bytes: it has no scales by channel for activations,
    so factors and shifts come before."""
    ops = import_openvino().opset15
    shape = (1, 1, -1)
    divided = ops.multiply(source, ops.constant((1 / scales.factor).reshape(shape)))
    shifted = ops.add(divided, ops.constant((-scales.low / scales.factor).reshape(shape)))
    ends = np.float32(0), np.float32(scales.step * _STEPS)
    return ops.fake_quantize(shifted, *ends, *ends, _STEPS + 1)


def _replace(
    node: Any, source: Any, weights: FloatArray, scales: _Scales, mean: FloatArray
) -> None:
    ops = import_openvino().opset15
    codes, steps = _round_weights(weights * scales.factor)
    restored = codes * steps / scales.factor
    bytes_ = ops.multiply(ops.convert(ops.constant(codes), "f32"), ops.constant(steps))
    product = ops.matmul(source, bytes_, False, True)
    product.set_friendly_name(node.get_friendly_name())
    last, bias = _bias(node)
    offset = bias + restored @ scales.low + (weights - restored) @ mean
    total = ops.add(product, ops.constant(offset.astype(np.float32).reshape(1, 1, -1)))
    last.output(0).replace(total.output(0))


def _bias(node: Any) -> tuple[Any, FloatArray]:
    """The sum of a product and its bias, and the bias; the product and 0 if there is none."""
    none = node, np.zeros(1, np.float32)
    readers = list(node.output(0).get_target_inputs())
    if len(readers) != 1 or readers[0].get_node().get_type_name() != "Add":
        return none
    total = readers[0].get_node()
    bias = constant_floats(total.input_value(1 - readers[0].get_index()))
    outputs = node.get_output_partial_shape(0)[2].get_length()
    if bias is None or bias.size != outputs:
        return none
    return total, bias.reshape(-1)


def _rows(node: Any) -> FloatArray:
    """A layer's weights, shape (outputs, inputs)."""
    weight = constant_floats(node.input_value(1))
    assert weight is not None
    return weight if node.get_attributes()["transpose_b"] else np.ascontiguousarray(weight.T)
