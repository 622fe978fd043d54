"""vLLM's score API over a real socket: what is compared with what, and its limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.rerank.pair_scores import MOST_QUERIES
from tests.sidecar.rerank.api import Api
from tests.sidecar.rerank.conftest import Serve

HALF = 0.6224593  # the relevance of the logit 0.5


def scores(api: Api, **members: Any) -> list[float]:
    answer = api.post("/v1/score", members)
    assert answer.status == 200, answer.body
    data = json.loads(answer.body)["data"]
    assert [entry["index"] for entry in data] == list(range(len(data)))
    return [entry["score"] for entry in data]


@pytest.mark.parametrize(
    ("left", "right"),
    [("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2"), ("queries", "items")],
)
def test_one_with_many_in_the_order_of_the_request(api: Api, left: str, right: str) -> None:
    documents = ["pear", "a red apple", "red"]
    assert scores(api, **{left: "red apple", right: documents}) == [0.5, 0.7310586, HALF]
    assert scores(api, **{left: ["red apple"], right: documents[1:]}) == [0.7310586, HALF]
    assert scores(api, **{left: "red apple", right: "red"}) == [HALF]


def test_pairs_and_raw_scores(api: Api) -> None:
    pairs = {"text_1": ["red", "green pear", "red"], "text_2": ["red", "pear", "pear"]}
    for off in ({"use_activation": False}, {"activation": "false"}, {"raw_scores": True}):
        assert scores(api, **pairs, **off) == [1.0, 0.5, 0.0]
    assert scores(api, **pairs, use_activation=True)[1] == HALF


def test_multimodal_texts(api: Api) -> None:
    part = {"content": [{"type": "text", "text": "red"}]}
    assert scores(api, data_1="red apple", data_2=[part, {"text": "pear"}]) == [HALF, 0.5]


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"text_2": ["a"]}, "missing"),
        ({"text_1": "a"}, "missing"),
        ({"text_1": "a", "text_2": []}, "invalid"),
        ({"text_1": "a", "text_2": 5}, "malformed"),
        ({"text_1": "a", "text_2": ["b", 5]}, "malformed"),
        ({"text_1": " ", "text_2": ["b"]}, "invalid"),
        ({"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, "invalid"),
        ({"text_1": ["a", "b"], "text_2": ["a"]}, "invalid"),
        ({"text_1": "a", "text_2": ["b"] * 1001}, "too_many"),
        (
            {
                "text_1": [str(n) for n in range(MOST_QUERIES + 1)],
                "text_2": ["b"] * (MOST_QUERIES + 1),
            },
            "too_many",
        ),
        ({"text_1": "a", "text_2": "b", "use_activation": "maybe"}, "malformed"),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("path", ["/score", "/v1/score", "/v1/score/"])
def test_refusals(api: Api, path: str, members: dict[str, Any], cause: str) -> None:
    answer = api.post(path, members)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["type"] == cause


def test_pairs_count_as_documents_and_tokens_are_limited_together(serve: Serve) -> None:
    with serve(max_tokens=20) as api:
        pairs = {"text_1": ["red", "green"], "text_2": ["a red apple"] * 2}
        scores(api, **pairs)
        labels = {"api": "score", "key": "anonymous"}
        assert api.metric("rescore_api_documents_total", **labels) == 2
        assert api.metric("rescore_api_tokens_total", **labels) == 14
        refused = api.post("/score", {"text_1": ["a", "b", "c"], "text_2": ["a red apple"] * 3})
    assert json.loads(refused.body)["error"]["type"] == "too_many"
