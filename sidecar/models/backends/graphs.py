"""Models that were prepared ahead (`sidecar/models/preparing/`): tokens in, one array out.

A graph reads a closed set of shapes, and all of them are read once before the first search: a
runtime builds code for each shape that it meets, which takes as long as several texts do. So
lengths are rounded up to 16 tokens, and a call is cut into batches of 8, 4, 2 and 1, of about
512 tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.readable import readable
from sidecar.models.prepared import Manifest

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_BATCHES = (8, 4, 2, 1)
# More tokens in a batch gain little, cost memory, and are shapes to be read at start.
_BATCH_TOKENS = 512
_LENGTH_STEP = 16
# A batch may be padded by so much before two smaller ones are better.
_PADDING = 1.25
# Longer query texts are read like passages.
_QUERY_TOKENS = 64


class Graph(Protocol):
    """A model in a runtime's own form."""

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> FloatArray:
        """One row a text, from arrays of shape (texts, tokens): ids, mask, and types if read."""
        ...


class GraphBiEncoder:
    """A bi-encoder; `identity` is the prepared folder's key.

    `query_graph` is the same model for short query texts, which one core reads as fast as two do:
    two wait for each other wherever OpenSearch is at work on one of them.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, identity: str, graph: Graph, query_graph: Graph
    ) -> None:
        self._tokens = TokenReader(folder, manifest)
        self._graph = graph
        self._query_graph = query_graph
        self._query_prompt = manifest.query_prompt
        self._passage_prompt = manifest.passage_prompt
        self.dimensions = manifest.dimensions
        self.identity = identity

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        encodings = self._tokens.texts(self._query_prompt, texts)
        if len(encodings) == 1 and len(encodings[0]) <= _QUERY_TOKENS:
            return read_all(self._query_graph, self._tokens, encodings)
        return read_all(self._graph, self._tokens, encodings)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        encodings = self._tokens.texts(self._passage_prompt, texts)
        return read_all(self._graph, self._tokens, encodings)


class GraphCrossEncoder:
    """A cross-encoder; its scores are raw logits."""

    def __init__(self, folder: Path, manifest: Manifest, graph: Graph) -> None:
        self._tokens = TokenReader(folder, manifest)
        self._graph = graph

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        encodings = self._tokens.pairs(query_text, texts)
        return read_all(self._graph, self._tokens, encodings)[:, 0]


class TokenReader:
    """A model's tokenizer, without the library that trained it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(manifest.max_tokens)
        self._manifest = manifest

    def texts(self, prompt: str, texts: Sequence[str]) -> list[Encoding]:
        limit = self._manifest.max_tokens
        return self._tokenizer.encode_batch_fast([prompt + readable(t, limit) for t in texts])

    def pairs(self, query_text: str, texts: Sequence[str]) -> list[Encoding]:
        limit = self._manifest.max_tokens
        query_text = readable(query_text, limit)
        return self._tokenizer.encode_batch_fast([(query_text, readable(t, limit)) for t in texts])

    def arrays(self, encodings: Sequence[Encoding]) -> list[NDArray[np.int64]]:
        """Inputs of a graph, padded to a length that it knows; each of shape (texts, tokens)."""
        shape = (len(encodings), max(padded_length(len(encoding)) for encoding in encodings))
        ids = np.full(shape, self._manifest.pad_id, np.int64)
        mask = np.zeros(shape, np.int64)
        types = np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding)] = encoding.ids
            mask[row, : len(encoding)] = encoding.attention_mask
            types[row, : len(encoding)] = encoding.type_ids
        return [ids, mask, types] if self._manifest.reads_types else [ids, mask]


def read_all(graph: Graph, tokens: TokenReader, encodings: Sequence[Encoding]) -> FloatArray:
    """Every text's row, in the order of the texts."""
    rows: list[FloatArray | None] = [None] * len(encodings)
    for batch in cut_batches([len(encoding) for encoding in encodings]):
        answer = graph.run(tokens.arrays([encodings[position] for position in batch]))
        for position, row in zip(batch, answer, strict=True):
            rows[position] = row
    return np.stack([row for row in rows if row is not None]).astype(np.float32, copy=False)


def cut_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of the texts that are read together: as many as the padding is worth."""
    left = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    while left:
        longest = padded_length(lengths[left[0]])
        for size in _sizes(longest):
            needed = sum(padded_length(lengths[position]) for position in left[:size])
            if size <= len(left) and size * longest <= _PADDING * needed:
                break
        yield left[:size]
        left = left[size:]


def shapes(max_tokens: int) -> list[tuple[int, int]]:
    """Every (texts, tokens) that `cut_batches` makes of texts of at most so many tokens."""
    lengths = range(_LENGTH_STEP, padded_length(max_tokens) + 1, _LENGTH_STEP)
    return [(size, length) for length in lengths for size in _sizes(length)]


def query_shapes(max_tokens: int) -> list[tuple[int, int]]:
    """Those of one short query text."""
    return [shape for shape in shapes(min(max_tokens, _QUERY_TOKENS)) if shape[0] == 1]


def warm_up(graph: Graph, manifest: Manifest, shapes: Iterable[tuple[int, int]]) -> None:
    """Let a graph read every shape that a search may bring."""
    for shape in shapes:
        ids = np.full(shape, manifest.pad_id, np.int64)
        inputs = [ids, np.ones_like(ids), np.zeros_like(ids)]
        graph.run(inputs if manifest.reads_types else inputs[:2])


def padded_length(tokens: int) -> int:
    """The length of the closed set that a text of so many tokens is padded to."""
    return max(1, -(-tokens // _LENGTH_STEP)) * _LENGTH_STEP


def _sizes(length: int) -> list[int]:
    return [size for size in _BATCHES if size == 1 or size * length <= _BATCH_TOKENS]
