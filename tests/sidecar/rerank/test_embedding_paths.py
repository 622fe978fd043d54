"""The embedding APIs over a real socket: their forms, roles of texts, keys, limits and refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import DeadlinePassed, ModelFailed, Overloaded, RescoreError
from sidecar.metrics import Metrics
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_store import PassageStore
from sidecar.models.scorers import BiEncoderScorer, Models
from tests.raw_http import RawResponse
from tests.sidecar.rerank.api import Api, running_api
from tests.sidecar.rerank.conftest import Serve, plan_of

TEXTS = ["a red apple", "green pears", "a red apple"]
OPENAI = ("/v1/embeddings", "/embeddings", "/v1/embeddings/")


def body(answer: RawResponse) -> Any:
    return json.loads(answer.body)


def vectors(texts: Sequence[str]) -> Any:
    return FakeBiEncoder().embed_passages(texts)


@pytest.mark.parametrize("path", OPENAI)
def test_openai_gets_the_models_vectors_to_the_bit(api: Api, path: str) -> None:
    answer = body(api.post(path, {"input": TEXTS, "model": "text-embedding-3-small"}))
    found = np.array([entry["embedding"] for entry in answer["data"]], np.float32)
    assert (found == vectors(TEXTS)).all()
    assert [entry["index"] for entry in answer["data"]] == [0, 1, 2]
    # Not the name that was sent: vectors of another model cannot be compared with these.
    assert answer["model"] == "vectors"
    assert answer["usage"] == {"prompt_tokens": 14, "total_tokens": 14}
    coded = body(api.post(path, {"input": TEXTS[0], "encoding_format": "base64"}))["data"]
    assert len(coded) == 1
    content = base64.b64decode(coded[0]["embedding"])
    assert (np.frombuffer(content, "<f4") == vectors(TEXTS[:1])[0]).all()


def test_tei_gets_arrays(api: Api) -> None:
    answer = api.post("/embed", {"inputs": TEXTS, "truncate": True, "normalize": True})
    assert (np.array(body(answer), np.float32) == vectors(TEXTS)).all()
    assert len(body(api.post("/embed", {"inputs": "red"}))) == 1


def test_tei_compares_one_text_with_others(api: Api) -> None:
    inputs = {"source_sentence": "red apple", "sentences": ["red apple", "red pear", "plums"]}
    answer = api.post("/similarity", {"inputs": inputs, "parameters": {"truncate": True}})
    assert body(answer) == [pytest.approx(1.0), pytest.approx(0.5), 0.0]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("input", []),
        ("input", None),
        ("input", ""),
        ("input", ["a", ""]),
        ("input", [1, 2, 3]),
        ("input", [[1, 2], [3]]),
        ("input", {"text": "a"}),
        ("input", True),
        ("input", ["a", None]),
        ("encoding_format", "int8"),
        ("encoding_format", []),
        ("dimensions", 64),
        ("dimensions", "many"),
        ("dimensions", -1),
        ("input_type", "image"),
        ("input_type", []),
        ("model", 5),
    ],
    ids=str,
)
def test_openai_refuses_in_its_own_words(api: Api, member: str, value: object) -> None:
    answer = api.post("/v1/embeddings", {"input": "a", "model": "m"} | {member: value})
    assert answer.status == 400
    assert body(answer)["error"]["message"]


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/embed", {}),
        ("/embed", {"inputs": []}),
        ("/embed", {"inputs": [1]}),
        ("/embed", {"inputs": "a", "normalize": False}),
        ("/embed", {"inputs": "a", "prompt_name": "unknown"}),
        ("/embed", {"inputs": "a", "dimensions": 3}),
        ("/similarity", {}),
        ("/similarity", {"inputs": "a"}),
        ("/similarity", {"inputs": {"source_sentence": "a"}}),
        ("/similarity", {"inputs": {"source_sentence": "", "sentences": ["a"]}}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": [2]}}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a"]}, "parameters": 3}),
    ],
    ids=str,
)
def test_tei_refuses_in_its_own_words(api: Api, path: str, ask: dict[str, Any]) -> None:
    answer = api.post(path, ask)
    assert answer.status == 422
    assert body(answer).keys() == {"error", "error_type"}


@pytest.mark.parametrize("dimensions", [None, 0, 256, 256.0])
def test_dimensions_may_be_the_models_own(api: Api, dimensions: object) -> None:
    # Infinity's client always sends 0.
    answer = api.post("/embeddings", {"input": "a", "dimensions": dimensions})
    assert len(body(answer)["data"][0]["embedding"]) == 256


class Roles(FakeBiEncoder):
    """A model that reads queries in another way than passages."""

    def embed_queries(self, texts: Sequence[str]) -> Any:
        return super().embed_queries([f"query {text}" for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> Any:
        return super().embed_queries([f"passage {text}" for text in texts])


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[tuple[Api, PassageStore]]:
    store = PassageStore(256, 1 << 20)
    scorer = BiEncoderScorer("roles", Roles(), store, Metrics())
    plans = {"only": plan_of("roles")}
    with running_api(tmp_path, Models({"roles": scorer}), {}, plans, frozenset({"roles"})) as api:
        yield api, store
    scorer.close()


@pytest.mark.parametrize(
    ("path", "members", "role"),
    [
        ("/v1/embeddings", {}, "passage"),
        ("/v1/embeddings", {"input_type": "query"}, "query"),
        ("/v1/embeddings", {"input_type": "search_query"}, "query"),
        ("/v1/embeddings", {"input_type": "passage"}, "passage"),
        ("/v1/embeddings", {"input_type": "search_document"}, "passage"),
        ("/v1/embeddings", {"prompt_name": "query"}, "query"),
        ("/v1/embeddings", {"task": "retrieval.query"}, "query"),
        ("/v1/embeddings", {"task": "retrieval.passage"}, "passage"),
        ("/embed", {}, "passage"),
        ("/embed", {"prompt_name": "query"}, "query"),
        ("/embed", {"prompt_name": "document"}, "passage"),
    ],
    ids=str,
)
def test_texts_are_read_as_queries_or_passages(
    roles: tuple[Api, PassageStore], path: str, members: dict[str, Any], role: str
) -> None:
    api, store = roles
    name = "inputs" if path == "/embed" else "input"
    answer = body(api.post(path, {name: ["red apple"]} | members))
    found = answer[0] if path == "/embed" else answer["data"][0]["embedding"]
    assert (np.array(found, np.float32) == vectors([f"{role} red apple"])[0]).all()
    # The passages of searches are not driven out by what applications embed.
    assert len(store) == 0


def test_keys_rates_and_usage_are_those_of_the_other_paths(serve: Serve) -> None:
    keys = {"Authorization": "Bearer k1"}
    with serve(bearer={"keys": {"shop": "k1"}}) as api:
        assert api.post("/v1/embeddings", {"input": "a"}).status == 401
        assert api.post("/embed", {"inputs": "a"}).status == 401
        assert api.post("/v1/embeddings", {"input": TEXTS}, keys).status == 200
        labels = {"api": "embeddings", "key": "shop"}
        assert api.metric("rescore_api_documents_total", **labels) == 3
        assert api.metric("rescore_api_tokens_total", **labels) == 14
        refused = {"api": "tei-embed", "key": "unknown", "outcome": "unauthorized"}
        assert api.metric("rescore_api_requests_total", **refused) == 1
    with serve(requests_per_second=0.01) as api:
        assert api.post("/v2/rerank", {"query": "a", "documents": ["a"]}).status == 200
        assert api.post("/embed", {"inputs": "a"}).status == 429


def test_texts_tokens_and_bytes_are_limited(serve: Serve) -> None:
    limits = {"embeddings": {"max_texts": 2}, "max_tokens": 10, "max_body_bytes": 1024}
    with serve(**limits) as api:
        assert api.post("/v1/embeddings", {"input": ["a", "b"]}).status == 200
        assert api.post("/v1/embeddings", {"input": ["a"] * 3}).status == 400
        assert api.post("/embed", {"inputs": ["a"] * 3}).status == 413
        assert api.post("/v1/embeddings", {"input": "a " * 9}).status == 400
        assert api.post("/v1/embeddings", {"input": "a" * 2000}).status == 413


def test_a_request_may_name_a_configured_model(serve: Serve) -> None:
    with serve(embeddings={"model": "vectors"}) as api:
        for name in ("vectors", "text-embedding-3-small", None):
            answer = body(api.post("/v1/embeddings", {"input": "a", "model": name}))
            assert answer["model"] == "vectors"
        models = body(api.send("GET", "/v1/models"))["data"]
        assert [(m["id"], m["model_type"]) for m in models] == [
            ("fused", "rerank"),
            ("vectors", "embedding"),
        ]


def test_paths_are_only_there_with_a_bi_encoder(serve: Serve, tmp_path: Path) -> None:
    for settings in ({"embeddings": None}, {"bearer": None}):
        with serve(**settings) as api:
            assert api.post("/v1/embeddings", {"input": "a"}).status == 404
    with running_api(tmp_path, None, {}, {"only": plan_of("words")}) as api:
        assert api.post("/embed", {"inputs": "a"}).status == 404
    with (
        pytest.raises(ValueError, match="there is no bi-encoder 'words'; the bi-encoders are: v"),
        serve(embeddings={"model": "words"}),
    ):
        pass


class FailingEmbedder:
    """Models whose every reading ends in one error."""

    dimensions = 256

    def __init__(self, error: RescoreError) -> None:
        self._error = error

    def scorer(self, deadline: float) -> Any:
        raise AssertionError("nothing is scored here")

    def bi_encoder(self, name: str) -> FailingEmbedder:
        return self

    async def embed(self, texts: Sequence[str], deadline: float, *, as_queries: bool) -> Any:
        raise self._error


@pytest.mark.parametrize(
    ("error", "statuses"),
    [
        (Overloaded("the line is full"), (503, 429)),
        (DeadlinePassed("too late"), (504, 424)),
        (ModelFailed("it broke"), (500, 424)),
    ],
)
def test_each_api_says_in_its_own_words_that_the_model_cannot(
    tmp_path: Path, error: RescoreError, statuses: tuple[int, int]
) -> None:
    models, plans = FailingEmbedder(error), {"only": plan_of("m")}
    with running_api(tmp_path, models, {}, plans, frozenset({"m"})) as api:
        answers = [
            api.post("/v1/embeddings", {"input": "a"}),
            api.post("/embed", {"inputs": "a"}),
        ]
    assert tuple(answer.status for answer in answers) == statuses


def test_before_the_models_are_there_callers_are_told_to_come_back(serve: Serve) -> None:
    with serve(loading=True) as api:
        answer = api.post("/v1/embeddings", {"input": "a"})
    assert (answer.status, answer.values("Retry-After")) == (503, ["2"])
