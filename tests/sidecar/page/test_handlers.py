"""The page's calls on real sockets: who may call, what a search answers, what is refused."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecar.config_reading.config_files import read_config
from sidecar.page.static_files import FOLDER
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar
from tests.sidecar.page.upstream import DOCUMENTS, SearchUpstream, running_upstream

CALL = {"X-Rescore-Page": "1"}
PLANS: Mapping[str, Mapping[str, Any]] = {
    "words": {"fusion": {"method": "relative", "weight": 4, "short_query_words": 6}},
    "model": {"fusion": {"method": "replace"}},
}
SEARCH = {
    "index": "docs",
    "body": {"query": {"match": {"body": "red winter shoes"}}},
    "plan": "words",
    "size": 3,
    "shown": {"title": ["title"], "fields": ["brand"]},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[SearchUpstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def sidecar(
    upstream: SearchUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with running_sidecar(folder, upstream.url, PLANS, {"docs": "words"}) as running:
        yield running


def call(
    sidecar: Sidecar, path: str, body: object = None, fields: Mapping[str, str] = CALL
) -> RawResponse:
    method = "GET" if body is None else "POST"
    return request(sidecar.api, method, f"/ui/api/{path}", body, fields)


def cause(answer: RawResponse) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["cause"]


def search(sidecar: Sidecar, **changes: object) -> dict[str, Any]:
    answer = call(sidecar, "search", {**SEARCH, **changes})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_opensearch_alone_and_a_plan(sidecar: Sidecar) -> None:
    alone = search(sidecar, plan=None)
    assert [hit["id"] for hit in alone["hits"]] == ["d0", "d1", "d2"]
    assert alone["outcome"] is None
    assert alone["window"] is None

    rescored = search(sidecar)
    window = rescored["window"]
    assert rescored["outcome"]["status"] == "applied"
    assert sorted(window["ranking"]) == list(range(len(DOCUMENTS)))
    ids = [window["hits"][position]["id"] for position in window["ranking"]]
    assert [hit["id"] for hit in rescored["hits"]] == ids[:3]
    assert ids[0] == "d1"
    first = window["hits"][1]
    assert first["title"] == "Shoes 1"
    assert first["fields"] == [["brand", "brand 1"]]
    assert ["red", 1] in first["passage"]["pieces"]
    assert [step["name"] for step in rescored["steps"]] == [
        *("OpenSearch", "choosing passages", "model words", "all else"),
    ]


def test_evidence_is_there_for_a_plan_that_does_not_use_it(sidecar: Sidecar) -> None:
    window = search(sidecar)["window"]
    assert window["settings"]["lexical"] == 0
    assert all(group["evidence"] > 0 for group in window["groups"] if group["original"])


def test_scores_alone_have_no_texts(sidecar: Sidecar) -> None:
    window = search(sidecar, parts="scores")["window"]
    assert window["passages"] == {}
    assert all(hit.keys() == {"id", "index", "score"} for hit in window["hits"])
    assert search(sidecar, parts="none")["window"] is None


def test_a_search_that_keeps_its_order_says_why_and_what_to_do(sidecar: Sidecar) -> None:
    body = {**SEARCH["body"], "sort": [{"brand": "asc"}]}  # type: ignore[dict-item]
    outcome = search(sidecar, body=body)["outcome"]
    assert (outcome["status"], outcome["reason"]) == ("skipped", "sort")
    assert "sort" in outcome["fix"]


def test_the_callers_account_reaches_opensearch_and_nothing_else(
    sidecar: Sidecar, upstream: SearchUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.accounts.clear()
    with caplog.at_level(logging.DEBUG):
        search(sidecar)
        answer = call(sidecar, "search", SEARCH, {**CALL, "Authorization": "Basic c2VjcmV0"})
    assert answer.status == 200
    assert upstream.accounts == [None, "Basic c2VjcmV0"]
    assert "c2VjcmV0" not in caplog.text
    refused = call(sidecar, "search", SEARCH, {**CALL, "Authorization": "Basic wrong"})
    assert cause(refused) == (403, "account")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (403, "forbidden")),
        ({**CALL, "Origin": "http://evil.example"}, (403, "forbidden")),
        ({**CALL, "Host": "evil.example:80"}, (403, "forbidden")),
    ],
)
def test_other_pages_may_not_call(
    sidecar: Sidecar, fields: Mapping[str, str], expected: tuple[int, str]
) -> None:
    for path, body in (("plans", None), ("search", SEARCH)):
        head = {"Host": f"{sidecar.api}", **fields}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        answer = send_raw(sidecar, path, lines, body)
        assert cause(answer) == expected


def send_raw(sidecar: Sidecar, path: str, lines: str, body: object) -> RawResponse:
    from tests.raw_http import send

    content = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = f"{method} /ui/api/{path} HTTP/1.1\r\n{lines}Content-Length: {len(content)}\r\n\r\n"
    return send(*sidecar.api, head.encode() + content)


def test_its_own_origin_may_call(sidecar: Sidecar) -> None:
    answer = call(sidecar, "plans", None, {**CALL, "Origin": f"http://{sidecar.api}"})
    assert answer.status == 200
    plans = {plan["name"]: plan for plan in json.loads(answer.body)["plans"]}
    assert plans.keys() == {"words", "model"}
    assert "weight: 4" in plans["words"]["yaml"]


@pytest.mark.parametrize(
    "changes",
    [
        {"index": ""},
        {"index": "_all"},
        {"index": "a/_search?x="},
        {"plan": "none"},
        {"size": 0},
        {"size": 1001},
        {"size": True},
        {"body": []},
        {"parts": "more"},
        {"shown": {"fields": ["f"] * 21}},
    ],
)
def test_what_the_page_never_sends_is_refused(
    sidecar: Sidecar, changes: Mapping[str, object]
) -> None:
    assert cause(call(sidecar, "search", {**SEARCH, **changes})) == (400, "request")


def test_lists_are_read_in_the_formats_of_the_commands(sidecar: Sidecar) -> None:
    lists = {"queries": "red shoes\nblue boots\n", "judgments": "1 0 d1 2\n1 0 d2 0\n"}
    answer = json.loads(call(sidecar, "lists", lists).body)
    assert answer["queries"] == [["red shoes", "red shoes"], ["blue boots", "blue boots"]]
    assert answer["grades"] == {"1": {"d1": 2, "d2": 0}}
    assert not answer["by_text"]
    wrong = call(sidecar, "lists", {"judgments": "a b\n"})
    assert cause(wrong) == (400, "request")
    assert "judgments:1" in json.loads(wrong.body)["message"]


def test_files_come_compressed_with_strict_headers_and_once(sidecar: Sidecar) -> None:
    answer = request(sidecar.api, "GET", "/ui/", None, {"Accept-Encoding": "gzip"})
    assert gzip.decompress(answer.body) == (FOLDER / "index.html").read_bytes()
    (policy,) = answer.values("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (tag,) = answer.values("ETag")
    again = request(sidecar.api, "GET", "/ui/", None, {"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    assert request(sidecar.api, "GET", "/ui/gone.js").status == 404
    assert request(sidecar.api, "GET", "/ui").values("Location") == ["/ui/"]


def test_the_whole_page_is_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in FOLDER.iterdir()) < 100_000


def test_a_key_opens_the_page(upstream: SearchUpstream, tmp_path: Path) -> None:
    main = {"ui": {"keys": {"team": "s3cret"}}}
    with running_sidecar(tmp_path, upstream.url, PLANS, {}, main=main) as sidecar:
        assert cause(call(sidecar, "plans")) == (401, "key")
        assert cause(call(sidecar, "plans", None, {**CALL, "X-Rescore-Key": "x"})) == (401, "key")
        key = {**CALL, "X-Rescore-Key": "s3cret"}
        assert call(sidecar, "plans", None, key).status == 200
        assert call(sidecar, "collection", None, key).body == b"null"


def test_the_page_can_be_switched_off(upstream: SearchUpstream, tmp_path: Path) -> None:
    main = {"ui": {"enabled": False}}
    with running_sidecar(tmp_path, upstream.url, PLANS, {}, main=main) as sidecar:
        assert request(sidecar.api, "GET", "/ui/").status == 404


def test_a_reload_leaves_the_page_as_it_is(upstream: SearchUpstream, tmp_path: Path) -> None:
    key = {**CALL, "X-Rescore-Key": "s3cret"}
    body = {"query": {"match": {"body": "red"}}}
    main = {"ui": {"keys": {"team": "s3cret"}}}
    with running_sidecar(tmp_path, upstream.url, PLANS, {"docs": "words"}, main=main) as sidecar:
        file = tmp_path / "plans" / "words.yaml"
        for before, weight in ((None, 4), (4, 7), (7, 9)):
            if before is not None:
                text = file.read_text()
                file.write_text(text.replace(f"weight: {before}", f"weight: {weight}"))
                assert sidecar.call(sidecar.app.reload(read_config(tmp_path / "sidecar.yaml", {})))
            assert request(sidecar.proxy, "POST", "/docs/_search", body).status == 200
            answer = call(sidecar, "search", SEARCH, key)
            assert json.loads(answer.body)["window"]["settings"]["weight"] == weight
        # The last hour is that of the process.
        live = json.loads(call(sidecar, "live", None, key).body)
        (reason,) = live["reasons"]
        assert reason["count"] == 3


def test_the_last_hour(sidecar: Sidecar) -> None:
    body = {"query": {"match": {"body": "red"}}}
    assert request(sidecar.proxy, "POST", "/docs/_search", body).status == 200
    live = json.loads(call(sidecar, "live").body)
    (reason,) = [one for one in live["reasons"] if one["status"] == "applied"]
    assert reason["plan"] == "words"
    assert reason["count"] >= 1
    steps = {(step["name"], *step["labels"].values()) for step in live["steps"]}
    assert steps >= {
        ("rescore_seconds", "words"),
        ("rescore_step_seconds", "model"),
        ("relay_seconds", "answered"),
    }
