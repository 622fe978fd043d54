"""RunRerank over a real socket: forms, errors and limits; signatures have a file of their own."""

import json
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.sidecar.rerank.api import Api
from tests.sidecar.rerank.conftest import Serve

ACTION = {"X-TC-Action": "RunRerank", "X-TC-Version": "2024-05-22"}
ASK = {"Query": "red apple", "Docs": ["green pear", "red apple"]}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def call(api: Api, ask: object, fields: dict[str, str] | None = None) -> Any:
    """The content of Response, after the checks that hold for every answer."""
    answer = api.post("/", ask, ACTION | (fields or {}))
    assert answer.status == 200
    assert answer.values("Content-Type") == ["application/json"]
    found = json.loads(answer.body)["Response"]
    assert uuid.UUID(found["RequestId"])
    return found


def code(api: Api, ask: object, fields: dict[str, str] | None = None) -> str:
    found: str = call(api, ask, fields)["Error"]["Code"]
    return found


def test_scores_are_logits_in_the_order_given(api: Api) -> None:
    found = call(api, {"Query": "red apple", "Docs": ["pear", "red apple", "", "red", "red"]})
    assert found["ScoreList"] == [0.0, 1.0, -100.0, 0.5, 0.5]
    assert found.keys() == {"ScoreList", "Usage", "RequestId"}


def test_tokens_are_of_all_pairs(api: Api) -> None:
    # Each pair: 2 of the query, 3 around it; the documents have 2 and 2.
    assert call(api, ASK)["Usage"] == {"TotalTokens": 14}


def test_texts_of_any_language(api: Api) -> None:
    ask = {"Query": "赤い りんご", "Docs": ["赤い りんご", "梨", "\ud800 emoji 🍎"]}
    assert call(api, ask)["ScoreList"] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Query": None}, "MissingParameter"),
        ({"Docs": None}, "MissingParameter"),
        ({"Query": 5}, "InvalidParameter"),
        ({"Docs": {"0": "x"}}, "InvalidParameter"),
        ({"Docs": ["x", 5]}, "InvalidParameter"),
        ({"Model": 5}, "InvalidParameter"),
        ({"Query": "  "}, "InvalidParameterValue"),
        ({"Docs": []}, "InvalidParameterValue"),
        ({"Docs": ["x"] * 21}, "InvalidParameterValue"),
        ({"Model": "other"}, "InvalidParameterValue"),
    ],
    ids=str,
)
def test_a_wrong_member(api: Api, change: dict[str, Any], expected: str) -> None:
    assert code(api, ASK | change) == expected


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"Model": "lke-reranker-base"}, {}),
        ({"Model": None}, {}),
        ({"Unknown": 1}, {}),
        ({"Docs": ["x"] * 20}, {}),
        ({}, {"X-TC-Region": "eu-frankfurt"}),
        ({}, {"X-TC-Version": ""}),
        ({}, {"Authorization": "SKIP"}),
    ],
    ids=str,
)
def test_what_is_let_through(api: Api, change: dict[str, Any], fields: dict[str, str]) -> None:
    assert "ScoreList" in call(api, ASK | change, fields)


def test_unreadable_bodies(api: Api) -> None:
    for content in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000):
        assert code(api, content) == "InvalidParameter"


def test_other_operations(api: Api) -> None:
    assert code(api, ASK, {"X-TC-Action": "GetEmbedding"}) == "InvalidAction"
    assert code(api, ASK, {"X-TC-Action": ""}) == "MissingParameter"
    assert code(api, ASK, {"X-TC-Version": "2020-01-01"}) == "NoSuchVersion"
    answer = api.send("PUT", "/", b"{}", ACTION)
    assert b'"UnsupportedProtocol"' in answer.body


def test_strict_settings(serve: Serve) -> None:
    with serve(tencent={"strict": True}) as api:
        assert code(api, ASK, {"X-TC-Region": "ap-guangzhou"}) == "UnsupportedRegion"
        assert code(api, ASK) == "UnsupportedRegion"
        region = {"X-TC-Region": "ap-jakarta"}
        assert code(api, ASK | {"TopN": 3}, region) == "UnknownParameter"
        assert "ScoreList" in call(api, ASK, region)


def test_mainland_limits(serve: Serve) -> None:
    with serve(tencent={"max_documents": 60, "max_characters": 2000}) as api:
        assert len(call(api, ASK | {"Docs": ["x"] * 60})["ScoreList"]) == 60
        assert code(api, ASK | {"Docs": ["x"] * 61}) == "InvalidParameterValue"
        assert code(api, ASK | {"Docs": ["x" * 1992]}) == "InvalidParameterValue"
        assert "ScoreList" in call(api, ASK | {"Docs": ["x" * 1991]})


def test_get_with_numbered_documents(api: Api) -> None:
    def get(query: str) -> Any:
        answer = api.send("GET", f"/?{query}", b"", FORM | ACTION)
        assert answer.status == 200
        return json.loads(answer.body)["Response"]

    documents = {f"Docs.{number}": f"d{number}" for number in range(12)} | {"Docs.11": "red apple"}
    assert get(urlencode({"Query": "red apple", **documents}))["ScoreList"] == [0.0] * 11 + [1.0]
    assert get("Query=x&Docs.0=%E8%B5%A4")["ScoreList"] == [0.0]
    assert get("Query=x&Docs.0=a&Docs.2=b")["Error"]["Code"] == "InvalidParameter"
    assert get("Query=x&Docs=a")["Error"]["Code"] == "InvalidParameter"
    assert get("Query=x")["Error"]["Code"] == "MissingParameter"


def test_parameters_alone_as_the_old_signatures_send_them(api: Api) -> None:
    form = {"Action": "RunRerank", "Version": "2024-05-22", "Nonce": "1", "Language": "zh-CN"}
    content = urlencode(form | {"Query": "red apple", "Docs.0": "red"})
    for answer in (api.send("POST", "/", content.encode(), FORM), api.send("GET", f"/?{content}")):
        assert json.loads(answer.body)["Response"]["ScoreList"] == [0.5]


def test_too_many_bytes(serve: Serve) -> None:
    with serve(max_body_bytes=1024) as api:
        assert code(api, ASK | {"Docs": ["x" * 2000]}) == "RequestSizeLimitExceeded"


def test_rate_and_start(serve: Serve) -> None:
    with serve(requests_per_second=0.01) as api:
        assert "ScoreList" in call(api, ASK)
        assert code(api, ASK) == "RequestLimitExceeded"
        key = {"api": "tencent", "key": "anonymous"}
        assert api.metric("rescore_api_requests_total", **key, outcome="ok") == 1
        assert api.metric("rescore_api_requests_total", **key, outcome="rate") == 1
    with serve(loading=True) as api:
        assert code(api, ASK) == "FailedOperation"


def test_requests_of_other_services_are_left_to_them(api: Api) -> None:
    target = {"X-Amz-Target": "AWSKendraRerankingFrontendService.Rescore"}
    assert api.post("/", {}, target).status == 404
    assert api.send("POST", "/other", b"a=1", FORM).status == 404


def test_not_configured(serve: Serve) -> None:
    with serve(tencent=None) as api:
        assert api.post("/", ASK, ACTION).status == 404
