"""Searches by template, end to end: with `templates: true` they are rescored like plain ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from tests.indifferent import indifferent_models
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took, send
from tests.running import Sidecar, request, running_sidecar

INDEX, PLAIN, NARROW = "templated", "templated-plain", "templated-narrow"
REPLACE = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "templates": True,
    "fusion": {"method": "replace"},
    "scores": "model",
}
PLANS: dict[str, dict[str, Any]] = {
    "templates": REPLACE,
    "positional": {**REPLACE, "scores": "positional"},
    "plain": {**REPLACE, "templates": False},
}
ROUTES = {INDEX: "templates", NARROW: "templates", PLAIN: "plain"}
BODIES = [
    "kettle kettle kettle",
    "a copper kettle with a handle",
    "copper pipes",
    "a handle",
    "kettle",
] + [f"kettle number {number} and some more words" for number in range(20)]

STORED = "words-in-a-shop"
SOURCE = (
    '{"query":{"match":{"body":"{{words}}"}},"size":{{size}}{{^size}}3{{/size}}'
    '{{#aggs}},"aggs":{"n":{"max":{"field":"n"}}}{{/aggs}}}'
)
PARAMS = {"words": "copper kettle handle", "size": 4}
BY_ID = {"id": STORED, "params": PARAMS}
BY_TEXT = {"source": SOURCE, "params": {**PARAMS, "aggs": True}}
BY_OBJECT = {"source": {"query": {"match": {"body": "{{words}}"}}, "from": 1}, "params": PARAMS}


@pytest.fixture(scope="module", params=["3.8.0", "2.19.1"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    names = {"3.8.0": "opensearch_3", "2.19.1": "opensearch_2"}
    found: Node = request.getfixturevalue(names[request.param])
    client = OpenSearch(found.url)
    for index in (INDEX, PLAIN, NARROW):
        settings: dict[str, Any] = {"number_of_shards": 1}
        if index == NARROW:
            settings["max_result_window"] = 10
        client.indices.create(index=index, body={"settings": settings})
        actions = (
            {"_index": index, "_id": f"{number}", "body": body, "n": number}
            for number, body in enumerate(BODIES)
        )
        helpers.bulk(client, actions, refresh=True)
    client.put_script(id=STORED, body={"script": {"lang": "mustache", "source": SOURCE}})
    yield found
    client.delete_script(id=STORED)
    client.indices.delete(index=f"{INDEX},{PLAIN},{NARROW}")
    client.close()


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with running_sidecar(folder, node.url, PLANS, ROUTES) as running:
        yield running


@pytest.fixture(scope="module")
def identity(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar whose rescoring changes nothing: its answers are OpenSearch's to the byte."""
    folder = tmp_path_factory.mktemp("identity")
    with running_sidecar(
        folder, node.url, PLANS, {INDEX: "positional"}, indifferent_models()
    ) as running:
        yield running


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def direct_address(node: Node) -> tuple[str, int]:
    return node.host, node.port


@pytest.mark.parametrize("body", [BY_ID, BY_TEXT, BY_OBJECT])
@pytest.mark.parametrize("query", ["", "?pretty", "?preference=_local&rest_total_hits_as_int=true"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_order_that_stays_leaves_every_byte(
    node: Node, identity: Sidecar, method: str, query: str, body: object
) -> None:
    target = f"/{INDEX}/_search/template{query}"
    direct = request(direct_address(node), method, target, body)
    through = request(identity.proxy, method, target, body)
    assert outcome(through).startswith("applied; plan=positional; window=20; scored=20; ")
    assert (through.status, mask_took(through.body)) == (200, mask_took(direct.body))


def test_the_answer_is_that_of_the_rendered_search(sidecar: Sidecar) -> None:
    rendered = {"query": {"match": {"body": PARAMS["words"]}}, "size": 4}
    plain = request(sidecar.proxy, "POST", f"/{INDEX}/_search", rendered)
    templated = request(sidecar.proxy, "POST", f"/{INDEX}/_search/template", BY_ID)
    assert mask_took(templated.body) == mask_took(plain.body[:-1] + b',"status":200}')
    assert [hit["_id"] for hit in json.loads(templated.body)["hits"]["hits"]][:2] == ["1", "2"]
    assert outcome(templated).startswith("applied; plan=templates; window=20; ")


def test_a_compressed_request_gets_a_compressed_answer(node: Node, identity: Sidecar) -> None:
    body = gzip.compress(json.dumps(BY_ID).encode())
    raw = (
        f"POST /{INDEX}/_search/template HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Encoding: gzip\r\nAccept-Encoding: gzip\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    direct, through = send(node.host, node.port, raw), send(*identity.proxy, raw)
    assert outcome(through).startswith("applied; ")
    assert through.values("content-encoding") == ["gzip"]
    assert mask_took(gzip.decompress(through.body)) == mask_took(gzip.decompress(direct.body))


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        ("?size=1", BY_ID, "skipped; reason=template"),
        ("?q=fish", BY_ID, "skipped; reason=template"),
        ("?search_pipeline=_none", BY_ID, "skipped; reason=template"),
        ("?filter_path=took", BY_ID, "skipped; reason=template"),
        ("?a;b", BY_ID, "skipped; reason=url_syntax"),
        ("", {**BY_ID, "explain": True}, "skipped; reason=template"),
        ("", {**BY_ID, "simulate": True}, "skipped; reason=template"),
        ("", {**BY_ID, "id": "no-such"}, "failed; reason=render"),
        ("", {"source": '{"query": {{#x}}', "params": PARAMS}, "failed; reason=render"),
        ("", {"source": '{"query":{"match_all":{}}} x'}, "failed; reason=render"),
        ("", {"source": "{{x}}", "params": {"x": 1}}, "failed; reason=render"),
        ("", {"source": {"query": {"match_all": {}}}}, "skipped; reason=no_query_text"),
        (
            "",
            {"source": {"explain": True, "query": {"match": {"body": "kettle"}}}},
            "skipped; reason=template",
        ),
        ("", {"source": {"query": {"match_all": {}}, "sort": ["n"]}}, "skipped; reason=sort"),
        ("", [1], "skipped; reason=body_syntax"),
        ("", None, "skipped; reason=body_syntax"),
    ],
)
def test_what_is_not_certain_is_forwarded_as_it_came(
    node: Node, sidecar: Sidecar, target: str, body: object, expected: str
) -> None:
    target = f"/{INDEX}/_search/template{target}"
    direct = request(direct_address(node), "POST", target, body)
    through = request(sidecar.proxy, "POST", target, body)
    assert outcome(through) == f"{expected}; plan=templates"
    assert (through.status, mask_took(through.body)) == (direct.status, mask_took(direct.body))


@pytest.mark.parametrize(
    ("query", "body", "member"),
    [("?scroll=1m", BY_ID, "_scroll_id"), ("", {**BY_ID, "profile": True}, "profile")],
)
def test_cursors_and_profiles_are_those_of_the_original(
    sidecar: Sidecar, query: str, body: object, member: str
) -> None:
    through = request(sidecar.proxy, "POST", f"/{INDEX}/_search/template{query}", body)
    assert outcome(through) == "skipped; reason=template; plan=templates"
    assert member in json.loads(through.body)


def test_a_smaller_window_is_rescored_within(node: Node, sidecar: Sidecar) -> None:
    target = f"/{NARROW}/_search/template"
    direct = request(direct_address(node), "POST", target, BY_ID)
    for _ in range(2):
        through = request(sidecar.proxy, "POST", target, BY_ID)
        assert outcome(through).startswith("applied; plan=templates; window=10; scored=10; ")
        assert through.body[-14:] == direct.body[-14:]
        assert json.loads(through.body)["hits"]["total"] == json.loads(direct.body)["hits"]["total"]


@pytest.mark.parametrize(
    ("target", "plan"),
    [
        (f"/{PLAIN}/_search/template", "plain"),
        ("/_search/template", None),
        (f"/{INDEX}/_msearch/template", "templates"),
    ],
)
def test_other_templates_pass(node: Node, sidecar: Sidecar, target: str, plan: str | None) -> None:
    direct = request(direct_address(node), "POST", target, BY_ID)
    through = request(sidecar.proxy, "POST", target, BY_ID)
    line = f"X-Rescore: skipped; reason=templates; plan={plan}\r\n" if plan else ""
    assert through.values("X-Rescore") == ([line[11:-2]] if plan else [])
    assert mask_took(through.body) == mask_took(direct.body)
    head = through.head.replace(line.encode(), b"")
    assert mask_content_length(head) == mask_content_length(direct.head)


def test_the_headers_of_a_search_work(node: Node, sidecar: Sidecar) -> None:
    target = f"/{INDEX}/_search/template"
    off = request(sidecar.proxy, "POST", target, BY_ID, {"X-Rescore": "off"})
    assert outcome(off) == "skipped; reason=off; plan=templates"
    direct = request(direct_address(node), "POST", target, BY_ID)
    assert mask_took(off.body) == mask_took(direct.body)
    everything: dict[str, Any] = {"source": {"query": {"match_all": {}}}}
    fields = {"X-Rescore-Query": "copper%20pipes", "X-Rescore-Plan": "positional"}
    through = request(sidecar.proxy, "POST", target, everything, fields)
    assert outcome(through).startswith("applied; plan=positional; ")
    assert json.loads(through.body)["hits"]["hits"][0]["_id"] == "2"
