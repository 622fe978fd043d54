"""What ends a kept window: the end of an index, and a refusal of its caller."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from tests.nodes.node import Node
from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import QUERY as SECURE_QUERY
from tests.nodes.secure_collection import load_collection
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar

FIRST, SECOND = "ends-first", "ends-second"
PLANS: dict[str, dict[str, Any]] = {"words": {"rescore_window": 20, "deadline_ms": 20_000}}
BODY = {"query": {"match": {"body": "copper kettle"}}, "size": 5}
LONG = {"window_cache_s": 60}


@pytest.fixture
def sidecar(opensearch: Node, tmp_path: Path) -> Iterator[Sidecar]:
    routes = {FIRST: "words", SECOND: "words", "ends-alias": "words"}
    with OpenSearch(opensearch.url) as client:
        for index in (FIRST, SECOND):
            aliases: dict[str, Any] = {"ends-alias": {}} if index == FIRST else {}
            client.indices.create(index=index, body={"aliases": aliases})
            actions = ({"_index": index, "_id": f"{n}", "body": "kettle " * n} for n in range(30))
            helpers.bulk(client, actions, refresh=True)
        with running_sidecar(tmp_path, opensearch.url, PLANS, routes, main=LONG) as running:
            yield running
        client.indices.delete(index=f"{FIRST},{SECOND}", ignore_unavailable=True)


def page(sidecar: Sidecar, index: str, start: int) -> RawResponse:
    return request(sidecar.proxy, "POST", f"/{index}/_search", {**BODY, "from": start})


def said(answer: RawResponse) -> str:
    return answer.values("X-Rescore")[0]


@pytest.mark.parametrize("index", [FIRST, "ends-alias"])
@pytest.mark.parametrize(
    ("method", "target", "body", "gone"),
    [
        ("DELETE", f"/{FIRST}", None, True),
        ("DELETE", "/ends-f*", None, True),
        ("POST", f"/{FIRST}/_close", None, True),
        ("POST", "/ends-alias/_close", None, True),
        (
            "POST",
            "/_aliases",
            {"actions": [{"remove": {"index": FIRST, "alias": "ends-alias"}}]},
            False,
        ),
        ("DELETE", f"/{FIRST}/_alias/ends-alias", None, False),
    ],
)
def test_nothing_is_shown_of_an_index_that_has_ended(
    sidecar: Sidecar, index: str, method: str, target: str, body: object, gone: bool
) -> None:
    for name in (index, SECOND):
        page(sidecar, name, 0)
        assert said(page(sidecar, name, 5)).endswith("; cached")
    assert request(sidecar.proxy, method, target, body).status == 200
    answer = page(sidecar, index, 5)
    assert "cached" not in said(answer)
    if gone or index == "ends-alias":
        assert answer.status in (400, 404)
        assert b"kettle" not in answer.body
    if method == "DELETE" and "_alias" not in target:
        assert said(page(sidecar, SECOND, 5)).endswith("; cached")


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", f"/{FIRST}/_doc/29"), ("DELETE", "/ends-nothing"), ("GET", f"/{FIRST}/_alias")],
)
def test_other_requests_leave_the_windows(sidecar: Sidecar, method: str, target: str) -> None:
    page(sidecar, FIRST, 0)
    request(sidecar.proxy, method, target)
    assert said(page(sidecar, FIRST, 5)).endswith("; cached")


def test_the_pages_own_marks_are_those_that_opensearch_would_give(
    opensearch: Node, sidecar: Sidecar
) -> None:
    def ask(address: Any, start: int, **fields: str) -> RawResponse:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return request(address, "POST", f"/{FIRST}/_search", {**BODY, "from": start}, named)

    marks = {"X_Opaque_Id": "page 2", "X_Request_Id": "0123456789abcdef0123456789abcdef"}
    direct = ask((opensearch.host, opensearch.port), 5, **marks)
    # Page 1 has none, but another search has shown what this release does with them.
    ask(sidecar.proxy, 0, **marks)
    ask(sidecar.proxy, 0)
    through = ask(sidecar.proxy, 5, **marks)
    assert said(through).endswith("; cached")
    for name in ("X-Opaque-Id", "X-Request-Id", "X-OpenSearch-Version", "content-type"):
        assert through.values(name) == direct.values(name)


@pytest.fixture
def secure_sidecar(secure_opensearch: SecureNode, tmp_path: Path) -> Iterator[Sidecar]:
    load_collection(secure_opensearch)
    node = secure_opensearch
    upstream = {"urls": [node.url], "tls": {"ca_file": str(node.ca)}}
    routes = {"docs1": "words", "other1": "words"}
    main = {**LONG, "upstream": upstream}
    with running_sidecar(tmp_path, node.url, PLANS, routes, main=main) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/_cluster/settings", None),
        ("POST", "/other1/_search", {"query": SECURE_QUERY}),
        ("POST", "/_msearch", b'{"index":"other1"}\n{"query":{"match":{"title":"report"}}}\n'),
    ],
    ids=["forwarded", "widened", "an item"],
)
def test_a_refusal_ends_the_callers_windows_and_nobody_elses(
    secure_opensearch: SecureNode,
    secure_sidecar: Sidecar,
    method: str,
    target: str,
    body: object,
) -> None:
    def ask(user: str, method: str, target: str, body: object) -> RawResponse:
        fields = {"Authorization": secure_opensearch.basic(user)}
        if isinstance(body, bytes):
            lines = [f"{method} {target} HTTP/1.1", "Host: x", "Content-Type: application/json"]
            lines += [f"{name}: {value}" for name, value in fields.items()]
            lines += [f"Content-Length: {len(body)}", "", ""]
            from tests.raw_http import send

            return send(*secure_sidecar.proxy, "\r\n".join(lines).encode() + body)
        return request(secure_sidecar.proxy, method, target, body, fields)

    def further(user: str) -> str:
        asked = {"query": SECURE_QUERY, "from": 2, "size": 2}
        return said(ask(user, "POST", "/docs1/_search", asked))

    for user in ("bob", "alice"):
        ask(user, "POST", "/docs1/_search", {"query": SECURE_QUERY, "size": 2})
        assert further(user).endswith("; cached")
    refused = ask("bob", method, target, body)
    assert refused.status == 403 or b'"status":403' in refused.body
    assert "cached" not in further("bob")
    assert "order=kept" not in further("bob")
    assert further("alice").endswith("; cached")
    assert json.loads(ask("bob", "GET", "/docs1/_count", None).body)["count"] == 5
