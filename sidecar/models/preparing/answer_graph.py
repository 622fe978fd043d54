"""Adds to a transformer's graph what turns token vectors into one vector or one score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.preparing.errors import NeedsTorch
from sidecar.models.preparing.published import ModelPart
from sidecar.models.preparing.transformer_graph import GraphBuilder, Tensors
from sidecar.models.preparing.weights import read_weights

# Of torch's functions `normalize` and `LayerNorm`.
_SMALLEST_LENGTH = 1e-12
_NORM_EPSILON = 1e-5
_SMALLEST_COUNT = 1e-9
# Far below any number of a token vector, and within the range of 16-bit floats.
_HIDDEN = 6e4


def reads_first_token(parts: Sequence[ModelPart], kind: str) -> bool:
    """Whether the answer comes from the first token's vector alone."""
    return kind == "cross-encoder" or [
        part.pooling for part in parts if part.name == "Pooling"
    ] == ["cls"]


def add_vector(build: GraphBuilder, tokens: Any, mask: Any, parts: Sequence[ModelPart]) -> Any:
    """A vector of length 1 for each text, shape (texts, size)."""
    ops = build.ops
    rows = tokens
    for part in parts:
        if part.name == "Pooling":
            rows = _pool(build, tokens, mask, str(part.pooling))
        elif part.name == "Normalize":
            rows = _to_length_1(build, rows)
        else:
            own = GraphBuilder(Tensors(read_weights(part.folder)))
            if part.name == "LayerNorm":
                rows = own.layer_norm(rows, "norm", _NORM_EPSILON)
            else:
                has_bias = "linear.bias" in own.tensors.by_name
                rows = own.linear(rows, "linear", bias=has_bias)
                if part.activation == "tanh":
                    rows = ops.tanh(rows)
                elif part.activation:
                    rows = build.activation(rows, part.activation)
    return _to_length_1(build, rows)


def add_score(
    build: GraphBuilder,
    tokens: Any,
    family: str,
    config: Mapping[str, Any],
    weights: Mapping[str, FloatArray],
) -> Any:
    """A raw score for each pair, shape (pairs, 1), by the head of the published cross-encoder.

    Raises ValueError if the head gives several numbers for a pair.
    """
    ops = build.ops
    first = _first(build, tokens)
    if family == "bert":
        first = ops.tanh(build.linear(first, "pooler.dense"))
        last = "/classifier"
    elif family == "distilbert":
        first = ops.relu(build.linear(first, "/pre_classifier"))
        last = "/classifier"
    else:
        first = ops.tanh(build.linear(first, "/classifier.dense"))
        last = "/classifier.out_proj"
    name = f"{last[1:]}.weight"
    if name not in weights:
        raise NeedsTorch(f"the weights have no {name}")
    check_one_score(len(weights[name]))
    return build.linear(first, last)


def check_one_score(numbers: int) -> None:
    """Raise ValueError if a cross-encoder gives several numbers for a pair."""
    if numbers != 1:
        raise ValueError(
            f"the model gives {numbers} numbers a pair, a score is one; "
            "use a cross-encoder that was trained for ranking"
        )


def _pool(build: GraphBuilder, tokens: Any, mask: Any, pooling: str) -> Any:
    ops = build.ops
    axis = build.integers(1)
    if pooling == "cls":
        return _first(build, tokens)
    is_read = ops.unsqueeze(ops.convert(mask, "f32"), build.integers(2))
    if pooling == "max":
        hidden = ops.multiply(ops.subtract(is_read, np.float32(1)), np.float32(_HIDDEN))
        return ops.reduce_max(ops.add(tokens, hidden), axis)
    total = ops.reduce_sum(ops.multiply(tokens, is_read), axis)
    count = ops.maximum(ops.reduce_sum(is_read, axis), np.float32(_SMALLEST_COUNT))
    return ops.divide(total, ops.sqrt(count) if pooling == "mean_sqrt_len_tokens" else count)


def _first(build: GraphBuilder, tokens: Any) -> Any:
    ops = build.ops
    return ops.gather(tokens, np.int64(0), np.int64(1))


def _to_length_1(build: GraphBuilder, rows: Any) -> Any:
    return build.ops.normalize_l2(rows, build.integers(1), _SMALLEST_LENGTH, "max")
