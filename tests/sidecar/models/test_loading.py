"""What loading refuses, and that vectors outlive a restart."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import ModelLoadError, load_models

FAKE = Model(kind="bi-encoder", source="none", backend="fake")


def as_published(kind: Literal["bi-encoder", "cross-encoder"], source: str) -> Model:
    return Model(kind=kind, source=source, backend="sentence-transformers")


def read_so_far(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("rescore_model_texts_total", {"model": "m"})


def test_a_wrong_source_stops_the_start_by_name(metrics: Metrics, tmp_path: Path) -> None:
    wrong = Model(kind="bi-encoder", source="./nothing")
    with pytest.raises(ModelLoadError, match="model 'wrong': there is no folder") as raised:
        load_models({"right": FAKE, "wrong": wrong}, tmp_path, metrics)
    assert raised.value.name == "wrong"
    assert raised.value.reason.startswith("there is no folder")


def test_damaged_weights_stop_the_start(
    model_folder: Callable[..., Path], metrics: Metrics, tmp_path: Path
) -> None:
    model_folder("weights")
    with pytest.raises(ModelLoadError, match="model 'm'"):
        load_models({"m": as_published("bi-encoder", "./weights")}, tmp_path, metrics)


def test_a_missing_library_says_what_to_install(
    model_folder: Callable[..., Path],
    metrics: Metrics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as if it were not installed
    model_folder("weights")
    told = r"sentence_transformers.*; run: pip install 'rescore-sidecar\[sentence-transformers\]'"
    with pytest.raises(ModelLoadError, match=told):
        load_models({"m": as_published("bi-encoder", "./weights")}, tmp_path, metrics)


def test_a_model_with_several_numbers_a_pair_is_refused(
    tiny_cross_encoder: Model, metrics: Metrics, tmp_path: Path
) -> None:
    import transformers

    source = tiny_cross_encoder.source
    transformers.BertForSequenceClassification.from_pretrained(
        source, num_labels=3, ignore_mismatched_sizes=True
    ).save_pretrained(tmp_path / "three")
    tokenizer: Any = transformers.BertTokenizerFast  # type: ignore[attr-defined]  # made lazily
    tokenizer.from_pretrained(source).save_pretrained(tmp_path / "three")
    three = as_published("cross-encoder", "./three")
    with pytest.raises(ModelLoadError, match="gives 3 numbers a pair"):
        load_models({"m": three}, tmp_path, metrics)


def test_loading_is_silent(
    tiny_cross_encoder: Model,
    metrics: Metrics,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    load_models({"m": tiny_cross_encoder}, tmp_path, metrics).close()
    assert capfd.readouterr() == ("", "")


async def test_vectors_outlive_a_restart(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    texts = [f"apple tree {n}" for n in range(20)]
    scores = []
    read = []
    for _ in range(2):
        metrics = Metrics()
        models = load_models({"m": FAKE}, tmp_path, metrics, cache=cache)
        scores.append(await models.scorer(None).score("m", "apple", texts))
        models.close()
        read.append(read_so_far(metrics))
    assert scores[0] == scores[1]
    assert read == [21, 1]


async def test_models_share_the_memory_for_vectors(metrics: Metrics, tmp_path: Path) -> None:
    models = load_models({"m": FAKE, "n": FAKE}, tmp_path, metrics, passage_store_mb=1)
    texts = [f"apple tree {n}" for n in range(2000)]
    await models.scorer(None).score("m", "apple", texts)
    models.close()
    stored = metrics.registry.get_sample_value("rescore_passages_stored", {"model": "m"})
    assert stored == 2**20 // 2 // (256 + 4 + 190)


def test_a_models_name_is_no_path(metrics: Metrics, tmp_path: Path) -> None:
    load_models({"../up": FAKE}, tmp_path, metrics, cache=tmp_path / "cache").close()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["model-..%2Fup"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_cache_that_is_no_folder_stops_the_start(metrics: Metrics, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(ModelLoadError, match="cache"):
        load_models({"m": FAKE}, tmp_path, metrics, cache=tmp_path / "cache")
