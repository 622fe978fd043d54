"""`_msearch`, end to end: each item of a routed index is what its own `_search` would be."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch, helpers

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.indifferent import indifferent_models
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took, send
from tests.running import Sidecar, request, running_sidecar

SHELF, BOOKS, SMALL, ATTIC = "many-shelf", "many-books", "many-small", "many-attic"
REPLACE = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
    "scores": "model",
}
PLANS: dict[str, dict[str, Any]] = {
    "model": REPLACE,
    "fused": {"rescore_window": 20, "deadline_ms": 20_000},
    "positional": {**REPLACE, "scores": "positional"},
    "hasty": {**REPLACE, "deadline_ms": 300},
    "off": {"enabled": False},
}
ROUTES = {SHELF: "model", BOOKS: "fused", SMALL: "model"}

MATCH = {"match": {"body": "copper kettle with wooden handle"}}
BODIES = [
    "kettle kettle kettle kettle",
    "a copper kettle with a wooden handle",
    "copper copper copper pipes",
    "a wooden handle for a broom",
    "handle with care",
    "kettle, copper, handle",
    "Kupfer \u2014 caf\u00e9 kettle \U0001f600",
] + [f"kettle number {number} and some more words about it" for number in range(25)]


@pytest.fixture(scope="module", params=["3.8.0", "2.19.1"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node with the same documents in four indexes; only one of them has no route."""
    names = {"3.8.0": "opensearch_3", "2.19.1": "opensearch_2"}
    found: Node = request.getfixturevalue(names[request.param])
    client = OpenSearch(found.url)
    for index in (SHELF, BOOKS, SMALL, ATTIC):
        settings: dict[str, Any] = {"number_of_shards": 1}
        if index == SMALL:
            settings["max_result_window"] = 5
        client.indices.create(index=index, body={"settings": settings})
        actions = (
            {"_index": index, "_id": f"{number}", "title": f"{number}", "body": body, "n": number}
            for number, body in enumerate(BODIES)
        )
        helpers.bulk(client, actions, refresh=True)
    yield found
    client.indices.delete(index=f"{SHELF},{BOOKS},{SMALL},{ATTIC}")
    client.close()


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with running_sidecar(folder, node.url, PLANS, ROUTES) as running:
        yield running


@pytest.fixture(scope="module")
def identity(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar whose rescoring changes nothing: its answers are OpenSearch's to the byte."""
    routes = dict.fromkeys(ROUTES, "positional")
    folder = tmp_path_factory.mktemp("identity")
    with running_sidecar(folder, node.url, PLANS, routes, indifferent_models()) as running:
        yield running


Item = tuple[dict[str, Any], dict[str, Any]]


def ndjson(items: Sequence[Item]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for item in items for line in item)


def ask(
    address: Any, body: bytes, target: str = "/_msearch", method: str = "POST", **fields: str
) -> RawResponse:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    given = {"Content-Type": "application/x-ndjson"}
    given.update((name.replace("_", "-"), value) for name, value in fields.items())
    lines += [f"{name}: {value}" for name, value in given.items() if value]
    return send(address[0], address[1], "\r\n".join([*lines, "", ""]).encode() + body)


def direct_address(node: Node) -> tuple[str, int]:
    return node.host, node.port


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


# Everything that an item may be: rescored, left alone, without a route, an error.
ITEMS: list[Item] = [
    ({"index": SHELF}, {"query": MATCH, "size": 4}),
    ({"index": ATTIC}, {"query": MATCH, "size": 4}),
    ({"index": [BOOKS], "preference": "_local"}, {"query": MATCH, "from": 3, "size": 4}),
    ({"index": SHELF}, {"query": MATCH, "sort": ["n"], "size": 2}),
    ({"index": "many-nothing"}, {"query": MATCH}),
    ({"index": SHELF, "search_type": "dfs_query_then_fetch"}, {"query": MATCH}),
    ({"index": f"{SHELF},{ATTIC}"}, {"query": MATCH, "size": 3}),
    ({"index": BOOKS}, {"query": MATCH, "aggs": {"n": {"max": {"field": "n"}}}, "size": 1}),
    ({"index": SHELF}, {"query": {"match": {"body": "no such word"}}, "_source": "n"}),
    ({"index": SHELF}, {"query": MATCH, "_source": ["n"], "size": 3}),
    ({"index": SHELF, "routing": "a b"}, {"query": MATCH, "_source": False, "size": 3}),
]


def test_each_item_is_what_its_own_search_is(sidecar: Sidecar) -> None:
    expected = []
    for header, body in ITEMS:
        index = header["index"] if isinstance(header["index"], str) else header["index"][0]
        others = {key: value for key, value in header.items() if key != "index"}
        query = "&".join(f"{key}={value.replace(' ', '%20')}" for key, value in others.items())
        alone = request(sidecar.proxy, "POST", f"/{index}/_search?{query}", body).body
        expected.append(alone if alone.startswith(b'{"error"') else alone[:-1] + b',"status":200}')
    answer = ask(sidecar.proxy, ndjson(ITEMS))
    whole = b'{"took":0,"responses":[' + b",".join(expected) + b"]}"
    assert mask_took(answer.body) == mask_took(whole)
    status, reason, plan, items, rescored, ms = outcome(answer).split("; ")
    assert (status, reason, plan) == ("skipped", "reason=sort", "plan=model+fused")
    assert (items, rescored) == ("items=8", "rescored=6")
    assert ms.startswith("ms=")


def test_every_item_with_a_route_is_counted_by_its_own_outcome(sidecar: Sidecar) -> None:
    labels = [
        {"plan": "model", "status": "applied", "reason": ""},
        {"plan": "fused", "status": "applied", "reason": ""},
        {"plan": "model", "status": "skipped", "reason": "sort"},
        {"plan": "model", "status": "skipped", "reason": "no_hits"},
    ]
    before = [sidecar.metric("rescore_searches_total", **each) for each in labels]
    ask(sidecar.proxy, ndjson(ITEMS))
    after = [sidecar.metric("rescore_searches_total", **each) for each in labels]
    assert [new - old for new, old in zip(after, before, strict=True)] == [4, 2, 1, 1]


FIFTY: list[Item] = [
    (
        {"index": [SHELF, BOOKS, ATTIC][number % 3]},
        {"query": MATCH, "from": number % 5, "size": number % 7 + 1},
    )
    for number in range(50)
]
SHAPES = [
    ("/_msearch", ndjson(ITEMS)),
    ("/_msearch?pretty", ndjson(ITEMS)),
    ("/_msearch", ndjson(ITEMS) + b"\n"),
    ("/_msearch", ndjson(ITEMS).replace(b"\n", b"\r\n")),
    ("/_msearch?typed_keys&rest_total_hits_as_int=true&max_concurrent_searches=2", ndjson(ITEMS)),
    (f"/{SHELF}/_msearch?search_type=dfs_query_then_fetch", ndjson([({}, ITEMS[0][1]), *ITEMS])),
    # An empty header line means the same as `{}`, but for the first one.
    (f"/{SHELF}/_msearch", b"{}" + b'\n{"query":{"match":{"body":"kettle"}}}\n' * 3),
    ("/_msearch?pretty=true", ndjson(FIFTY)),
    ("/_msearch", ndjson(FIFTY)),
]


@pytest.mark.parametrize(("target", "body"), SHAPES)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_order_that_stays_leaves_every_byte(
    node: Node, identity: Sidecar, target: str, body: bytes, method: str
) -> None:
    direct = ask(direct_address(node), body, target, method)
    through = ask(identity.proxy, body, target, method)
    assert "rescored=" in outcome(through)
    assert "rescored=0" not in outcome(through)
    assert mask_took(through.body) == mask_took(direct.body)


def test_a_compressed_request_gets_a_compressed_answer(node: Node, identity: Sidecar) -> None:
    fields = {"Content_Encoding": "gzip", "Accept_Encoding": "br, gzip"}
    body = gzip.compress(ndjson(FIFTY))
    direct = ask(direct_address(node), body, **fields)
    through = ask(identity.proxy, body, **fields)
    assert outcome(through).startswith("applied; plan=positional; items=34; rescored=34; ms=")
    assert through.values("content-encoding") == ["gzip"]
    plain = [mask_took(gzip.decompress(answer.body)) for answer in (through, direct)]
    assert plain[0] == plain[1]


ONE = ndjson(ITEMS[:1])


@pytest.mark.parametrize(
    ("target", "body", "content_type", "reason"),
    [
        ("/_msearch?filter_path=responses.hits.hits._id", ONE, "application/json", "filter_path"),
        ("/_msearch?format=yaml", ONE, "application/json", "reply_format"),
        ("/_msearch?size=3", ONE, "application/json", "unknown_parameter"),
        (f"/_msearch?index={BOOKS}", ONE, "application/json", "unknown_parameter"),
        ("/_msearch?source=x", ONE, "application/json", "source_parameter"),
        ("/_msearch?a;b", ONE, "application/json", "url_syntax"),
        ("/_msearch", ONE, "text/plain", "content_type"),
        ("/_msearch", ONE, "", "content_type"),
        (f"/{SHELF}/_msearch", b"\n" + ONE, "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", ONE[:-1], "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", ONE + b"{}\n", "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", ONE.replace(b"index", b"indx"), "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", b'{"index":"x","index":"x"}\n{}\n', "", "multi_search"),
        (f"/{SHELF}/_msearch", b'{"index":null}\n{}\n', "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", b"[]\n{}\n", "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", b"", "application/json", "multi_search"),
        (f"/{SHELF}/_msearch", b"{}\n\n", "application/json", "body_syntax"),
        (f"/{SHELF}/_msearch", b"{}\n{} x\n", "application/json", "body_syntax"),
    ],
)
def test_what_is_not_certain_is_forwarded_as_it_came(
    node: Node, sidecar: Sidecar, target: str, body: bytes, content_type: str, reason: str
) -> None:
    direct = ask(direct_address(node), body, target, Content_Type=content_type)
    through = ask(sidecar.proxy, body, target, Content_Type=content_type)
    assert outcome(through) == f"skipped; reason={reason}; plan=model; items=1; rescored=0"
    assert (through.status, mask_took(through.body)) == (direct.status, mask_took(direct.body))


def test_searches_without_a_route_say_nothing(node: Node, sidecar: Sidecar) -> None:
    body = ndjson([({"index": ATTIC}, {"query": MATCH}), ({}, {"query": MATCH, "size": 1})])
    for target in ("/_msearch", f"/{ATTIC}/_msearch", f"/{SHELF},{ATTIC}/_msearch"):
        direct, through = ask(direct_address(node), body, target), ask(sidecar.proxy, body, target)
        assert through.values("X-Rescore") == []
        assert mask_took(through.body) == mask_took(direct.body)
        assert mask_content_length(through.head) == mask_content_length(direct.head)


def test_an_item_of_a_smaller_window_is_rescored_within_it(node: Node, tmp_path: Path) -> None:
    # Five hits may be asked for in this index, not the window's twenty.
    items = [ITEMS[0], ({"index": SMALL}, {"query": MATCH, "size": 5}), ITEMS[3], ITEMS[1]]
    direct = ask(direct_address(node), ndjson(items))
    with running_sidecar(tmp_path, node.url, PLANS, ROUTES) as sidecar:
        for _ in range(2):
            through = ask(sidecar.proxy, ndjson(items))
            said = "skipped; reason=sort; plan=model; items=3; rescored=2; ms="
            assert outcome(through).startswith(said)
            small, expected = (
                json.loads(answer.body)["responses"][1]["hits"]["hits"]
                for answer in (through, direct)
            )
            assert {hit["_id"] for hit in small} == {hit["_id"] for hit in expected}
            assert small[0]["_score"] == 1.0
        # It is refused once, and known from then on.
        assert sidecar.metric("rescore_index_lessons_total", lesson="result_window") == 1


BAD: Item = ({"index": SHELF}, {"query": {"query_string": {"query": "kettle AND (handle"}}})
NO_FIELD_DATA: Item = (
    {"index": SHELF},
    {"query": MATCH, "aggs": {"words": {"terms": {"field": "body"}}}},
)


@pytest.mark.parametrize("bad", [BAD, NO_FIELD_DATA])
def test_a_bad_item_keeps_its_error_and_the_others_are_rescored(
    node: Node, sidecar: Sidecar, bad: Item
) -> None:
    items = [ITEMS[0], bad, ITEMS[2], bad]
    direct = json.loads(ask(direct_address(node), ndjson(items)).body)["responses"]
    through = ask(sidecar.proxy, ndjson(items))
    assert "; rescored=2; " in outcome(through)
    responses = json.loads(through.body)["responses"]
    assert (responses[1], responses[3]) == (direct[1], direct[3])
    alone = request(sidecar.proxy, "POST", f"/{SHELF}/_search", ITEMS[0][1]).body
    assert responses[0]["hits"] == json.loads(alone)["hits"]


def test_an_item_that_cannot_be_parsed_is_the_whole_requests_error(
    node: Node, sidecar: Sidecar
) -> None:
    items = [ITEMS[0], ({"index": SHELF}, {"query": {"mtch": {"body": "kettle"}}})]
    direct, through = (ask(where, ndjson(items)) for where in (direct_address(node), sidecar.proxy))
    assert outcome(through) == "failed; reason=upstream_status; plan=model; items=2; rescored=0"
    assert (through.status, through.body) == (direct.status, direct.body) == (400, direct.body)


def test_the_headers_of_a_search_work_for_the_items(node: Node, sidecar: Sidecar) -> None:
    direct = mask_took(ask(direct_address(node), ndjson(ITEMS)).body)
    off = ask(sidecar.proxy, ndjson(ITEMS), X_Rescore="off")
    assert outcome(off) == "skipped; reason=off; plan=model+fused; items=8; rescored=0"
    assert mask_took(off.body) == direct

    disabled = ask(sidecar.proxy, ndjson(ITEMS), X_Rescore_Plan="off")
    assert outcome(disabled) == "skipped; reason=disabled; plan=off; items=8; rescored=0"
    other = ask(sidecar.proxy, ndjson(FIFTY), X_Rescore_Plan="positional")
    assert outcome(other).startswith("applied; plan=positional; items=34; rescored=34; ms=")

    no_words: Item = ({"index": SHELF}, {"query": {"match_all": {}}})
    query = {"X_Rescore_Query": "wooden%20handle"}
    single = ask(sidecar.proxy, ndjson([no_words]), **query)
    assert outcome(single).startswith("applied; plan=model; items=1; rescored=1; ms=")
    (response,) = json.loads(single.body)["responses"]
    assert [hit["_id"] for hit in response["hits"]["hits"]][:2] == ["1", "3"]
    # Whose words would they be?
    double = ask(sidecar.proxy, ndjson([no_words, no_words]), **query)
    assert outcome(double) == "skipped; reason=no_query_text; plan=model; items=2; rescored=0"


class Stuck:
    """A cross-encoder that does not come back before it is told to."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        self.free.wait(60)
        return np.ones(len(texts), np.float32)


def test_all_items_have_one_deadline_together(node: Node, tmp_path: Path) -> None:
    stuck = Stuck()
    models = Models({"words": CrossEncoderScorer("words", stuck, Metrics())})
    routes = {SHELF: "hasty", BOOKS: "hasty"}
    with running_sidecar(tmp_path, node.url, PLANS, routes, models) as running:
        direct = ask(direct_address(node), ndjson(FIFTY))
        started = time.monotonic()
        through = ask(running.proxy, ndjson(FIFTY))
        seconds = time.monotonic() - started
        stuck.free.set()
    assert outcome(through) == "failed; reason=deadline; plan=hasty; items=34; rescored=0"
    assert mask_took(through.body) == mask_took(direct.body)
    assert seconds < 34 * 0.3 / 2


def test_the_python_client(sidecar: Sidecar) -> None:
    client = OpenSearch(f"http://{sidecar.proxy}", http_compress=True)
    lines = [line for item in ITEMS for line in item]
    answer = client.msearch(body=lines)
    scores = [hit["_score"] for hit in answer["responses"][0]["hits"]["hits"]]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert [response["status"] for response in answer["responses"]].count(404) == 1
    client.close()
