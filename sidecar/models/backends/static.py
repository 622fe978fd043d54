"""Static models: a text's vector is the mean of its tokens' vectors, which stand in a table.

No engine runs; the time goes into cutting a text into tokens. Sources: model2vec
(`StaticModel.encode`) and wordllama (`WordLlamaInference.embed`), whose vectors these are, each
divided by its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.readable import readable
from sidecar.models.static_tables import TableFiles

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The name of the table in model2vec's files, and in wordllama's.
_TABLES = ("embeddings", "embedding.weight")
_MOST_ROWS = 4_000_000
_MOST_DIMENSIONS = 4096
_MOST_NUMBERS = 1 << 30
_MAX_TOKENS = 512
"""As in model2vec; the mean of more tokens says little about any of them."""


class StaticBiEncoder:
    """A bi-encoder whose vectors do not depend on the order of words."""

    def __init__(self, files: TableFiles, max_tokens: int | None = None) -> None:
        """Read and check both files. Raises ValueError or OSError."""
        self._limit = max_tokens or _MAX_TOKENS
        self._tokenizer, self._unknown = _read_tokenizer(files)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._limit)
        self._rows, self._table = _read_table(files, self._tokenizer)
        settings = f"static {files.digest()} max_tokens={self._limit}"
        self.identity = blake2b(settings.encode(), digest_size=16).hexdigest()
        self.dimensions = int(self._table.shape[1])

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        readable_texts = [readable(text, self._limit) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(readable_texts, add_special_tokens=False)
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for vector, encoding in zip(vectors, encodings, strict=True):
            ids = [token for token in encoding.ids if token != self._unknown]
            if ids:
                vector[:] = self._table[self._rows[ids]].mean(axis=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        vectors /= lengths
        return vectors


def _read_tokenizer(files: TableFiles) -> tuple[Tokenizer, int | None]:
    """The tokenizer, and its id of an unknown token, which has no vector worth reading."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
    except Exception as error:  # the library raises Exception itself
        raise ValueError(f"{files.tokenizer} is no tokenizer: {error}") from None
    unknown = getattr(tokenizer.model, "unk_token", None)
    return tokenizer, tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None


def _read_table(files: TableFiles, tokenizer: Tokenizer) -> tuple[NDArray[np.int64], FloatArray]:
    """The row of each token, and the table of vectors.

    model2vec's files may have `weights`, one for each token, and `mapping`, the row of each token.
    With weights, the table that is returned has a row for each token.
    """
    from safetensors import SafetensorError, safe_open

    place = files.table
    try:
        with safe_open(place, framework="np") as file:
            names = set(file.keys())
            name = next((name for name in _TABLES if name in names), None)
            if name is None:
                raise ValueError(
                    f"{place} has no table {' or '.join(_TABLES)}; is it a static model?"
                )
            shape = tuple(file.get_slice(name).get_shape())
            if len(shape) != 2 or not shape[0] or not shape[1]:
                raise ValueError(f"{place}: {name} is no table of vectors; its shape is {shape}")
            rows, dimensions = shape
            if (
                rows > _MOST_ROWS
                or dimensions > _MOST_DIMENSIONS
                or rows * dimensions > _MOST_NUMBERS
            ):
                raise ValueError(f"{place}: a table of {rows} x {dimensions} is too large")
            table = np.ascontiguousarray(file.get_tensor(name), np.float32)
            others = {key: file.get_tensor(key) for key in ("mapping", "weights") if key in names}
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"{place} cannot be read: {error}") from None
    if not np.isfinite(table).all():
        raise ValueError(f"{place}: {name} has a number that is not finite")
    tokens = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    return _weigh(place, table, tokens, others)


def _weigh(
    place: object, table: FloatArray, tokens: int, others: Mapping[str, NDArray[np.generic]]
) -> tuple[NDArray[np.int64], FloatArray]:
    rows = np.arange(len(table))
    if "mapping" in others:
        rows = others["mapping"].astype(np.int64)
        if rows.ndim != 1 or not len(rows) or rows.min() < 0 or rows.max() >= len(table):
            raise ValueError(f"{place}: mapping names rows that the table does not have")
    if tokens > len(rows):
        raise ValueError(
            f"{place} has vectors for {len(rows)} tokens, and its tokenizer has {tokens}"
        )
    if "weights" in others:
        weights = others["weights"].astype(np.float32)
        if weights.shape != rows.shape or not np.isfinite(weights).all():
            raise ValueError(f"{place}: weights are not one finite number for each token")
        table = table[rows] * weights[:, None]
        rows = np.arange(len(table))
    return rows, table
