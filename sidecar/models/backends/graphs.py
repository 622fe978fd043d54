"""Run prepared models (`sidecar/models/preparing/`): tokens in, one array out.

A runtime builds code for each new shape of its inputs, and this takes as long as several texts. So
the set of shapes is small, and `warm_up` runs all of them before the first search: lengths are
rounded up to 16 tokens, those of query texts to 2, and a call is cut into batches of 8, 4, 2 and 1
texts, of at most about 512 tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.piece_rules import PieceRules, find_piece_rules
from sidecar.models.backends.readable import readable
from sidecar.models.prepared import Manifest

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_BATCHES = (8, 4, 2, 1)
_PIECES_TOGETHER = 64
# Larger batches gain little, cost memory, and add shapes to the warm-up.
_BATCH_TOKENS = 512
_LENGTH_STEP = 16
# Every search reads one query text, mostly a short one. Each token takes a tenth of a millisecond,
# and building the code of a length 4 ms, once.
_QUERY_STEP = 2
# A batch with more padding than this is slower than two smaller batches.
_PADDING = 1.25
# The passages' graph reads longer query texts.
_QUERY_TOKENS = 64

READINGS = "readings.npz"
"""The name of the file of `GraphBiEncoder.readings` in a prepared folder."""


class Graph(Protocol):
    """A model, loaded into a runtime."""

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> FloatArray:
        """Compute one row for each text.

        `inputs`: arrays of shape (texts, tokens): ids, mask, and types if the model reads them.
        """
        ...


class GraphBiEncoder:
    """A bi-encoder; `identity` follows from the prepared folder and the way it is computed.

    `query_graph` is the same model on one thread, for short query texts. One core reads them as
    fast as two: with two, each waits for the other whenever OpenSearch uses one of the cores.
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
        self.readings = folder / READINGS
        """The file of `read_each_piece`; it is written when the model first needs a student."""

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        encodings = self._tokens.texts(self._query_prompt, texts)
        if len(encodings) == 1 and len(encodings[0]) <= _QUERY_TOKENS:
            answer = self._query_graph.run(self._tokens.arrays(encodings, _QUERY_STEP))
            return answer.astype(np.float32, copy=False)
        return read_all(self._graph, self._tokens, encodings)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        encodings = self._tokens.texts(self._passage_prompt, texts)
        return read_all(self._graph, self._tokens, encodings)

    def read_pieces(self, texts: Sequence[str]) -> list[Pieces]:
        return self._tokens.pieces(texts)

    def piece_rules(self) -> PieceRules | None:
        return self._tokens.piece_rules()

    def read_each_piece(self, most: int) -> FloatArray:
        """The vector of each of the first `most` word pieces, each read as a passage of its own."""
        batches = self._tokens.each_piece(self._passage_prompt, most)
        return np.concatenate([self._graph.run(inputs) for inputs in batches]).astype(np.float32)


class GraphCrossEncoder:
    """A cross-encoder; its scores are raw logits."""

    def __init__(self, folder: Path, manifest: Manifest, graph: Graph) -> None:
        self._tokens = TokenReader(folder, manifest)
        self._graph = graph

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        encodings = self._tokens.pairs(query_text, texts)
        return read_all(self._graph, self._tokens, encodings)[:, 0]


class TokenReader:
    """A model's tokenizer, run by the `tokenizers` library."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(manifest.max_tokens)
        self._manifest = manifest

    def texts(self, prompt: str, texts: Sequence[str]) -> list[Encoding]:
        limit = self._manifest.max_tokens
        return self._tokenizer.encode_batch_fast([prompt + readable(t, limit) for t in texts])

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """The numbers of each text's pieces, without special ones."""
        limit = self._manifest.max_tokens
        encodings = self._tokenizer.encode_batch_fast(
            [readable(text, limit) for text in texts], add_special_tokens=False
        )
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]

    def piece_rules(self) -> PieceRules | None:
        """The rules of `pieces`."""
        return find_piece_rules(self._tokenizer, self._manifest.max_tokens)

    def each_piece(self, prompt: str, most: int) -> Iterator[list[NDArray[np.int64]]]:
        """Inputs of a graph, batch by batch, for the first `most` pieces, each alone."""
        count = min(most, self._tokenizer.get_vocab_size())
        # The last piece of this text gives its place to the others.
        [encoding] = self.texts(prompt, ["a"])
        place = len(encoding) - 1 - encoding.special_tokens_mask[::-1].index(0)
        # Without padding, which would take three quarters of the time.
        inputs = [
            np.repeat(rows[:, : len(encoding)], _PIECES_TOGETHER, axis=0)
            for rows in self.arrays([encoding])
        ]
        for start in range(0, count, _PIECES_TOGETHER):
            numbers = np.arange(start, min(start + _PIECES_TOGETHER, count))
            inputs[0][: len(numbers), place] = numbers
            yield [rows[: len(numbers)] for rows in inputs]

    def pairs(self, query_text: str, texts: Sequence[str]) -> list[Encoding]:
        limit = self._manifest.max_tokens
        query_text = readable(query_text, limit)
        return self._tokenizer.encode_batch_fast([(query_text, readable(t, limit)) for t in texts])

    def arrays(
        self, encodings: Sequence[Encoding], step: int = _LENGTH_STEP
    ) -> list[NDArray[np.int64]]:
        """Inputs of a graph, each of shape (texts, tokens); tokens is a multiple of `step`."""
        longest = max(len(encoding) for encoding in encodings)
        shape = (len(encodings), padded_length(longest, step))
        ids = np.full(shape, self._manifest.pad_id, np.int64)
        mask = np.zeros(shape, np.int64)
        types = np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding)] = encoding.ids
            mask[row, : len(encoding)] = encoding.attention_mask
            types[row, : len(encoding)] = encoding.type_ids
        return [ids, mask, types] if self._manifest.reads_types else [ids, mask]


def read_all(graph: Graph, tokens: TokenReader, encodings: Sequence[Encoding]) -> FloatArray:
    """The row of each text, in the order of the texts."""
    rows: list[FloatArray | None] = [None] * len(encodings)
    for batch in cut_batches([len(encoding) for encoding in encodings]):
        answer = graph.run(tokens.arrays([encodings[position] for position in batch]))
        for position, row in zip(batch, answer, strict=True):
            rows[position] = row
    return np.stack([row for row in rows if row is not None]).astype(np.float32, copy=False)


def cut_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of the texts of each batch; a batch is as large as its padding allows."""
    remaining = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    while remaining:
        longest = padded_length(lengths[remaining[0]])
        for size in _sizes(longest):
            needed = sum(padded_length(lengths[position]) for position in remaining[:size])
            if size <= len(remaining) and size * longest <= _PADDING * needed:
                break
        yield remaining[:size]
        remaining = remaining[size:]


def shapes(max_tokens: int) -> list[tuple[int, int]]:
    """All shapes (texts, tokens) that `cut_batches` makes of texts of at most `max_tokens`."""
    lengths = range(_LENGTH_STEP, padded_length(max_tokens) + 1, _LENGTH_STEP)
    return [(size, length) for length in lengths for size in _sizes(length)]


def query_shapes(max_tokens: int) -> list[tuple[int, int]]:
    """The shapes of one short query text."""
    longest = padded_length(min(max_tokens, _QUERY_TOKENS), _QUERY_STEP)
    return [(1, length) for length in range(_QUERY_STEP, longest + 1, _QUERY_STEP)]


def warm_up(graph: Graph, manifest: Manifest, shapes: Iterable[tuple[int, int]]) -> None:
    """Run a graph once with each shape that a search may cause."""
    for shape in shapes:
        ids = np.full(shape, manifest.pad_id, np.int64)
        inputs = [ids, np.ones_like(ids), np.zeros_like(ids)]
        graph.run(inputs if manifest.reads_types else inputs[:2])


def padded_length(tokens: int, step: int = _LENGTH_STEP) -> int:
    """The length to which a text of that number of tokens is padded."""
    return max(1, -(-tokens // step)) * step


def _sizes(length: int) -> list[int]:
    return [size for size in _BATCHES if size == 1 or size * length <= _BATCH_TOKENS]
