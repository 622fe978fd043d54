"""Batches of a closed set of shapes, each text in one of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from sidecar.models.backends.graphs import (
    GraphBiEncoder,
    cut_batches,
    padded_length,
    query_shapes,
    shapes,
)
from sidecar.models.prepared import Manifest

LENGTHS = st.lists(st.integers(1, 256), max_size=20)


@given(LENGTHS)
def test_every_text_is_read_once_in_a_shape_that_was_warmed(lengths: list[int]) -> None:
    batches = list(cut_batches(lengths))
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    warmed = set(shapes(256))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert (len(batch), padded_length(longest)) in warmed


@given(LENGTHS)
def test_no_more_than_a_quarter_is_padding(lengths: list[int]) -> None:
    for batch in cut_batches(lengths):
        texts = [padded_length(lengths[position]) for position in batch]
        assert len(texts) * max(texts) <= 1.25 * sum(texts)


def test_texts_alike_are_read_together() -> None:
    assert [len(batch) for batch in cut_batches([60] * 8)] == [8]
    assert [len(batch) for batch in cut_batches([120] * 8)] == [4, 4]
    assert [len(batch) for batch in cut_batches([12] * 7)] == [4, 2, 1]


def test_a_long_text_does_not_pad_short_ones() -> None:
    batches = list(cut_batches([10, 200, 12, 11, 9]))
    assert batches == [[1], [2, 3, 0, 4]]


def test_the_shapes_are_few() -> None:
    assert len(shapes(256)) == len(set(shapes(256))) == 4 * 4 + 4 * 3 + 8 * 2
    assert max(np.prod(shape) for shape in shapes(512)) == 512
    assert query_shapes(256) == [(1, length) for length in range(2, 65, 2)]
    assert query_shapes(30)[-1] == (1, 30)


class Recording:
    """A graph whose rows are the sums of the tokens that count, and which keeps its shapes."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        ids, mask = inputs
        self.shapes.append(ids.shape)
        rows: NDArray[np.float32] = np.sum(ids * mask, axis=1, keepdims=True, dtype=np.float32)
        return rows


def test_a_query_text_of_any_length_has_a_shape_that_was_warmed(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "word": 1}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    forms = ("f32",)
    manifest = Manifest("bi-encoder", "openvino", "f32", forms, 100, 1, 0, False, "", "")
    graph, query_graph = Recording(), Recording()
    model = GraphBiEncoder(tmp_path, manifest, "one", graph, query_graph)
    for words in range(1, 110):
        assert model.embed_queries([" ".join(["word"] * words)]).tolist() == [[min(words, 100)]]
    assert set(query_graph.shapes) == set(query_shapes(manifest.max_tokens))
    assert set(graph.shapes) <= set(shapes(manifest.max_tokens))
    assert len(query_graph.shapes) == 64
