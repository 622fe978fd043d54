"""Calls to a replica, without Ray: forms, choice of the model, bounds, keys, failures."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest

from sidecar.config.main_file import Model
from sidecar.config.rerank import BearerShapes, RerankApis
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.ray.answering import Answering, HttpAnswer, HttpCall
from tests.sidecar.ray.test_batching import all_at_once

FAKES = {
    "words": Model(kind="cross-encoder", source="words", backend="fake"),
    "vectors": Model(kind="bi-encoder", source="words", backend="fake"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with closing(load_models(FAKES, tmp_path_factory.mktemp("m"), Metrics())) as loaded:
        yield loaded


def answering(models: Models, **settings: Any) -> Answering:
    kinds = {name: model.kind for name, model in FAKES.items()}
    return Answering(RerankApis(**settings), kinds, models, all_at_once)


async def send(
    replica: Answering,
    path: str,
    body: object,
    parts: AsyncIterator[bytes] | None = None,
    **fields: Any,
) -> HttpAnswer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def cut() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    members: dict[str, Any] = {
        "method": "POST",
        "authorization": None,
        "content_length": len(content),
        "content_encoding": None,
        **fields,
    }
    return await replica.answer(HttpCall(path=path, body=parts or cut(), **members))


async def test_documents_are_ranked_by_the_named_model(models: Models) -> None:
    body = {"query": "red apple", "documents": ["a shoe", "red apple", "red"], "top_n": 2}
    for name in ("words", "vectors"):
        answer = await send(answering(models), "/v1/rerank", {**body, "model": name})
        assert answer.status == 200
        whole = json.loads(answer.text)
        assert [one["index"] for one in whole["results"]] == [1, 2]
        assert whole["model"] == name
    # Without a name: the first of the configuration.
    assert json.loads((await send(answering(models), "/rerank", body)).text)["model"] == "words"


async def test_vectors_have_length_one_and_a_text_alone_has_the_same(models: Models) -> None:
    replica = answering(models)
    body = {"model": "vectors", "input": ["red apple", "a shoe"]}
    both = json.loads((await send(replica, "/v1/embeddings", body)).text)["data"]
    one = json.loads((await send(replica, "/v1/embeddings", {"input": "red apple"})).text)["data"]
    assert [entry["index"] for entry in both] == [0, 1]
    assert sum(number**2 for number in both[0]["embedding"]) == pytest.approx(1, abs=1e-5)
    assert one[0]["embedding"] == both[0]["embedding"]


RERANK = {"query": "a", "documents": ["b", "c"]}


@pytest.mark.parametrize(
    ("path", "body", "fields", "settings", "status"),
    [
        ("/v1/rerank", {**RERANK, "model": "other"}, {}, {}, 400),
        ("/v1/rerank", RERANK, {}, {"max_documents": 1}, 400),
        ("/v1/rerank", RERANK, {}, {"max_tokens": 1}, 400),
        ("/v1/rerank", b"[", {}, {}, 400),
        ("/v1/rerank", {**RERANK, "query": "a" * 2000}, {}, {"max_body_bytes": 1024}, 413),
        (
            "/v1/rerank",
            {**RERANK, "query": "a" * 2000},
            {"content_length": None},
            {"max_body_bytes": 1024},
            413,
        ),
        ("/v1/rerank", RERANK, {"content_encoding": "gzip"}, {}, 400),
        ("/v1/rerank", RERANK, {"method": "GET"}, {}, 405),
        ("/v1/embeddings", {"input": ["a"], "model": "words"}, {}, {}, 400),
        ("/v1/embeddings", {"input": ["a"], "dimensions": 3}, {}, {}, 400),
        ("/v1/embeddings", {"input": ["a"] * 3}, {}, {"embeddings": {"max_texts": 2}}, 400),
        ("/elsewhere", RERANK, {}, {}, 404),
    ],
)
async def test_a_call_beyond_the_bounds_is_refused(
    models: Models,
    path: str,
    body: object,
    fields: dict[str, Any],
    settings: dict[str, Any],
    status: int,
) -> None:
    answer = await send(answering(models, **settings), path, body, **fields)
    assert answer.status == status
    assert json.loads(answer.text)["message"]


@pytest.mark.parametrize(
    ("authorization", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer s3cret", 200)]
)
async def test_keys_are_checked_before_the_body_is_read(
    models: Models, authorization: str | None, status: int
) -> None:
    replica = answering(models, bearer=BearerShapes(keys={"sidecars": "s3cret"}))
    answer = await send(replica, "/v1/rerank", RERANK, authorization=authorization)
    assert answer.status == status
    assert ("WWW-Authenticate" in answer.fields) == (status == 401)


async def test_a_body_that_does_not_end_is_late(models: Models) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    replica = answering(models, deadline_ms=50)
    answer = await send(replica, "/v1/rerank", b"", parts=never())
    assert answer.status == 408


async def test_no_time_and_failures_are_errors_without_texts(
    models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        bi_encoder = models.bi_encoder

        def scorer(self, deadline: float | None) -> Any:
            raise ValueError("secret text")

    kinds = {name: model.kind for name, model in FAKES.items()}
    replica = Answering(RerankApis(), kinds, Broken(), all_at_once)
    with caplog.at_level(logging.DEBUG):
        answer = await send(replica, "/v1/rerank", RERANK)
    assert answer.status == 500
    assert "secret" not in caplog.text + answer.text
