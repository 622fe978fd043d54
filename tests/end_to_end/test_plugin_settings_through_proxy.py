"""Applications that put the Kendra plugin's settings on an index, on a cluster without it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, RequestError, helpers

from tests.nodes.node import Node
from tests.raw_http import RawResponse, send
from tests.running import Sidecar, request, running_sidecar

INDEX = "settled"
PREFIX = "index.plugin.searchrelevance.result_transformer.kendra_intelligent_ranking"
QUERY = {"multi_match": {"query": "reset copper kettle", "fields": ["name", "text"]}}
MAPPINGS = {"properties": {"name": {"type": "text"}, "text": {"type": "text"}}}
PLAN = {
    "rescore_window": 3,
    "deadline_ms": 20_000,
    "document": {"body": "no such field"},
    "fusion": {"method": "replace"},
    "scores": "model",
}
PLANS = {
    "kendra-intelligent-ranking": {**PLAN, "templates": True},
    "own": {**PLAN, "document": {"body": "text"}},
}


def settings(**properties: Any) -> dict[str, Any]:
    whole = {"title_field": "name", "body_field": "text", **properties}
    ranking = {"kendra_intelligent_ranking": {"order": 1, "properties": whole}}
    return {"plugin": {"searchrelevance": {"result_transformer": ranking}}}


@pytest.fixture(params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    found: Node = request.getfixturevalue(request.param)
    yield found
    with OpenSearch(found.url) as client:
        client.indices.delete(index=f"{INDEX}*", ignore_unavailable=True)


def running(node: Node, folder: Path, **routes: str) -> AbstractContextManager[Sidecar]:
    main = {"kendra_plugin_settings_file": "plugin-settings.json"}
    return running_sidecar(folder, node.url, PLANS, routes, main=main)


@pytest.fixture
def sidecar(node: Node, tmp_path: Path) -> Iterator[Sidecar]:
    with running(node, tmp_path) as found:
        yield found


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[OpenSearch]:
    with OpenSearch(f"http://{sidecar.proxy}") as found:
        yield found


def load(client: OpenSearch) -> None:
    documents = (
        {
            "_index": INDEX,
            "_id": str(number),
            "name": f"n{number}",
            "text": "kettle " * (30 - number) + "reset copper " * (number % 3 == 2),
            "rank": number,
        }
        for number in range(30)
    )
    helpers.bulk(client, documents, refresh=True)


def search(sidecar: Sidecar, body: object = None, index: str = INDEX, **fields: str) -> RawResponse:
    body = body or {"query": QUERY, "size": 30}
    return request(sidecar.proxy, "POST", f"/{index}/_search", body, fields)


def outcome(response: RawResponse) -> str | None:
    values = response.values("X-Rescore")
    assert len(values) < 2
    return values[0] if values else None


def applied(response: RawResponse, window: int, plan: str = "kendra-intelligent-ranking") -> bool:
    start = f"applied; plan={plan}; window={window}; scored={window}; "
    return (outcome(response) or "").startswith(start)


def ranks(response: RawResponse) -> list[int]:
    assert response.status == 200, response.body
    return [hit["_source"]["rank"] for hit in json.loads(response.body)["hits"]["hits"]]


def put(sidecar: Sidecar, body: object, target: str = f"/{INDEX}/_settings") -> RawResponse:
    return request(sidecar.proxy, "PUT", target, body)


def test_an_index_is_rescored_as_its_settings_say(
    node: Node, sidecar: Sidecar, client: OpenSearch, tmp_path: Path
) -> None:
    body = {"settings": {"index": {**settings(), "number_of_shards": 1}}, "mappings": MAPPINGS}
    with OpenSearch(node.url) as direct, pytest.raises(RequestError, match="unknown setting"):
        direct.indices.create(index=INDEX, body=body)
    created = client.indices.create(index=INDEX, body=body)
    assert created == {"acknowledged": True, "shards_acknowledged": True, "index": INDEX}
    own = client.indices.get(index=INDEX)[INDEX]
    assert own["mappings"] == MAPPINGS
    assert own["settings"]["index"]["number_of_shards"] == "1"
    assert "plugin" not in own["settings"]["index"]
    load(client)

    whole = {"query": QUERY, "size": 30}
    original = ranks(request((node.host, node.port), "POST", f"/{INDEX}/_search", whole))
    response = search(sidecar)
    assert applied(response, 25)
    window = original[:25]
    better = [rank for rank in window if rank % 3 == 2]
    others = [rank for rank in window if rank % 3 != 2]
    assert ranks(response) == [*better, *others, *original[25:]]
    assert len(ranks(search(sidecar, {"query": QUERY}))) == 10

    # They change name by name, and are there after a restart.
    assert client.indices.put_settings(
        index=INDEX, body={f"{PREFIX}.properties.doc_limit": 27}
    ) == {"acknowledged": True}
    assert applied(search(sidecar), 27)
    with running(node, tmp_path) as another:
        assert applied(search(another), 27)

    # The request's own section and header go before.
    section = {"order": 1, "properties": {"body_field": "text", "doc_limit": 26}}
    ext = {"search_configuration": {"result_transformer": {"kendra_intelligent_ranking": section}}}
    assert applied(search(sidecar, {"query": QUERY, "ext": ext}), 26)
    assert applied(search(sidecar, **{"X-Rescore-Plan": "own"}), 27, "own")
    off = search(sidecar, **{"X-Rescore": "off"})
    assert outcome(off) == "skipped; reason=off; plan=kendra-intelligent-ranking"

    # Items of an `_msearch` and templates are searches too.
    both = client.msearch(body=[{"index": INDEX}, whole, {"index": f"{INDEX}*"}, whole])
    orders = [[hit["_source"]["rank"] for hit in one["hits"]["hits"]] for one in both["responses"]]
    assert orders == [ranks(search(sidecar)), original]
    template = {"source": whole}
    response = request(sidecar.proxy, "POST", f"/{INDEX}/_search/template", template)
    assert applied(response, 27)

    # Only where the index is searched alone and by its name.
    for index in (f"{INDEX}*", f"{INDEX},{INDEX}", "_all"):
        assert outcome(search(sidecar, index=index)) is None

    # The rest of a change is OpenSearch's.
    response = put(sidecar, {"index": {**settings(doc_limit=26), "refresh_interval": "7s"}})
    assert (response.status, response.body) == (200, b'{"acknowledged":true}')
    assert applied(search(sidecar), 26)
    found = client.indices.get_settings(index=INDEX)[INDEX]["settings"]["index"]
    assert found["refresh_interval"] == "7s"

    client.indices.put_settings(index=INDEX, body={f"{PREFIX}.*": None})
    assert outcome(search(sidecar)) is None
    put(sidecar, {"settings": settings()})
    assert applied(search(sidecar), 25)
    put(sidecar, {f"{PREFIX}.order": None})
    assert outcome(search(sidecar)) is None
    put(sidecar, {f"{PREFIX}.order": 1})
    assert applied(search(sidecar), 25)

    client.indices.delete(index=INDEX)
    client.indices.create(index=INDEX)
    assert outcome(search(sidecar)) is None


def test_a_route_goes_before_the_settings(node: Node, tmp_path: Path) -> None:
    with running(node, tmp_path, **{INDEX: "own"}) as sidecar:
        assert put(sidecar, {"settings": settings()}, f"/{INDEX}").status == 200
        with OpenSearch(f"http://{sidecar.proxy}") as client:
            load(client)
        assert applied(search(sidecar), 3, "own")


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        (
            {"doc_limit": 24},
            "Setting the value of [doc_limit] below 25 will affect ranking accuracy",
        ),
        ({"body_field": ["a", "b"]}, "[body_field] can have at most 1 element"),
        (
            {"doc_limit": "many"},
            f"Failed to parse value [many] for setting [{PREFIX}.properties.doc_limit]",
        ),
    ],
)
def test_wrong_values_are_answered_in_the_plugins_words(
    sidecar: Sidecar, client: OpenSearch, properties: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RequestError) as raised:
        client.indices.create(index=INDEX, body={"settings": settings(**properties)})
    assert (raised.value.status_code, raised.value.error) == (400, "illegal_argument_exception")
    info: Any = raised.value.info
    assert info["error"]["reason"] == reason
    assert not client.indices.exists(index=INDEX)
    client.indices.create(index=INDEX)
    with pytest.raises(RequestError):
        client.indices.put_settings(index=INDEX, body=settings(**properties))


def test_numbers_are_refused_as_opensearch_refuses_its_own(node: Node, sidecar: Sidecar) -> None:
    def reason(response: RawResponse) -> str:
        assert response.status == 400
        error = json.loads(response.body)["error"]
        assert error["root_cause"] == [{"type": error["type"], "reason": error["reason"]}]
        return f"{error['type']}: {error['reason']}"

    for value in (0, -3, "x", "", " 1", 1.0, True, [1, 2], 2147483648, "1e3"):
        own = {"settings": {"index.number_of_shards": value}}
        direct = reason(request((node.host, node.port), "PUT", f"/{INDEX}", own))
        body = {"settings": {f"{PREFIX}.order": value}}
        through = reason(put(sidecar, body, f"/{INDEX}"))
        assert through == direct.replace("index.number_of_shards", f"{PREFIX}.order")


def test_what_opensearch_refuses_is_told_by_opensearch(node: Node, sidecar: Sidecar) -> None:
    def same(method: str, target: str, body: object, sent_directly: object) -> RawResponse:
        through = request(sidecar.proxy, method, target, body)
        direct = request((node.host, node.port), method, target, sent_directly)
        assert (through.status, through.body) == (direct.status, direct.body)
        return through

    missing = {"index.refresh_interval": "1s"}
    assert same("PUT", f"/{INDEX}/_settings", settings(), missing).status == 404
    wrong = {"settings": {"index": {"number_of_shards": 0}}}
    both = {"settings": {"index": {**settings(), "number_of_shards": 0}}}
    assert same("PUT", f"/{INDEX}", both, wrong).status == 400
    assert put(sidecar, {}, f"/{INDEX}").status == 200
    other = {f"{PREFIX}.other": 1}
    response = same("PUT", f"/{INDEX}/_settings", {f"{PREFIX}.order": 1, **other}, other)
    assert (response.status, outcome(search(sidecar))) == (400, None)

    # Through an alias they would be kept under a name that is no index's.
    alias = {"actions": [{"add": {"index": INDEX, "alias": f"{INDEX}-alias"}}]}
    assert request(sidecar.proxy, "POST", "/_aliases", alias).status == 200
    body = {f"{PREFIX}.order": 1}
    assert same("PUT", f"/{INDEX}-alias/_settings", body, body).status == 400


def test_of_two_creations_at_once_one_wins(sidecar: Sidecar) -> None:
    answers: dict[int, int] = {}
    start = threading.Barrier(2)

    def create(limit: int) -> None:
        start.wait()
        answers[limit] = put(sidecar, {"settings": settings(doc_limit=limit)}, f"/{INDEX}").status

    threads = [threading.Thread(target=create, args=(limit,)) for limit in (26, 27)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers.values()) == [200, 400]
    winner = min(answers, key=lambda limit: answers[limit])
    with OpenSearch(f"http://{sidecar.proxy}") as client:
        load(client)
    assert applied(search(sidecar), winner)


def test_without_the_key_they_pass_untouched(node: Node, tmp_path: Path) -> None:
    body = {"settings": settings()}
    direct = request((node.host, node.port), "PUT", f"/{INDEX}", body)
    with running_sidecar(tmp_path, node.url, PLANS, {}) as sidecar:
        through = put(sidecar, body, f"/{INDEX}")
    assert direct.status == 400
    assert (through.status, through.body) == (400, direct.body)


def test_a_chunked_creation(node: Node, sidecar: Sidecar) -> None:
    body = json.dumps({"settings": settings(), "mappings": MAPPINGS}).encode()
    head = b"PUT /%s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" % INDEX.encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:40], body[40:], b""))
    response = send(*sidecar.proxy, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert response.status == 200, response.body
    with OpenSearch(node.url) as client:
        assert client.indices.get_mapping(index=INDEX)[INDEX]["mappings"] == MAPPINGS
        load(client)
    assert applied(search(sidecar), 25)
