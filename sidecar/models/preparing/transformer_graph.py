"""Builds the graph of a BERT-like transformer from its weights, by OpenVINO's own operations.

The families are `bert`, `roberta`, `xlm-roberta`, `camembert`, `distilbert` and `mpnet`. They
differ in the names of their weights and in their positions. The equations are those of BERT (Devlin
et al. 2019, arXiv:1810.04805): a layer is attention and a feed-forward part, each followed by
a residual sum and layer normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.openvino import import_openvino
from sidecar.models.preparing.errors import NeedsTorch

_ROBERTA_LIKE = frozenset({"roberta", "xlm-roberta", "camembert"})
_ACTIVATIONS: Mapping[str, tuple[str, str]] = {
    "gelu": ("gelu", "erf"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_fast": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
}


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of a family's weights within a layer, and of its settings."""

    layer: str = "encoder.layer.{}."
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    widening: str = "intermediate.dense"
    narrowing: str = "output.dense"
    output_norm: str = "output.LayerNorm"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    activation: str = "hidden_act"


_BERT = _Names()
_DISTILBERT = _Names(
    layer="transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    widening="ffn.lin1",
    narrowing="ffn.lin2",
    output_norm="output_layer_norm",
    layers="n_layers",
    heads="n_heads",
    activation="activation",
)
_MPNET = _Names(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    attention_output="attention.attn.o",
    attention_norm="attention.LayerNorm",
)
_FAMILIES: Mapping[str, _Names] = {
    "bert": _BERT,
    "distilbert": _DISTILBERT,
    "mpnet": _MPNET,
    **dict.fromkeys(_ROBERTA_LIKE, _BERT),
}
_WITHOUT_TYPES = frozenset({"distilbert", "mpnet"})
# The distance between two tokens from which MPNet has one bucket for all.
_FAR = 128
_WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Tensors:
    """A model's weights by name."""

    by_name: Mapping[str, FloatArray]
    prefix: str = ""

    def take(self, name: str) -> FloatArray:
        """A tensor of the transformer, or of its head if the name begins with a slash."""
        name = name[1:] if name.startswith("/") else self.prefix + name
        if name not in self.by_name:
            # Weights that were converted from TensorFlow have these names.
            name = name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
        if name not in self.by_name:
            raise NeedsTorch(f"the weights have no {name}")
        return self.by_name[name]


class GraphBuilder:
    """Operations with weights, as the layers and heads of a transformer use them."""

    def __init__(self, tensors: Tensors) -> None:
        self.ov = import_openvino()
        self.ops: Any = self.ov.opset15
        self.tensors = tensors

    def linear(self, rows: Any, name: str, *, bias: bool = True) -> Any:
        """rows @ weight.T + bias."""
        weight = self.ops.constant(self.tensors.take(f"{name}.weight"))
        product = self.ops.matmul(rows, weight, False, True)
        return self.ops.add(product, self.tensors.take(f"{name}.bias")) if bias else product

    def layer_norm(self, rows: Any, name: str, epsilon: float) -> Any:
        """Layer normalisation over the last axis."""
        axes = self.ops.constant(np.array([-1], np.int64))
        even = self.ops.mvn(rows, axes, True, epsilon, "inside_sqrt")
        scaled = self.ops.multiply(even, self.tensors.take(f"{name}.weight"))
        return self.ops.add(scaled, self.tensors.take(f"{name}.bias"))

    def activation(self, rows: Any, name: str) -> Any:
        """One of transformers' activation functions; raises NeedsTorch for another."""
        if name not in _ACTIVATIONS:
            raise NeedsTorch(f"the model's activation is {name}")
        operation, mode = _ACTIVATIONS[name]
        if operation == "gelu":
            return self.ops.gelu(rows, mode)
        return getattr(self.ops, operation)(rows)

    def integers(self, *values: int) -> Any:
        """A constant list of integers."""
        return self.ops.constant(np.array(values, np.int64))

    def parameter(self, name: str, kind: Any, *shape: int) -> Any:
        """An input of the graph; -1 is a dimension of any size."""
        node = self.ops.parameter(self.ov.PartialShape(list(shape)), kind, name)
        node.output(0).set_names({name})
        return node


@dataclass(frozen=True, slots=True)
class Transformer:
    """A transformer as a part of a graph."""

    build: GraphBuilder
    inputs: list[Any]
    """Parameters: ids, mask, types if they are read, and the words' vectors."""

    mask: Any
    """Of shape (texts, tokens), whole numbers."""

    tokens: Any
    """Token vectors, shape (texts, tokens, size); with `first_token_only`, of one token."""

    words: FloatArray
    """The table of word vectors, which is no part of the graph."""

    positions: int
    """The most tokens that it has positions for."""


def build_transformer(
    config: Mapping[str, Any],
    weights: Mapping[str, FloatArray],
    *,
    reads_types: bool,
    first_token_only: bool,
) -> Transformer:
    """Build the transformer of a `config.json`; raises NeedsTorch for another architecture.

    `first_token_only`: compute only the first token in the last layer. The other tokens' keys and
    values are still needed, so this saves the queries, the attention's output and the feed-forward
    part: 14 % of a model of six layers, with the same result.
    """
    family = str(config.get("model_type"))
    _check(family, config)
    names = _FAMILIES[family]
    tensors = Tensors(weights, _prefix(weights))
    build = GraphBuilder(tensors)
    ops = build.ops
    integer = build.ov.Type.i64
    words_table = tensors.take(_WORDS)
    size = words_table.shape[1]
    ids = build.parameter("input_ids", integer, -1, -1)
    mask = build.parameter("attention_mask", integer, -1, -1)
    types = build.parameter("token_type_ids", integer, -1, -1) if reads_types else None
    words = build.parameter("words", build.ov.Type.f32, -1, -1, size)
    epsilon = float(config.get("layer_norm_eps", 1e-12))
    positions = tensors.take("embeddings.position_embeddings.weight")[
        _unused_positions(family, config) :
    ]
    hidden = _embed(build, tensors, family, words, types, positions, epsilon)
    # Shape (texts, 1, 1, tokens), for every head and every token that asks.
    read_mask = ops.unsqueeze(ops.convert(mask, "boolean"), build.integers(1, 2))
    if family == "mpnet":
        read_mask = _add_distances(build, tensors, config, read_mask, words, len(positions))
    count = int(config[names.layers])
    for number in range(count):
        last = number == count - 1
        hidden = _layer(
            build,
            names,
            names.layer.format(number),
            config,
            hidden,
            read_mask,
            epsilon,
            first_only=last and first_token_only,
        )
    inputs = [ids, mask, *([types] if types is not None else []), words]
    return Transformer(build, inputs, mask, hidden, words_table, len(positions))


def has_types(weights: Mapping[str, FloatArray]) -> bool:
    """Whether the transformer can tell query text from passage by token types."""
    name = "embeddings.token_type_embeddings.weight"
    return any(key.endswith(name) and len(table) > 1 for key, table in weights.items())


def _check(family: str, config: Mapping[str, Any]) -> None:
    if family not in _FAMILIES:
        raise NeedsTorch(f"the model's architecture is {family}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise NeedsTorch(f"the model's positions are {config['position_embedding_type']}")
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise NeedsTorch("the model is a decoder")


def _prefix(weights: Mapping[str, FloatArray]) -> str:
    names = [name for name in weights if name == _WORDS or name.endswith(f".{_WORDS}")]
    if len(names) != 1:
        raise NeedsTorch("the weights have no single table of word vectors")
    return names[0].removesuffix(_WORDS)


def _embed(
    build: GraphBuilder,
    tensors: Tensors,
    family: str,
    words: Any,
    types: Any,
    positions: FloatArray,
    epsilon: float,
) -> Any:
    """The sum of the vectors of word, type and position, normalised."""
    ops = build.ops
    total = words
    if family not in _WITHOUT_TYPES:
        table = tensors.take("embeddings.token_type_embeddings.weight")
        if types is None:
            total = ops.add(total, table[:1])
        else:
            total = ops.add(total, ops.gather(table, types, np.int64(0)))
    length = _length(build, words)
    position_vectors = ops.slice(
        ops.constant(positions), build.integers(0), length, build.integers(1), build.integers(0)
    )
    return build.layer_norm(ops.add(total, position_vectors), "embeddings.LayerNorm", epsilon)


def _unused_positions(family: str, config: Mapping[str, Any]) -> int:
    """Rows of the table of positions before the first token's."""
    if family == "mpnet":
        return 2
    # RoBERTa counts positions from the padding's number plus one.
    return int(config.get("pad_token_id", 1)) + 1 if family in _ROBERTA_LIKE else 0


def _length(build: GraphBuilder, words: Any) -> Any:
    """The number of tokens, as a list of one."""
    return build.ops.slice(
        build.ops.shape_of(words), *(build.integers(number) for number in (1, 2, 1))
    )


def _add_distances(
    build: GraphBuilder,
    tensors: Tensors,
    config: Mapping[str, Any],
    read_mask: Any,
    words: Any,
    most_tokens: int,
) -> Any:
    """MPNet's mask: what the distance of two tokens adds to their attention, by buckets.

    Shape (texts, heads, tokens, tokens). Source: T5 (Raffel et al. 2020, arXiv:1910.10683).
    """
    ops = build.ops
    buckets = int(config.get("relative_attention_num_buckets", 32))
    places = np.arange(most_tokens)
    table = ops.constant(distance_buckets(places[None, :] - places[:, None], buckets))
    length = ops.concat([_length(build, words)] * 2, 0)
    used = ops.slice(
        table, build.integers(0, 0), length, build.integers(1, 1), build.integers(0, 1)
    )
    bias = ops.gather(tensors.take("encoder.relative_attention_bias.weight"), used, np.int64(0))
    by_head = ops.unsqueeze(ops.transpose(bias, build.integers(2, 0, 1)), build.integers(0))
    # The most negative 16-bit float leaves nothing of a hidden token after the softmax.
    return ops.add(by_head, ops.select(read_mask, np.float32(0), np.float32(-65504)))


def distance_buckets(distances: NDArray[np.int64], buckets: int) -> NDArray[np.int32]:
    """The bucket of each distance: half for each side, the near ones exact, the far ones coarse."""
    half = buckets // 2
    exact = half // 2
    far = np.abs(distances)
    # In the 32-bit floats of transformers, whose rounding decides some buckets.
    logarithms = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact))
    steps = logarithms / np.float32(np.log(_FAR / exact)) * np.float32(half - exact)
    coarse = np.minimum(exact + steps.astype(np.int64), half - 1)
    sides = np.where(distances > 0, half, 0)
    return (sides + np.where(far < exact, far, coarse)).astype(np.int32)


def _layer(
    build: GraphBuilder,
    names: _Names,
    layer: str,
    config: Mapping[str, Any],
    hidden: Any,
    read_mask: Any,
    epsilon: float,
    *,
    first_only: bool,
) -> Any:
    ops = build.ops
    heads = int(config[names.heads])

    def split(rows: Any) -> Any:
        """(texts, tokens, size) to (texts, heads, tokens, size of a head)."""
        parts = ops.reshape(rows, build.integers(0, 0, heads, -1), True)
        return ops.transpose(parts, build.integers(0, 2, 1, 3))

    asking = hidden
    if first_only:
        asking = ops.slice(hidden, *(build.integers(n) for n in (0, 1, 1, 1)))
        # MPNet's mask has a row for each asking token, the others have one row for all.
        read_mask = ops.slice(read_mask, *(build.integers(n) for n in (0, 1, 1, 2)))
    attention = ops.scaled_dot_product_attention(
        split(build.linear(asking, layer + names.query)),
        split(build.linear(hidden, layer + names.key)),
        split(build.linear(hidden, layer + names.value)),
        read_mask,
    )
    merged = ops.reshape(
        ops.transpose(attention, build.integers(0, 2, 1, 3)), build.integers(0, 0, -1), True
    )
    output = build.linear(merged, layer + names.attention_output)
    hidden = build.layer_norm(ops.add(output, asking), layer + names.attention_norm, epsilon)
    wide = build.linear(hidden, layer + names.widening)
    wide = build.activation(wide, str(config.get(names.activation, "gelu")))
    narrow = build.linear(wide, layer + names.narrowing)
    return build.layer_norm(ops.add(narrow, hidden), layer + names.output_norm, epsilon)
