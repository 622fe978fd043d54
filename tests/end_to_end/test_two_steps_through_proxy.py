"""Searches of large documents, made in two steps: the bytes are those of one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from sidecar.opensearch import exchange, own_sources, search, widened_search
from sidecar.relay.front import Response
from tests.indifferent import indifferent_models
from tests.nodes.node import Node
from tests.raw_http import mask_took
from tests.running import Sidecar, request, running_sidecar

INDEX, OTHER = "large", "large-other"
PLAN = {
    "rescore_window": 30,
    "deadline_ms": 20_000,
    "scores": "positional",
    "fusion": {"method": "replace"},
}
QUERY = {"match": {"body": "copper kettle"}}
MAPPING = {
    "settings": {"number_of_shards": 3, "number_of_replicas": 0},
    "mappings": {
        "properties": {
            "title": {"type": "text"},
            "body": {"type": "text"},
            "n": {"type": "integer"},
            "data": {"type": "binary"},
            "parts": {"type": "nested", "properties": {"name": {"type": "text"}}},
        }
    },
}


def documents(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    chance = random.Random(5)
    for number in range(count):
        body = " ".join(chance.choice(["copper", "kettle", "pan", "lid"]) for _ in range(9))
        yield (
            f"{number}",
            {
                "n": number,
                "title": f"{number} \u00e9\U0001f600",
                "body": f"{body} copper",
                "data": "QUJD" * chance.randint(800, 1500),
                "odd": {"e": 1.10, "deep": [{"_source": {"title": "no"}}], "_seq_no": 3},
                "parts": [{"name": f"part {number}"}, {"name": "lid"}],
            },
        )


@pytest.fixture(scope="module", params=["3.8.0", "2.19.1"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    names = {"3.8.0": "opensearch_3", "2.19.1": "opensearch_2"}
    found: Node = request.getfixturevalue(names[request.param])
    with OpenSearch(found.url) as client:
        for index in (INDEX, OTHER):
            client.indices.create(index=index, body=MAPPING)
            actions = ({"_index": index, "_id": one, **of} for one, of in documents(45))
            helpers.bulk(client, actions, refresh=True)
        yield found
        client.indices.delete(index=f"{INDEX},{OTHER}")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of hits of each second step; every search with a few spare bytes has one."""
    seen: list[int] = []
    write = own_sources.write_source_fetch

    def spy(head: Any, found: Any, hits: Sequence[Any]) -> tuple[bytes, bytes]:
        seen.append(len(hits))
        return write(head, found, hits)

    monkeypatch.setattr(widened_search, "write_source_fetch", spy)
    monkeypatch.setattr(widened_search, "TWO_STEPS_FROM", 1)
    return seen


@pytest.fixture
def identity(node: Node, tmp_path: Path) -> Iterator[Sidecar]:
    routes = {INDEX: "positional", OTHER: "positional", "large-*": "positional"}
    plans = {"positional": PLAN}
    with running_sidecar(tmp_path, node.url, plans, routes, indifferent_models()) as running:
        yield running


# The same caller, but another window: no page is cut from the one before.
ANEW = ({"Accept-Language": "en"}, {"Accept-Language": "de"})

BODIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a further page": {"from": 10, "size": 7},
    "beyond the hits": {"from": 28, "size": 40},
    "includes": {"_source": ["title", "body", "parts"]},
    "excludes": {"_source": {"excludes": ["odd.deep", "n"]}},
    "patterns": {"_source": ["*o*", "d*", "t*"]},
    "true": {"_source": True},
    "highlight": {"highlight": {"fields": {"body": {}, "title": {}}}},
    "fields": {"fields": ["n", "parts.name", "body"], "docvalue_fields": ["n"]},
    "explain and version": {"explain": True, "version": True},
    "versions asked": {"seq_no_primary_term": True},
    "versions not asked": {"seq_no_primary_term": False},
    "inner hits": {
        "query": {
            "bool": {
                "must": QUERY,
                "should": {
                    "nested": {
                        "path": "parts",
                        "query": {"match": {"parts.name": "lid"}},
                        "inner_hits": {"size": 1},
                    }
                },
            }
        }
    },
    "named queries": {
        "query": {"bool": {"must": {"match": {"body": {"query": "copper lid", "_name": "a"}}}}}
    },
    "aggregations": {
        "aggs": {"best": {"top_hits": {"size": 2}}, "n": {"max": {"field": "n"}}},
    },
    "script fields": {
        "script_fields": {"m": {"script": {"source": "doc['n'].value + 1"}}},
        "_source": True,
    },
    "collapse": {"collapse": {"field": "n"}},
}


@pytest.mark.parametrize("target", ["", "?pretty", "?_source_excludes=data", "?version=true"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_two_steps_give_the_bytes_of_one(
    node: Node, identity: Sidecar, steps: list[int], body: dict[str, Any], target: str
) -> None:
    whole = {"query": QUERY, "size": 5, **body}
    path = f"/{INDEX}/_search{target}"
    direct = request((node.host, node.port), "POST", path, whole)
    for lesson in range(2):
        through = request(identity.proxy, "POST", path, whole, ANEW[lesson])
        assert direct.status == through.status == 200, (direct.body, through.body)
        assert through.values("X-Rescore")[0].startswith("applied; ")
        assert mask_took(through.body) == mask_took(direct.body)
    small = target.endswith("excludes=data")
    assert steps or small or body.get("_source") == ["title", "body", "parts"]


@pytest.mark.parametrize("path", [f"/{INDEX},{OTHER}/_search", f"/{INDEX}/_search?preference=x"])
def test_hits_are_told_apart_by_index_and_id(
    node: Node, identity: Sidecar, steps: list[int], path: str
) -> None:
    body = {"query": QUERY, "size": 12, "from": 3}
    direct = request((node.host, node.port), "POST", path, body)
    for lesson in range(2):
        through = request(identity.proxy, "POST", path, body, ANEW[lesson])
        assert mask_took(through.body) == mask_took(direct.body)
    assert steps


@pytest.mark.parametrize(
    "more",
    [
        {"suggest": {"s": {"text": "copper", "term": {"field": "body"}}}},
        {"stored_fields": ["_source"]},
    ],
)
def test_what_cannot_be_made_in_two_steps_is_not(
    node: Node, identity: Sidecar, steps: list[int], more: dict[str, Any]
) -> None:
    for _ in range(2):
        body = {"query": QUERY, **more}
        direct = request((node.host, node.port), "POST", f"/{INDEX}/_search", body)
        through = request(identity.proxy, "POST", f"/{INDEX}/_search", body)
        assert mask_took(through.body) == mask_took(direct.body)
    assert not steps


def test_further_pages_get_their_own_sources(
    node: Node, identity: Sidecar, steps: list[int]
) -> None:
    for start in (0, 0, 10, 20):
        body = {"query": QUERY, "from": start, "size": 10}
        direct = request((node.host, node.port), "POST", f"/{INDEX}/_search", body)
        through = request(identity.proxy, "POST", f"/{INDEX}/_search", body)
        assert mask_took(through.body) == mask_took(direct.body)
    assert through.values("X-Rescore")[0].endswith("; cached")
    assert steps == [10, 10, 10]


def between_the_steps(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Sequence[Any]], object]
) -> None:
    """Let something happen once when the first step is done."""
    write = own_sources.write_source_fetch
    done: list[bool] = []

    def changed(head: Any, found: Any, hits: Sequence[Any]) -> tuple[bytes, bytes]:
        if not done:
            done.append(True)
            change(hits)
        return write(head, found, hits)

    monkeypatch.setattr(widened_search, "write_source_fetch", changed)


@pytest.mark.parametrize("kind", ["changed", "deleted", "all deleted"])
@pytest.mark.parametrize("start", [0, 10])
def test_no_hit_is_made_of_two_versions(
    node: Node,
    identity: Sidecar,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    start: int,
) -> None:
    index = "large-changing"
    fields = {"query": QUERY, "fields": ["n", "title"], "from": start, "size": 10}
    with OpenSearch(node.url) as client:
        client.indices.create(index=index, body=MAPPING)
        actions = ({"_index": index, "_id": one, **of} for one, of in documents(40))
        helpers.bulk(client, actions, refresh=True)

        def change(hits: Sequence[Any]) -> None:
            for hit in hits if kind == "all deleted" else hits[:2]:
                if kind == "changed":
                    document = {**hit.source, "n": 1000, "title": "new"}
                    client.index(index=index, id=hit.id, body=document, refresh=True)
                else:
                    client.delete(index=index, id=hit.id, refresh=True)

        try:
            request(identity.proxy, "POST", f"/{index}/_search", {**fields, "from": 0})
            if start:
                request(identity.proxy, "POST", f"/{index}/_search", {**fields, "from": 0})
            between_the_steps(monkeypatch, change)
            answer = request(identity.proxy, "POST", f"/{index}/_search", fields)
            hits = json.loads(answer.body)["hits"]["hits"]
            direct = request((node.host, node.port), "POST", f"/{index}/_search", fields)
            there = {hit["_id"]: hit for hit in json.loads(direct.body)["hits"]["hits"]}
        finally:
            client.indices.delete(index=index)
    assert answer.status == 200
    assert len(hits) == (10 if kind != "all deleted" or start < 20 else 0)
    for hit in hits:
        assert hit["fields"]["n"] == [hit["_source"]["n"]]
        assert hit["fields"]["title"] == [hit["_source"]["title"]]
        assert hit["_id"] not in there or hit == {**there[hit["_id"]], "_score": hit["_score"]}


def test_an_answer_that_is_too_large_is_made_in_two_steps_at_once(
    node: Node, identity: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"query": QUERY, "size": 3}
    direct = request((node.host, node.port), "POST", f"/{INDEX}/_search", body)
    # Thirty whole documents have more than 96 KB; three, or the plan's fields of thirty, below 20.
    for module in (exchange, widened_search):
        monkeypatch.setattr(module, "BODY_LIMIT", 40_000)
    for _ in range(2):
        through = request(identity.proxy, "POST", f"/{INDEX}/_search", body)
        assert through.values("X-Rescore")[0].startswith("applied; plan=positional; window=30; ")
        assert mask_took(through.body) == mask_took(direct.body)
    # Where even the page is too large, the client's own search is streamed.
    for module in (exchange, widened_search, search):
        monkeypatch.setattr(module, "BODY_LIMIT", 2000)
    through = request(identity.proxy, "POST", f"/{INDEX}/_search?version=true", body)
    assert through.values("X-Rescore") == ["failed; reason=too_large; plan=positional"]
    through = request(identity.proxy, "POST", f"/{INDEX}/_search?version=true", body)
    assert through.values("X-Rescore") == ["skipped; reason=resting; plan=positional"]
    assert len(json.loads(through.body)["hits"]["hits"]) == 3
    assert identity.metric("rescore_index_lessons_total", lesson="too_large") == 1


@pytest.mark.parametrize("status", [429, 503])
def test_overload_at_the_second_step_ends_the_search(
    node: Node,
    identity: Sidecar,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    body = {"query": QUERY, "size": 3}
    request(identity.proxy, "POST", f"/{INDEX}/_search", body)
    pool = identity.app._living[-1].pool
    sent: list[bytes] = []
    exchange_ = type(pool).exchange

    async def counting(self: Any, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        sent.append(head)
        response = await exchange_(self, head, body, limit=limit)
        if len(sent) == 2:
            response.head.status = status
        return response

    monkeypatch.setattr(type(pool), "exchange", counting)
    through = request(identity.proxy, "POST", f"/{INDEX}/_search", body)
    assert through.values("X-Rescore") == ["failed; reason=upstream_status; plan=positional"]
    assert len(sent) == 2


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("kind", ["none", "changed", "deleted"])
def test_pages_show_what_was_asked_for(
    node: Node,
    identity: Sidecar,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    index = "large-shown"
    with OpenSearch(node.url) as client:
        client.indices.create(index=index, body=MAPPING)
        actions = ({"_index": index, "_id": one, **of} for one, of in documents(40))
        helpers.bulk(client, actions, refresh=True)

        first_steps = []

        def change(hits: Sequence[Any]) -> None:
            first_steps.append(len(hits))
            if kind == "changed":
                document = {**hits[0].source, "n": 1000}
                client.index(index=index, id=hits[0].id, body=document, refresh=True)
            elif kind == "deleted":
                client.delete(index=index, id=hits[0].id, refresh=True)

        ext = {"rescore": {"explain": True, "highlight": True}}
        body = {"query": QUERY, "size": 10, "ext": ext}
        try:
            request(identity.proxy, "POST", f"/{index}/_search", body)
            between_the_steps(monkeypatch, change)
            answer = request(identity.proxy, "POST", f"/{index}/_search", body)
        finally:
            client.indices.delete(index=index)
    assert first_steps == [10]
    assert answer.values("X-Rescore")[0].startswith("applied; ")
    hits = json.loads(answer.body)["hits"]["hits"]
    assert len(hits) == 10
    for hit in hits:
        offsets = hit["_rescore"]["offsets"]
        value = hit["_source"][offsets["field"]]
        assert value[offsets["start"] : offsets["end"]].split() == (
            hit["_rescore"]["passage"].split()
        )
        (shown,) = hit["highlight"][offsets["field"]]
        assert shown.replace("<em>", "").replace("</em>", "") == hit["_rescore"]["passage"]
