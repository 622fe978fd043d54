"""The sixteen most dangerous traps of a proxy before OpenSearch, one test or more for each.

Each is shown on a real OpenSearch, through the whole sidecar.
"""

from __future__ import annotations

import gzip
import json
import re
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from tests.raw_http import mask_took, read_response, send
from tests.running import Sidecar, request, running_sidecar
from tests.traps.conftest import INDEX
from tests.traps.pair import IDENTITY, Pair, outcome, raw_request
from tests.traps.shim import Shim, running_shim

MATCH = {"match": {"body": "red shoes"}}
BOOTS = {"match": {"title": "red blue boots"}}


@pytest.fixture
def shim(pair: Pair) -> Iterator[Shim]:
    """The node of `pair`, seen through a shim."""
    with running_shim(pair.node) as running:
        yield running


@pytest.fixture
def shimmed(shim: Shim, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar that has the shim for its upstream."""
    plans = {"identity": {**IDENTITY, "stages": [{"model": "words"}]}}
    with running_sidecar(tmp_path, shim.url, plans, {"*": "identity"}) as running:
        yield running


@pytest.mark.parametrize(
    "target",
    [
        f"/{INDEX}%2C{INDEX}-alias/_search?q=red&size=1",
        f"/{INDEX}/_doc/a%3Ab",
        f"//{INDEX}/_search",
        f"/{INDEX}/../other/_search",
        f"/{INDEX}/_search?q=100%%25&size=1",
        "/%3Ctraps-%7Bnow%2Fd%7D%3E/_search",
    ],
)
def test_01_urls_are_not_requoted(pair: Pair, target: str) -> None:
    pair.same_search(target)


@pytest.mark.parametrize("target", [f"/{INDEX}/_search", f"/{INDEX}/_count"])
def test_02_gzip_bodies_of_requests_arrive(pair: Pair, target: str) -> None:
    body = gzip.compress(json.dumps({"query": MATCH}).encode())
    raw = raw_request("POST", target, body, "Content-Encoding: gzip")
    direct, through = pair.send(raw)
    assert mask_took(through.body) == mask_took(direct.body)
    assert through.status == 200


def test_03_no_limit_is_lower_than_opensearchs(pair: Pair) -> None:
    large = json.dumps({"query": MATCH, "stats": ["x" * 2_000_000]}).encode()
    pair.same_search(f"/{INDEX}/_search", json.loads(large))
    pair.same(raw_request("GET", "/", b"", "X-Long: " + "x" * 9_000))


def test_04_a_write_whose_answer_is_lost_is_not_sent_again(
    pair: Pair, shim: Shim, shimmed: Sidecar
) -> None:
    for method, target in (("PUT", "/traps-once/_create/1"), ("DELETE", "/traps-once/_doc/1")):
        # The first request leaves a connection behind, which then breaks under the second.
        assert send(*shimmed.proxy, raw_request("GET", "/")).status == 200
        shim.requests.clear()
        shim.cut_after = 0
        body = b"{}" if method == "PUT" else b""
        response = send(*shimmed.proxy, raw_request(method, target, body))
        assert response.status == 502
        assert len(shim.requests) == 1
    try:
        stats = pair.direct("GET", "/traps-once/_stats/indexing")["_all"]["primaries"]["indexing"]
        assert (stats["index_total"], stats["delete_total"]) == (1, 1)
    finally:
        pair.direct("DELETE", "/traps-once")


_SLOW_SCRIPT = (
    "int f(int n) {int s = 0; for (int i = 0; i < n; ++i) {s += i % 7} return s}"
    "int s = 0; for (int i = 0; i < 400; ++i) {s += f(900000)} return _score + s % 2"
)


@pytest.mark.parametrize("taken", [True, False], ids=["a rescored search", "a forwarded search"])
def test_05_a_client_that_leaves_cancels_its_search(pair: Pair, taken: bool) -> None:
    # Each document takes a good part of a second and is a segment of its own: OpenSearch looks
    # between segments whether anybody still waits.
    index, opaque = "traps-slow", f"gone-{taken}"
    policy = {"index.merge.policy.segments_per_tier": 60, "number_of_shards": 1}
    pair.direct("PUT", f"/{index}", {"settings": policy})
    try:
        for number in range(40):
            pair.direct("PUT", f"/{index}/_doc/{number}?refresh=true", {"body": "red"})
        query = {
            "script_score": {
                "query": {"match": {"body": "red"}},
                "script": {"source": _SLOW_SCRIPT},
            }
        }
        body = {"query": query, **({} if taken else {"sort": ["_doc"], "track_scores": True})}
        raw = raw_request(
            "POST", f"/{index}/_search", json.dumps(body).encode(), f"X-Opaque-Id: {opaque}"
        )
        client = socket.create_connection(pair.sidecar.proxy, 30)
        client.sendall(raw)
        # Each look is an exchange with the node, so this does not spin.
        while not _search_tasks(pair, opaque):
            assert not select.select([client], [], [], 0)[0], client.recv(1000)
        client.close()
        left = time.monotonic()
        while _search_tasks(pair, opaque):
            # Uncancelled it would take about half a minute.
            assert time.monotonic() - left < 10
    finally:
        pair.direct("DELETE", f"/{index}")


def _search_tasks(pair: Pair, opaque: str) -> list[str]:
    found = pair.direct("GET", "/_tasks?actions=indices:data/read/search")
    return [
        name
        for node in found["nodes"].values()
        for name, task in node["tasks"].items()
        if task["headers"].get("X-Opaque-Id") == opaque
    ]


def test_06_a_truncated_answer_stays_truncated(shim: Shim, shimmed: Sidecar) -> None:
    shim.cut_after = 300
    with pytest.raises(EOFError):
        send(*shimmed.proxy, raw_request("GET", f"/{INDEX}/_search?sort=n"))


def test_06_a_truncated_widened_answer_costs_the_search_only_its_new_order(
    pair: Pair, shim: Shim, shimmed: Sidecar
) -> None:
    raw = raw_request("GET", f"/{INDEX}/_search?q=red")
    # From now on the sidecar knows the default search pipeline, so it is the search that is cut.
    assert outcome(send(*shimmed.proxy, raw)).startswith("applied; ")
    shim.cut_after = 300
    response = send(*shimmed.proxy, raw)
    assert outcome(response) == "failed; reason=upstream; plan=identity"
    assert mask_took(response.body) == mask_took(send(pair.node.host, pair.node.port, raw).body)


def test_07_json_is_spliced_and_never_written_anew(pair: Pair) -> None:
    target = f"/{INDEX}/_search?size=20"
    body = json.dumps({"query": MATCH}).encode()
    direct = send(pair.node.host, pair.node.port, raw_request("POST", target, body))
    tenth = json.loads(direct.body)["hits"]["hits"][10]["_id"]
    # The title of the tenth hit has its number, which no other one has.
    fields = ("X-Rescore-Plan: words", f"X-Rescore-Query: {tenth}")
    through = send(*pair.sidecar.proxy, raw_request("POST", target, body, *fields))
    sources = re.compile(rb'"_source":(\{.*?\}\})')
    ours, theirs = sources.findall(through.body), sources.findall(direct.body)
    assert outcome(through).startswith("applied; plan=words; ")
    assert ours == [theirs[10], *theirs[:10], *theirs[11:]]
    for spelling in (b"1.10", b"18446744073709551616", b"1.0E-5", b"1E5", rb'"\ud83d"', rb'"\/"'):
        assert all(spelling in source for source in ours)


@pytest.mark.parametrize(
    ("query", "body", "hits"),
    [
        ("?q=a;size=1&ignore_unavailable=true", None, 1),
        ("?size=3&size=4", {"query": MATCH}, 4),
        ("?size=4", {"query": MATCH, "size": 3, "from": 1}, 4),
        ("?q=title:boots", {"query": MATCH, "size": 3}, 1),
        ("?sort=n:asc", {"query": MATCH, "sort": ["kind"], "size": 3}, 3),
        ("?q=red%%&size=2", None, 2),
    ],
)
def test_08_the_url_is_read_as_opensearch_reads_it(
    pair: Pair, query: str, body: object, hits: int
) -> None:
    target = f"/{INDEX}/_search{query}"
    pair.same_search(target, body)
    method = "GET" if body is None else "POST"
    answer = request(pair.sidecar.proxy, method, target, body)
    if "q=a;" not in query:
        assert len(json.loads(answer.body)["hits"]["hits"]) == hits


@pytest.mark.parametrize(
    "body",
    [
        {"stored_fields": ["title"]},
        {"stored_fields": "_none_"},
        {"stored_fields": "_none_", "_source": True},
        {"stored_fields": ["_source", "title"]},
        {"script_fields": {"s": {"script": "1"}}},
        {"script_fields": {"s": {"script": "1"}}, "_source": True},
        {"_source": False},
        {"_source": []},
        {"_source": ["price"]},
        {"_source": {"includes": ["title"], "excludes": ["title"]}},
        {"_source": {"excludes": ["body"]}},
    ],
    ids=json.dumps,
)
def test_09_source_is_what_the_client_asked_for(either_pair: Pair, body: dict[str, object]) -> None:
    target, search = f"/{INDEX}/_search", {"query": MATCH, "size": 3, **body}
    # OpenSearch warns once of what is deprecated, so let it do so now.
    request((either_pair.node.host, either_pair.node.port), "POST", target, search)
    either_pair.same_search(target, search)


WIDENED: dict[str, dict[str, object]] = {
    "a script that fails on a later hit": {
        "script_fields": {
            "s": {"script": "if (doc['n'].value == params.n) {throw new RuntimeException()} 1"}
        },
        "_source": True,
    },
    "a highlight that fails on a later hit": {
        "highlight": {"fields": {"body": {"type": "unified", "max_analyzer_offset": 40}}}
    },
    "collapse with inner hits": {"collapse": {"field": "kind", "inner_hits": {"name": "i"}}},
    "hybrid": {"query": {"hybrid": {"queries": [MATCH]}}},
    "a page at the index's limit": {"from": 9_995, "size": 6},
}


@pytest.mark.parametrize("name", WIDENED)
def test_10_a_wider_window_adds_no_error(pair: Pair, name: str) -> None:
    target = f"/{INDEX}/_search"
    order = pair.direct("POST", target, {"query": MATCH, "size": 20})["hits"]["hits"]
    text = json.dumps({"query": MATCH, "size": 2, **WIDENED[name]})
    body = json.loads(text.replace("params.n", str(order[10]["_source"]["n"])))
    said = pair.same_search(target, body)
    if "script" in name:
        assert re.match("failed; reason=(shard_failures|upstream_status); ", said)


def test_11_cursors_keep_their_order(pair: Pair) -> None:
    target = f"/{INDEX}/_search"
    plan = {"X-Rescore-Plan": "words"}
    for body in (
        {"query": BOOTS, "sort": ["n"], "size": 5},
        {"query": BOOTS, "sort": ["n"], "search_after": [4], "size": 5},
        {"query": BOOTS, "sort": ["_score", "n"], "size": 5},
        {"query": BOOTS, "slice": {"id": 0, "max": 2}},
    ):
        assert pair.same_search(target, body, plan).startswith("skipped; ")
    pages = []
    for address in ((pair.node.host, pair.node.port), pair.sidecar.proxy):
        page = request(address, "POST", target + "?scroll=1m", {"query": BOOTS, "size": 8}, plan)
        walked = []
        while hits := json.loads(page.body)["hits"]["hits"]:
            walked += [hit["_id"] for hit in hits]
            scroll = {"scroll": "1m", "scroll_id": json.loads(page.body)["_scroll_id"]}
            page = request(address, "POST", "/_search/scroll", scroll)
        request(address, "DELETE", "/_search/scroll", {"scroll_id": scroll["scroll_id"]})
        pages.append(walked)
    assert len(pages[0]) == 30
    assert pages[0] == pages[1]


def test_11_a_point_in_time_keeps_its_order(pair: Pair) -> None:
    created = request(pair.sidecar.proxy, "POST", f"/{INDEX}/_search/point_in_time?keep_alive=1m")
    pit = json.loads(created.body)["pit_id"]
    body = {"query": BOOTS, "pit": {"id": pit}}
    said = pair.same_search("/_search", body, {"X-Rescore-Plan": "words"})
    assert said == "skipped; reason=pit; plan=words"
    deleted = request(pair.sidecar.proxy, "DELETE", "/_search/point_in_time", {"pit_id": [pit]})
    assert json.loads(deleted.body)["pits"][0]["successful"]


@pytest.mark.parametrize(
    "query",
    [
        "filter_path=hits.hits._source.title",
        "filter_path=hits.total",
        "filter_path=-hits.hits._id",
        "filter_path=hits.hits.highlight",
        "filter_path=**._score,took",
        "format=yaml",
        "format=cbor",
        "format=smile",
    ],
)
def test_12_answers_of_another_shape_stay_whole(pair: Pair, query: str) -> None:
    body = {"query": MATCH, "size": 3, "highlight": {"fields": {"title": {}}}}
    pair.same_search(f"/{INDEX}/_search?{query}", body)


@pytest.mark.parametrize("field", ["Accept: application/yaml", "Content-Type: application/yaml"])
def test_12_the_format_may_be_chosen_by_a_field(pair: Pair, field: str) -> None:
    body = b"query: {match: {body: red}}" if field.startswith("Content") else b'{"size":1}'
    through = pair.same(raw_request("POST", f"/{INDEX}/_search", body, field))
    assert through.values("content-type")[0].startswith("application/yaml")
    assert outcome(through).startswith("skipped; reason=")


def test_13_the_nodes_addresses_are_their_own(pair: Pair) -> None:
    for target in ("/_nodes/_all/http", "/_nodes/http?filter_path=nodes.*.http.publish_address"):
        _, through = pair.send(raw_request("GET", target))
        assert f"127.0.0.1:{pair.node.port}".encode() in through.body
    client = OpenSearch(f"http://{pair.sidecar.proxy}", sniff_on_start=True)
    # So a client that sniffs goes round the sidecar, unless the node publishes its address.
    assert {connection.port for connection in client.transport.connection_pool.connections} == {
        pair.node.port
    }
    client.close()


@pytest.mark.parametrize("body", [{}, {"_source": ["price"]}], ids=["text in the answer", "not"])
def test_14_every_request_carries_the_callers_own_account(
    shim: Shim, shimmed: Sidecar, body: dict[str, object]
) -> None:
    target = f"/{INDEX}/_search"
    asked = {"query": MATCH, **body}
    for account in ("Basic YTph", "Basic Yjpi"):
        shim.requests.clear()
        response = request(shimmed.proxy, "POST", target, asked, {"Authorization": account})
        assert response.status == 200
        assert set(shim.fields("Authorization")) == {account}
    shim.requests.clear()
    request(shimmed.proxy, "POST", target, asked)
    # Asked again, OpenSearch is asked again: nobody gets an answer that another account got.
    assert set(shim.fields("Authorization")) == {None}


@pytest.mark.parametrize(
    "target",
    [
        *(
            f"/_plugins/_ml/{kind}/_search"
            for kind in (
                *("models", "model_groups", "tasks", "connectors", "agents", "memory"),
                *("memory_containers", "memory/a", "memory_containers/a/memories/working"),
            )
        ),
        "/_plugins/_knn/models/_search",
        "/_plugins/_flow_framework/workflow/_search",
        "/_plugins/_flow_framework/workflow/state/_search",
        *(
            f"/_plugins/_search_relevance/{kind}/_search"
            for kind in ("query_sets", "judgments", "search_configurations", "experiments")
        ),
        "/_plugins/_security_analytics/findings/_search",
        f"/{INDEX}/type/_search",
    ],
)
def test_15_only_searches_of_an_index_are_searches(pair: Pair, target: str) -> None:
    body = json.dumps({"query": MATCH}).encode()
    assert pair.same(raw_request("POST", target, body)).values("X-Rescore") == []


def test_16_the_upgrade_that_java_offers_is_not_handed_on(shim: Shim, shimmed: Sidecar) -> None:
    raw = raw_request(
        *("GET", f"/{INDEX}/_search?q=red", b"", "Connection: Upgrade, HTTP2-Settings"),
        *("Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"),
    )
    with socket.create_connection(shimmed.proxy, 20) as connection:
        stream = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(raw)
            assert read_response(stream).head.startswith(b"HTTP/1.1 200 OK\r\n")
        stream.close()
    for name in ("Upgrade", "HTTP2-Settings", "Connection"):
        assert set(shim.fields(name)) == {None}
