"""Models behind a service: start, batches, deadlines, another model; and another sidecar as one."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from pipelines.errors import ModelFailed
from pipelines.plan import Plan
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import ModelLoadError, load_models
from sidecar.models.scorers import Models
from tests.sidecar.models.remote.service import HANG, Service, embed, rank, running_service
from tests.sidecar.rerank.api import Api, running_api

TEXTS = ["a green pear", "a red apple", "a red shoe", "an apple"]
FAR_S = 60.0


def cross_encoder(url: str, **keys: Any) -> Model:
    given = {"api": "cohere", "scores": "probability", "timeout_ms": 60_000, **keys}
    return Model.model_validate(
        {"kind": "cross-encoder", "source": "far", "backend": "remote", "url": url, **given}
    )


def bi_encoder(url: str, **keys: Any) -> Model:
    given = {"api": "openai-embeddings", "timeout_ms": 60_000, **keys}
    return Model.model_validate(
        {"kind": "bi-encoder", "source": "far", "backend": "remote", "url": url, **given}
    )


def score(
    models: Models, name: str = "m", texts: Sequence[str] = TEXTS, seconds: float = FAR_S
) -> list[float | None]:
    async def run() -> list[float | None]:
        scorer = models.scorer(time.monotonic() + seconds)
        return list(await scorer.score(name, "red apple", texts))

    return asyncio.run(run())


def outcomes(metrics: Metrics, outcome: str) -> float:
    labels = {"model": "m", "outcome": outcome}
    return metrics.registry.get_sample_value("rescore_remote_calls_total", labels) or 0.0


@pytest.fixture(scope="module")
def other_sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The rerank door of another sidecar, with the fake models."""
    folder = tmp_path_factory.mktemp("other")
    fakes = {
        "words": Model(kind="cross-encoder", source="words", backend="fake"),
        "vectors": Model(kind="bi-encoder", source="words", backend="fake"),
    }
    plan = Plan.model_validate({"document": {"body": "body"}, "stages": [{"model": "words"}]})
    bi_encoders = frozenset({"vectors"})
    with (
        closing(load_models(fakes, folder, Metrics())) as models,
        running_api(folder, models, {}, {"fused": plan}, bi_encoders) as api,
    ):
        yield api


@pytest.mark.parametrize(
    "keys",
    [{"api": "cohere"}, {"api": "cohere", "path": "/v2/rerank"}, {"api": "tei"}],
    ids=str,
)
def test_another_sidecar_scores_pairs(
    other_sidecar: Api, tmp_path: Path, keys: dict[str, Any]
) -> None:
    url = other_sidecar.url + keys.get("path", "")
    local = Model(kind="cross-encoder", source="words", backend="fake")
    far = cross_encoder(url, api=keys["api"])
    with closing(load_models({"m": far, "local": local}, tmp_path, Metrics())) as models:
        scores, expected = score(models), score(models, "local")
    assert scores == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("api", ["openai-embeddings", "tei"])
def test_another_sidecar_makes_vectors_that_are_stored(
    other_sidecar: Api, tmp_path: Path, api: str
) -> None:
    local = Model(kind="bi-encoder", source="words", backend="fake")
    metrics, cache = Metrics(), tmp_path / "cache"
    both = {"m": bi_encoder(other_sidecar.url, api=api), "local": local}
    with closing(load_models(both, tmp_path, metrics, cache=cache)) as models:
        assert score(models) == pytest.approx(score(models, "local"), abs=2e-3)
        first = models.bi_encoder("m")
        assert first is not None
        assert first.unread(TEXTS) == []
    again = load_models({"m": both["m"]}, tmp_path, metrics, cache=cache)
    with closing(again) as models:
        second = models.bi_encoder("m")
        assert second is not None
        assert second.identity == first.identity
        assert second.unread(TEXTS) == []  # from the cache folder


def test_best_texts_are_sent_first_and_stay_when_the_next_call_is_too_late(tmp_path: Path) -> None:
    with running_service(rank) as service:
        model = cross_encoder(service.url, batch=2)
        with closing(load_models({"m": model}, tmp_path, Metrics())) as models:
            before = len(service.calls)

            def first_only(path: str, call: Any) -> Any:
                return rank(path, call) if len(service.calls) == before + 1 else HANG

            service.answer = first_only
            scores = score(models, seconds=4)
            service.released.set()
    assert service.calls[before][1]["documents"] == TEXTS[:2]
    assert [one is None for one in scores] == [False, False, True, True]


def test_no_key_and_no_text_reaches_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_service(rank) as service:
        model = cross_encoder(service.url, key="s3cret")
        with closing(load_models({"m": model}, tmp_path, Metrics())) as models:
            service.answer = lambda *_: b'{"red apple": "a green pear"'
            with caplog.at_level(logging.DEBUG):
                for _ in range(3):
                    with pytest.raises(Exception, match="not JSON"):
                        score(models)
    assert all(fields["Authorization"] == "Bearer s3cret" for _, _, fields in service.calls)
    lines = [record for record in caplog.records if record.name.startswith("sidecar")]
    assert len(lines) == 1  # of three failures
    assert not any(word in caplog.text for word in ("s3cret", "apple", "pear"))
    assert "s3cret" not in repr(model)


def test_after_failures_no_calls_then_one_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.models.remote.service_client.PAUSE_S", 3600.0)
    metrics = Metrics()
    with running_service(rank) as service:
        models = load_models({"m": cross_encoder(service.url)}, tmp_path, metrics)
        with closing(models):
            service.answer = lambda *_: 500
            for _ in range(7):
                with pytest.raises(ModelFailed):
                    score(models)
    assert (outcomes(metrics, "status"), outcomes(metrics, "open")) == (5, 2)


def test_another_model_after_a_reconnect_never_mixes(tmp_path: Path) -> None:
    metrics = Metrics()

    def other(path: str, call: Any) -> Any:
        answer = embed(path, call)
        for one in answer["data"]:
            one["embedding"] = one["embedding"][::-1]
        return answer

    with running_service(embed) as service:
        models = load_models({"m": bi_encoder(service.url)}, tmp_path, metrics)
        with closing(models):
            first = models.bi_encoder("m")
            assert first is not None
            service.close_connections()
            score(models, texts=TEXTS[:1])
            service.answer = other
            with pytest.raises(ModelFailed, match="another model"):
                score(models)
            assert first.unread(TEXTS) == TEXTS[1:]
    assert outcomes(metrics, "other_model") >= 1


def test_another_model_gets_another_identity_and_the_same_keeps_its_own(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)

    def identity(service: Service) -> str:
        with closing(
            load_models({"m": bi_encoder(service.url)}, tmp_path, Metrics(), cache=tmp_path)
        ) as m:
            one = m.bi_encoder("m")
            assert one is not None
            return one.identity

    def noisy(path: str, call: Any) -> Any:
        answer = embed(path, call)
        for one in answer["data"]:
            noise = generator.normal(0, 2e-3, len(one["embedding"]))
            one["embedding"] = (np.array(one["embedding"]) + noise).tolist()
        return answer

    def longer(path: str, call: Any) -> Any:
        answer = embed(path, call)
        for one in answer["data"]:
            one["embedding"].append(0.1)
        return answer

    with running_service(embed) as service:
        first = identity(service)
        service.answer = noisy
        assert [identity(service) for _ in range(3)] == [first] * 3
        service.answer = longer
        assert identity(service) != first


def test_a_start_waits_for_the_service_and_ends_when_it_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    stopping, told = Event(), Event()

    def report(line: str) -> None:
        said.append(line)
        told.set()

    with running_service(lambda *_: 503) as service:
        loaded: list[Models] = []

        def load() -> None:
            models = load_models(
                {"m": cross_encoder(service.url)},
                tmp_path,
                Metrics(),
                report=report,
                stopping=stopping,
            )
            loaded.append(models)

        thread = Thread(target=load)
        thread.start()
        assert told.wait(60)
        service.answer = rank
        thread.join(60)
    [models] = loaded
    models.close()
    assert len(said) == 1
    assert "503" in said[0]


@pytest.mark.parametrize(
    ("keys", "answer", "message"),
    [
        ({"scores": "logit"}, rank, "write scores: probability"),
        (
            {},
            lambda _, call: {
                "results": [
                    {"index": n, "relevance_score": n - 1.5} for n in range(len(call["documents"]))
                ]
            },
            "write scores: logit",
        ),
        ({}, lambda *_: 401, "status 401"),
        ({}, lambda *_: 503, "status 503"),
    ],
    ids=["logit", "probability", "key", "busy"],
)
def test_a_wrong_setting_stops_the_start(
    tmp_path: Path, keys: dict[str, Any], answer: Any, message: str
) -> None:
    with (
        running_service(answer) as service,
        pytest.raises(ModelLoadError, match=message),
    ):
        load_models({"m": cross_encoder(service.url, **keys)}, tmp_path, Metrics())
