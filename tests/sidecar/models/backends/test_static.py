"""Static models: vectors are means of the table's rows, behind the same contract as any model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from pipelines.scoring import Scorer
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.backends.static import StaticBiEncoder
from sidecar.models.loading import load_models
from sidecar.models.sources import check_source
from sidecar.models.static_tables import find_in_folder
from tests.scorer_contract import QUERY, RELEVANCE, SHAPE, TEXTS

WORDS = sorted({"apple", *" ".join([QUERY, *TEXTS]).casefold().replace(".", "").split()})
Arrays = dict[str, NDArray[np.generic]]


def table_of(words: int, dimensions: int = 64) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(words, dimensions)).astype(np.float32)


def write_model(folder: Path, arrays: Arrays | None = None) -> Path:
    """A model in model2vec's layout: `[UNK]`, then the words of the contract's texts."""
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(arrays or {"embeddings": table_of(len(vocabulary))}, folder / "model.safetensors")
    return folder


def read(folder: Path, max_tokens: int | None = None) -> StaticBiEncoder:
    return StaticBiEncoder(find_in_folder(folder), max_tokens)


@pytest.mark.parametrize("check", SHAPE + RELEVANCE)
async def test_it_keeps_the_contract_of_every_model(
    check: Callable[[Scorer, str], Awaitable[None]], tmp_path: Path
) -> None:
    write_model(tmp_path / "model")
    model = Model(kind="static", source="./model")
    assert check_source(model, tmp_path) is None
    with closing(load_models({"m": model}, tmp_path, Metrics())) as models:
        await check(models.scorer(None), "m")


def test_a_vector_is_the_mean_of_its_words_without_unknown_ones(tmp_path: Path) -> None:
    backend = read(write_model(tmp_path))
    rows = table_of(len(WORDS) + 1)
    mean = (rows[1 + WORDS.index("apple")] + rows[1 + WORDS.index("tree")]) / 2
    [vector, nothing] = backend.embed_passages(["Apple xyzzy tree", "xyzzy"])
    assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert not nothing.any()
    assert backend.embed_queries(["Apple xyzzy tree"])[0] == pytest.approx(vector)


def test_tokens_behind_the_limit_are_not_read(tmp_path: Path) -> None:
    backend = read(write_model(tmp_path), max_tokens=8)
    long, short = backend.embed_passages(["apple " * 8 + "tree " * 50, "apple " * 8])
    assert long == pytest.approx(short)
    assert backend.identity != read(tmp_path).identity


def test_mapping_and_weights_of_model2vec_are_used(tmp_path: Path) -> None:
    """As `StaticModel.encode` does: row `mapping[token]`, times `weights[token]`."""
    tokens = len(WORDS) + 1
    weights = np.linspace(0.1, 2, tokens).astype(np.float32)
    mapping = np.arange(tokens, dtype=np.int64) % 5
    rows = table_of(5)
    backend = read(
        write_model(tmp_path, {"embeddings": rows, "mapping": mapping, "weights": weights})
    )
    one, other = 1 + WORDS.index("apple"), 1 + WORDS.index("tree")
    mean = rows[one % 5] * weights[one] + rows[other % 5] * weights[other]
    [vector] = backend.embed_passages(["apple tree"])
    assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": table_of(99)}, "has no table embeddings or embedding.weight"),
        ({"embeddings": np.zeros(9, np.float32)}, "is no table of vectors; its shape is"),
        ({"embeddings": table_of(5)}, r"has vectors for 5 tokens, and its tokenizer has \d+"),
        ({"embeddings": np.full((99, 4), np.nan, np.float32)}, "a number that is not finite"),
        ({"embeddings": np.zeros((99, 5000), np.float16)}, "a table of 99 x 5000 is too large"),
        (
            {"embeddings": table_of(9), "mapping": np.full(99, 9, np.int64)},
            "mapping names rows that the table does not have",
        ),
        (
            {"embeddings": table_of(99), "weights": np.ones(98, np.float32)},
            "weights are not one finite number for each token",
        ),
    ],
)
def test_a_wrong_table_is_refused(arrays: Arrays, message: str, tmp_path: Path) -> None:
    write_model(tmp_path, arrays)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / name).write_bytes(b"\x08\0\0\0\0\0\0\0{]")
    with pytest.raises(ValueError, match=name):
        read(tmp_path)
