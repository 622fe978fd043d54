"""Searches with the section `ext.rescore`, which OpenSearch itself refuses: both releases."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_took, send
from tests.running import Sidecar, request, running_sidecar

INDEX, ATTIC, LISTED = "told", "told-attic", "told-listed"
QUERY = {"match": {"body": "copper kettle"}}
PLAN = {"rescore_window": 20, "deadline_ms": 20_000, "fusion": {"method": "replace"}}
PLANS = {"model": {**PLAN, "scores": "model", "templates": True}, "other": PLAN, "plain": PLAN}
BODIES = [
    "kettle kettle kettle kettle kettle",
    "a copper kettle",
    "copper copper copper pipes",
    "a wooden handle for a kettle",
] + [f"{'copper' if number % 2 else 'kettle'} number {number}" for number in range(16)]


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    found: Node = request.getfixturevalue(request.param)
    for index in (INDEX, ATTIC, LISTED):
        assert ask(found, "PUT", f"/{index}", {"settings": {"number_of_shards": 1}}).status == 200
        for number, body in enumerate(BODIES):
            assert ask(found, "PUT", f"/{index}/_doc/{number}", {"body": body}).status == 201
        ask(found, "POST", f"/{index}/_refresh")
    yield found
    for index in (INDEX, ATTIC, LISTED):
        ask(found, "DELETE", f"/{index}")


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {INDEX: "model", LISTED: "plain"}
    with running_sidecar(folder, node.url, PLANS, routes) as running:
        yield running


def ask(node: Node, method: str, target: str, body: object = None) -> RawResponse:
    return request((node.host, node.port), method, target, body)


def search(
    sidecar: Sidecar, section: object, fields: dict[str, str] | None = None, **members: Any
) -> RawResponse:
    body = {"query": QUERY, "size": 5, "ext": {"rescore": section}, **members}
    return request(sidecar.proxy, "POST", f"/{INDEX}/_search", body, fields)


def direct(node: Node, **members: Any) -> RawResponse:
    return ask(node, "POST", f"/{INDEX}/_search", {"query": QUERY, "size": 5, **members})


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def ids(response: RawResponse) -> list[str]:
    assert response.status == 200, response.body
    return [hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]]


def test_the_cluster_alone_refuses_it(node: Node) -> None:
    assert direct(node, ext={"rescore": {}}).status == 400


def test_an_empty_section_changes_nothing(sidecar: Sidecar) -> None:
    without = request(sidecar.proxy, "POST", f"/{INDEX}/_search", {"query": QUERY, "size": 5})
    with_section = search(sidecar, {})
    assert outcome(with_section).startswith("applied; plan=model")
    assert mask_took(with_section.body) == mask_took(without.body)


def test_off_is_the_order_of_opensearch(node: Node, sidecar: Sidecar) -> None:
    response = search(sidecar, {"off": True})
    assert outcome(response) == "skipped; reason=off; plan=model"
    assert mask_took(response.body) == mask_took(direct(node).body)


def test_the_body_wins_over_the_headers(sidecar: Sidecar) -> None:
    assert outcome(search(sidecar, {"off": False}, {"X-Rescore": "off"})).startswith("applied")
    other = search(sidecar, {"plan": "other"}, {"X-Rescore-Plan": "plain"})
    assert "plan=other" in outcome(other)
    headers = {"X-Rescore-Query": "number"}
    assert ids(search(sidecar, {"query": "wooden handle"}, headers))[0] == "3"
    assert ids(search(sidecar, {"query": "wooden handle"})) == ids(
        search(sidecar, {}, {"X-Rescore-Query": "wooden%20handle"})
    )


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"plan": "none such"}, "reason=unknown_plan; plan=model"),
        ({"of": True}, "reason=section_key; plan=model; key=of"),
        ({"off": "yes"}, "reason=section_value; plan=model; key=off"),
        ([1], "reason=section_value; plan=model; key=rescore"),
    ],
)
def test_a_mistake_leaves_the_search_to_opensearch(
    node: Node, sidecar: Sidecar, section: object, words: str
) -> None:
    response = search(sidecar, section)
    assert outcome(response) == f"skipped; {words}"
    assert mask_took(response.body) == mask_took(direct(node).body)


def test_it_is_cut_out_of_searches_that_are_not_rescored(node: Node, sidecar: Sidecar) -> None:
    members: dict[str, Any] = {"sort": ["_doc"]}
    response = search(sidecar, {"query": "kettle"}, **members)
    assert outcome(response) == "skipped; reason=sort; plan=model"
    assert mask_took(response.body) == mask_took(direct(node, **members).body)


def test_beside_the_section_of_the_kendra_plugin(sidecar: Sidecar) -> None:
    properties = {"body_field": "body", "doc_limit": 25}
    ranking = {"kendra_intelligent_ranking": {"order": 1, "properties": properties}}
    ext = {
        "search_configuration": {"result_transformer": ranking},
        "rescore": {"query": "wooden handle"},
    }
    response = search(sidecar, None, ext=ext)
    assert outcome(response).startswith("applied; plan=model; window=25")
    assert ids(response)[0] == "3"
    ext["rescore"] = {"off": True}
    assert outcome(search(sidecar, None, ext=ext)) == "skipped; reason=off; plan=model"


def test_without_a_route_the_body_is_not_read(node: Node, sidecar: Sidecar) -> None:
    body = {"query": QUERY, "ext": {"rescore": {"off": True}}}
    response = request(sidecar.proxy, "POST", f"/{ATTIC}/_search", body)
    assert response.status == 400
    assert response.body == ask(node, "POST", f"/{ATTIC}/_search", body).body


def test_a_compressed_body(sidecar: Sidecar) -> None:
    body = gzip.compress(
        json.dumps({"query": QUERY, "ext": {"rescore": {"query": "wooden handle"}}}).encode()
    )
    for section_off in (False, True):
        if section_off:
            body = gzip.compress(json.dumps({"ext": {"rescore": {"off": True}}}).encode())
        head = (
            f"POST /{INDEX}/_search HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        response = send(*sidecar.proxy, head.encode() + body)
        assert response.status == 200
        assert ids(response)[0] == ("0" if section_off else "3")


def many(sidecar: Sidecar, *items: tuple[str, Any]) -> RawResponse:
    lines = [json.dumps(line) for index, body in items for line in ({"index": index}, body)]
    content = "".join(f"{line}\n" for line in lines).encode()
    head = (
        "POST /_msearch HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return send(*sidecar.proxy, head.encode() + content)


def item(section: object, **members: Any) -> dict[str, Any]:
    return {"query": QUERY, "size": 5, "ext": {"rescore": section}, **members}


def responses(response: RawResponse) -> list[list[str]]:
    assert response.status == 200, response.body
    return [
        [hit["_id"] for hit in one["hits"]["hits"]]
        if one["status"] == 200
        else [str(one["status"])]
        for one in json.loads(response.body)["responses"]
    ]


def test_each_item_of_an_msearch_has_its_own_section(node: Node, sidecar: Sidecar) -> None:
    own_order = ids(direct(node))
    response = many(
        sidecar,
        (INDEX, item({"query": "wooden handle"})),
        (INDEX, item({"off": True})),
        (LISTED, item({"plan": "other", "query": "pipes"})),
        (INDEX, item({"explian": True})),
        (ATTIC, {"query": QUERY, "size": 5}),
    )
    answers = responses(response)
    assert outcome(response).startswith(
        "skipped; reason=off; plan=model+other; items=4; rescored=2"
    )
    assert answers[0][0] == "3"
    assert answers[1] == own_order
    assert answers[2][0] == "2"
    assert answers[3] == own_order
    assert answers[4] == own_order


def test_an_msearch_that_is_not_rescored_is_sent_without_sections(
    node: Node, sidecar: Sidecar
) -> None:
    response = many(sidecar, (INDEX, item({"off": True})), (INDEX, item({"nothing": 1})))
    assert outcome(response).startswith("skipped; reason=off; plan=model; items=2; rescored=0")
    assert responses(response) == [ids(direct(node))] * 2
    wrong = many(sidecar, (INDEX, item({"nothing": 1})))
    assert outcome(wrong).startswith("skipped; reason=section_key; plan=model; key=nothing")


def test_an_item_without_a_route_keeps_its_section(sidecar: Sidecar) -> None:
    response = many(sidecar, (ATTIC, item({"off": True})), (INDEX, item({"query": "handle"})))
    # OpenSearch refuses an `_msearch` as a whole if it cannot read a line.
    assert response.status == 400


def test_templates(node: Node, sidecar: Sidecar) -> None:
    def render(section: object, target: str = INDEX, **beside: Any) -> RawResponse:
        source = {"query": {"match": {"body": "{{words}}"}}, "size": 5}
        if section is not None:
            source["ext"] = {"rescore": section}
        body = {"source": source, "params": {"words": "copper kettle", "asked": "handle"}, **beside}
        return request(sidecar.proxy, "POST", f"/{target}/_search/template", body)

    asked = render({"query": "wooden {{asked}}"})
    assert outcome(asked).startswith("applied; plan=model")
    assert ids(asked)[0] == "3"
    assert json.loads(asked.body)["status"] == 200
    off = render({"off": True})
    assert outcome(off) == "skipped; reason=off; plan=model"
    assert ids(off) == ids(direct(node))
    beside = render(None, ext={"rescore": {"query": "wooden handle"}})
    assert ids(beside)[0] == "3"
    # The plan does not take templates.
    listed = render(None, LISTED, ext={"rescore": {"query": "wooden handle"}})
    assert outcome(listed) == "skipped; reason=templates; plan=plain"
    assert ids(listed) == ids(direct(node))
