"""Keys, limits and refusals of /rerank, /v1/rerank and /v2/rerank, over a real socket."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import DeadlinePassed, ModelFailed, Overloaded, RescoreError
from pipelines.scoring import Scorer
from tests.raw_http import RawResponse
from tests.sidecar.rerank.api import Api, running_api
from tests.sidecar.rerank.conftest import Serve, plan_of
from tests.sidecar.rerank.golden import masked

PATHS = ["/v1/rerank", "/v2/rerank", "/rerank"]
OTHER_NAMES = {
    "/v1/reranking": "/v1/rerank",
    "/api/rerank": "/v1/rerank",
    "/compatible-api/v1/reranks": "/v1/rerank",
    "/reranking": "/rerank",
}
ASK = {"query": "red apple", "documents": ["a green pear", "a red apple", "red shoes"]}
TEI_ASK = {"query": "red apple", "texts": ["a green pear", "a red apple", "red shoes"]}
GZIP = {"Content-Encoding": "gzip"}
SCORE = re.compile(rb'"(?:relevance_)?score":(-?\d+\.\d{1,7})[,}]')


def body(answer: RawResponse) -> Any:
    return json.loads(answer.body)


def indices(answer: RawResponse) -> list[int]:
    found = body(answer)
    return [entry["index"] for entry in (found if isinstance(found, list) else found["results"])]


@pytest.mark.parametrize("path", PATHS)
def test_documents_come_back_best_first_ties_as_given(api: Api, path: str) -> None:
    ask = {"query": "red apple", "documents": ["red", "pear", "apple red", "apple", "red apple"]}
    assert indices(api.post(path, ask)) == [2, 4, 0, 3, 1]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("count", "expected"),
    [({"top_n": 2}, 2), ({"top_k": 1}, 1), ({"top_n": 99}, 3), ({"top_n": None}, 3)],
)
def test_top_n_and_top_k(api: Api, path: str, count: dict[str, Any], expected: int) -> None:
    assert len(indices(api.post(path, ASK | count))) == expected


@pytest.mark.parametrize("path", PATHS)
def test_scores_are_short_literals_with_a_point(api: Api, path: str) -> None:
    ask = {"query": "a b c d e f g", "documents": ["a b", "", "a", "a b c d e f g", "x"]}
    answer = api.post(path, ask).body
    assert len(SCORE.findall(answer)) == answer.count(b"score")
    raw = api.post(path, ask | {"raw_scores": True}).body
    assert len(SCORE.findall(raw)) == raw.count(b"score")


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"query": None}, "missing"),
        ({"query": 5}, "malformed"),
        ({"query": " \n"}, "invalid"),
        ({"documents": None}, "missing"),
        ({"documents": "red"}, "malformed"),
        ({"documents": []}, "invalid"),
        ({"documents": ["red", 5]}, "malformed"),
        ({"documents": [{"title": "red"}]}, "invalid"),
        ({"documents": [{"text": {"deep": 1}}]}, "malformed"),
        ({"top_n": -1}, "invalid"),
        ({"top_n": "three"}, "malformed"),
        ({"top_n": "9" * 12}, "malformed"),
        ({"documents": [{"content": [{"type": "image_url"}]}]}, "invalid"),
        ({"documents": [{"content": []}]}, "invalid"),
        ({"query": {"title": "red"}}, "invalid"),
        ({"top_k": -1}, "invalid"),
        ({"top_n": 1.5}, "malformed"),
        ({"top_n": True}, "malformed"),
        ({"return_documents": "yes"}, "malformed"),
        ({"model": 1}, "malformed"),
        ({"rank_fields": []}, "invalid"),
        ({"rank_fields": "text"}, "malformed"),
        ({"max_tokens_per_doc": 0}, "invalid"),
        ({"documents": ["x"] * 1001}, "too_many"),
    ],
    ids=str,
)
def test_a_wrong_member_is_refused_in_the_words_of_all_clients(
    api: Api, wrong: dict[str, Any], cause: str
) -> None:
    for path, status in (("/v1/rerank", 400), ("/v2/rerank", 400), ("/rerank", 422)):
        answer = api.post(path, ASK | wrong)
        found = body(answer)
        assert answer.status == status
        assert found["message"] == found["detail"] == found["error"]["message"]
        assert found["error"]["type"] == cause
        assert found["error"]["code"] == status


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"query": 5}, 422),
        ({"texts": []}, 422),
        ({"texts": [1]}, 422),
        ({"raw_scores": 1}, 422),
        ({"texts": ["x"] * 1001}, 413),
    ],
    ids=str,
)
def test_tei_refuses_in_its_own_words(api: Api, wrong: dict[str, Any], status: int) -> None:
    answer = api.post("/rerank", TEI_ASK | wrong)
    assert answer.status == status
    assert body(answer).keys() == {"error", "error_type"}
    assert body(answer)["error_type"] == "validation"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"query": NaN}',
        b'{"query": 1e999}',
        b"[" * 100_000,
        b'{"query":"q","documents":[' + b"1" * 5000 + b"]}",
    ],
    ids=lambda content: repr(content[:16]),
)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_json_object_is_refused(api: Api, path: str, content: bytes) -> None:
    answer = api.post(path, content)
    assert answer.status == (422 if path == "/rerank" else 400)
    assert body(answer)["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_bytes_are_limited_as_sent_and_as_unpacked(serve: Serve, path: str) -> None:
    with serve(max_body_bytes=2000) as api:
        ask = json.dumps(ASK | {"more": "x" * 5000}).encode()
        assert api.post(path, ask).status == 413
        packed = gzip.compress(ask)
        assert len(packed) < 2000
        assert api.post(path, packed, GZIP).status == 413
        assert api.post(path, gzip.compress(json.dumps(ASK).encode()), GZIP).status == 200
        assert api.post(path, b"not gzip", GZIP).status == (422 if path == "/rerank" else 400)


def test_tokens_are_limited(serve: Serve) -> None:
    with serve(max_tokens=20) as api:
        assert api.post("/v2/rerank", ASK).status == 400
        refused = api.post("/rerank", TEI_ASK)
        assert refused.status == 413
        assert "at most 20 are allowed" in body(refused)["error"]
        assert api.post("/v2/rerank", ASK | {"documents": ["red"]}).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_keys_are_checked_when_there_are_some(serve: Serve, path: str) -> None:
    with serve(bearer={"keys": {"shop": "k1", "wiki": "k2"}}) as api:
        for field in ("Bearer k1", "bearer k2", "Bearer  k2 "):
            assert api.post(path, ASK, {"Authorization": field}).status == 200
        for field in ("Bearer k3", "Bearer ", "Basic azE6", "k1", "Bearer k1,k2", "Bearer \xe9"):
            refused = api.post(path, ASK, {"Authorization": field})
            assert refused.status == 401
            assert refused.values("WWW-Authenticate") == ["Bearer"]
        assert api.post(path, ASK).status == 401
        shape = {"/v1/rerank": "v1", "/v2/rerank": "v2", "/rerank": "infinity"}[path]
        assert _requests(api, shape, "shop", "ok") == 1
        assert _requests(api, shape, "wiki", "ok") == 2
        assert api.metric("rescore_api_documents_total", api=shape, key="wiki") == 6
        assert api.metric("rescore_api_tokens_total", api=shape, key="wiki") > 0
        undecided = "rerank" if shape == "infinity" else shape
        assert _requests(api, undecided, "unknown", "unauthorized") == 7


def _requests(api: Api, shape: str, key: str, outcome: str) -> float:
    return api.metric("rescore_api_requests_total", api=shape, key=key, outcome=outcome)


@pytest.mark.parametrize(
    ("path", "ask", "status"),
    [("/v1/rerank", ASK, 503), ("/v2/rerank", ASK, 503), ("/rerank", TEI_ASK, 503)],
)
def test_before_the_models_are_there_callers_are_told_to_come_back(
    serve: Serve, path: str, ask: dict[str, Any], status: int
) -> None:
    with serve(loading=True) as api:
        answer = api.post(path, ask)
    assert answer.status == status
    assert answer.values("Retry-After") == ["2"]


def test_a_rate_is_refused_with_the_time_to_wait(serve: Serve) -> None:
    with serve(requests_per_second=0.01) as api:
        assert api.post("/v1/rerank", ASK).status == 200
        answer = api.post("/v2/rerank", ASK)
        assert answer.status == 429
        assert 90 < int(answer.values("Retry-After")[0]) <= 100
        tei = api.post("/rerank", TEI_ASK)
    assert (tei.status, body(tei)["error_type"]) == (429, "overloaded")


def test_documents_longer_than_a_passage_are_scored_by_their_best_one(api: Api) -> None:
    padding = "Nothing of interest stands in this sentence. " * 200
    ask = {"query": "red apple", "documents": ["red", padding + "A red apple. " + padding]}
    assert indices(api.post("/v2/rerank", ask)) == [1, 0]
    # Whoever asks for a cut gets one.
    assert indices(api.post("/v2/rerank", ask | {"max_tokens_per_doc": 50})) == [0, 1]


def test_a_path_that_is_not_configured_is_not_there(serve: Serve) -> None:
    with serve(bearer=None) as api:
        assert api.post("/v1/rerank", ASK).status == 404
        assert api.post("/rerank", TEI_ASK).status == 404


class Failing(Scorer):
    """Models whose every search ends in one error."""

    def __init__(self, error: RescoreError) -> None:
        self._error = error

    def scorer(self, deadline: float) -> Failing:
        return self

    def unread(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        return texts

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "statuses", "code"),
    [
        (Overloaded("the line is full"), (503, 503, 503, 429), "FailedOperation"),
        (DeadlinePassed("too late"), (504, 504, 504, 424), "FailedOperation"),
        (ModelFailed("it broke"), (500, 500, 500, 424), "FailedOperation.EngineServerError"),
    ],
)
def test_each_api_says_in_its_own_words_that_the_model_cannot(
    tmp_path: Path, error: RescoreError, statuses: tuple[int, ...], code: str
) -> None:
    with running_api(tmp_path, Failing(error), {}, {"only": plan_of("words")}) as api:
        answers = [api.post(path, ASK) for path in PATHS] + [api.post("/rerank", TEI_ASK)]
        tencent = {"Query": "red", "Docs": ["red"]}
        answer = api.post("/", tencent, {"X-TC-Action": "RunRerank"})
    assert tuple(answer.status for answer in answers) == statuses
    again = [] if isinstance(error, ModelFailed) else ["2"]
    assert all(answer.values("Retry-After") == again for answer in answers)
    assert (answer.status, body(answer)["Response"]["Error"]["Code"]) == (200, code)


def test_vllm_and_infinity_share_a_path_and_each_gets_its_own_form(api: Api) -> None:
    ask = ASK | {"model": "m", "return_documents": True}
    vllm = body(api.post("/rerank", ask))
    assert vllm["results"][0]["document"] == {"text": "a red apple"}
    assert vllm["id"].startswith("rerank-")
    assert vllm["usage"]["total_tokens"] > 0
    infinity = body(api.post("/rerank", ask | {"raw_scores": False}))
    assert infinity["results"][0]["document"] == "a red apple"
    assert infinity["id"].startswith("infinity-")
    # Zero, vLLM's default, means all.
    assert len(body(api.post("/rerank", ask | {"top_n": 0}))["results"]) == 3
    assert api.post("/rerank", ask | {"top_n": False}).status == 400
    # Each refuses in its own words as well.
    assert api.post("/rerank", ask | {"top_n": -1}).status == 400
    assert api.post("/rerank", ask | {"top_n": -1, "raw_scores": False}).status == 422


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_tokens_are_where_siliconflow_has_them(api: Api, path: str) -> None:
    answer = body(api.post(path, ASK))
    tokens = answer["meta"]["tokens"]
    assert tokens["output_tokens"] == 0
    assert tokens["input_tokens"] > 0
    if path == "/v1/rerank":
        assert tokens["input_tokens"] == answer["usage"]["total_tokens"]


@pytest.mark.parametrize("path", PATHS)
def test_nested_metadata_comes_back(api: Api, path: str) -> None:
    documents = [{"text": "a red apple", "metadata": {"tags": ["a", {"b": 1.5}]}}, "pear"]
    ask = {"query": "red apple", "documents": documents, "return_documents": True}
    (first, _) = body(api.post(path, ask | ({"model": "m"} if path == "/rerank" else {})))[
        "results"
    ]
    assert first["document"] == documents[0]


@pytest.mark.parametrize("levels", [60, 200, 400, 900, 2000])
def test_deep_metadata_is_answered_or_refused(api: Api, levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    documents = b'[{"text":"a red apple","metadata":' + deep + b"}]"
    ask = b'{"query":"red apple","return_documents":true,"documents":' + documents + b"}"
    assert api.post("/v1/rerank", ask).status == (200 if levels == 60 else 400)


@pytest.mark.parametrize("path", [*PATHS, *OTHER_NAMES])
@pytest.mark.parametrize("ask", [ASK, ASK | {"model": "m"}, TEI_ASK, ASK | {"query": ""}], ids=str)
def test_other_names_of_a_path_get_the_same_answer(
    api: Api, path: str, ask: dict[str, Any]
) -> None:
    answers = [api.post(name, ask) for name in (path, f"{path}/", OTHER_NAMES.get(path, path))]
    assert len({(answer.status, masked(answer.body.decode())) for answer in answers}) == 1


@pytest.mark.parametrize("path", ["/v1/ranking", "/ranking", "/reranking", "/rerank", "/v1/rerank"])
def test_passages_get_nvidias_answer_on_every_path(api: Api, path: str) -> None:
    ask = {"query": {"text": "red apple"}, "passages": [{"text": "pear"}, {"text": "red"}]}
    rankings = body(api.post(path, ask))["rankings"]
    assert rankings == [{"index": 1, "logit": 0.5}, {"index": 0, "logit": 0.0}]
