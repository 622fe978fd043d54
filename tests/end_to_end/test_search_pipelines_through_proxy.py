"""Searches with search pipelines, end to end with a real OpenSearch of each version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config_reading.config_files import read_config
from sidecar.upstream_check import check_upstream, propose_pipelines
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took
from tests.running import WORDS, Sidecar, request, running_sidecar

INDEX = "piped"
MATCH = {"match": {"body": "copper kettle handle"}}
PLAN = {"rescore_window": 12, "deadline_ms": 20_000, "fusion": {"method": "replace"}}
RENAME = {"rename_field": {"field": "price", "target_field": "cost"}}
PIPELINES: dict[str, dict[str, Any]] = {
    "filters": {"request_processors": [{"filter_query": {"query": {"term": {"public": True}}}}]},
    "renames": {"response_processors": [RENAME]},
    "explains": {
        "request_processors": [{"script": {"source": "ctx._source['explain'] = false"}}],
    },
    "truncates": {"response_processors": [{"truncate_hits": {"target_size": 3}}]},
    "oversamples": {"request_processors": [{"oversample": {"sample_factor": 2}}]},
}
USES = {"filters": "keeps_order", "renames": "normalises", "truncates": "reranks"}


def ask(node: Node, method: str, target: str, body: object = None) -> RawResponse:
    return request((node.host, node.port), method, target, body)


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    found: Node = request.getfixturevalue(request.param)
    for number in range(20):
        body = "copper kettle handle " * (1 + number % 3) + "word " * number
        source = {"title": f"t{number}", "body": body, "price": number, "public": number % 2 == 0}
        assert ask(found, "PUT", f"/{INDEX}/_doc/{number}", source).status == 201
    ask(found, "POST", "/_refresh")
    for name, pipeline in PIPELINES.items():
        answer = ask(found, "PUT", f"/_search/pipeline/{name}", pipeline)
        assert answer.status == 200, answer.body
    yield found
    ask(found, "DELETE", f"/{INDEX}")
    for name in PIPELINES:
        ask(found, "DELETE", f"/_search/pipeline/{name}")


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    main = {"upstream": {"urls": [node.url], "pipelines": USES}}
    folder = tmp_path_factory.mktemp("sidecar")
    with running_sidecar(folder, node.url, {"plan": PLAN}, {INDEX: "plan"}, main=main) as running:
        yield running


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def hits(response: RawResponse) -> dict[str, Any]:
    assert response.status == 200, response.body
    return {hit["_id"]: hit["_source"] for hit in json.loads(response.body)["hits"]["hits"]}


@pytest.mark.parametrize("place", ["url", "body"])
@pytest.mark.parametrize("name", ["filters", "renames"])
def test_named_pipelines_are_taken(node: Node, sidecar: Sidecar, name: str, place: str) -> None:
    """The page has the hits of the widened search, as the pipeline shows them."""
    body: dict[str, Any] = {"query": MATCH, "size": 6}
    target = f"/{INDEX}/_search"
    if place == "url":
        target += f"?search_pipeline={name}"
    else:
        body["search_pipeline"] = name
    through = request(sidecar.proxy, "POST", target, body)
    assert outcome(through).startswith("applied; plan=plan; window=12; "), through
    window = hits(ask(node, "POST", target, {**body, "size": 12}))
    page = hits(through)
    assert len(page) == 6
    assert page == {key: window[key] for key in page}
    if name == "filters":
        assert all(source["public"] for source in page.values())
    else:
        assert all("cost" in source for source in page.values())


INLINE = {"response_processors": [RENAME]}


@pytest.mark.parametrize(
    ("pipeline", "key"),
    [
        ("truncates", ""),
        ("oversamples", "; key=upstream.pipelines.oversamples"),
        ("explains", "; key=upstream.pipelines.explains"),
        ("nosuch", "; key=upstream.pipelines.nosuch"),
        ("no\r\nsuch: x", "; key=upstream.pipelines"),
        (INLINE, ""),
    ],
)
def test_all_others_are_left_alone(
    node: Node, sidecar: Sidecar, pipeline: object, key: str
) -> None:
    """The header names the key of the main file that is missing."""
    body = {"query": MATCH, "search_pipeline": pipeline}
    direct = ask(node, "POST", f"/{INDEX}/_search", body)
    through = request(sidecar.proxy, "POST", f"/{INDEX}/_search", body)
    assert outcome(through) == f"skipped; reason=search_pipeline; plan=plan{key}"
    assert mask_took(through.body) == mask_took(direct.body)
    assert through.status == direct.status
    assert mask_content_length(through.head)


def test_both_places_must_be_taken(sidecar: Sidecar) -> None:
    body = {"query": MATCH, "search_pipeline": "filters"}
    target = f"/{INDEX}/_search?search_pipeline=truncates"
    through = request(sidecar.proxy, "POST", target, body)
    assert outcome(through) == "skipped; reason=search_pipeline; plan=plan"


def write(folder: Path, node: Node, uses: dict[str, str]) -> Any:
    (folder / "plans").mkdir(exist_ok=True)
    plan = {"document": {"body": "body"}, "stages": [{"model": "words"}]}
    (folder / "plans" / "words.yaml").write_text(yaml.safe_dump(plan))
    main = {
        "upstream": {"urls": [node.url], "pipelines": uses},
        "models": {"words": WORDS},
        "routes": [{"index": INDEX, "plan": "words"}],
    }
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(main))
    return read_config(folder / "sidecar.yaml", {})


def test_check_proposes_the_lines(node: Node, tmp_path: Path) -> None:
    config = write(tmp_path, node, {"filters": "keeps_order"})
    assert check_upstream(config, tmp_path) == []
    lines = propose_pipelines(config, tmp_path)
    assert lines == [
        "explains: keeps_order",
        "oversamples: reranks  # oversample",
        "renames: keeps_order",
        "truncates: reranks  # truncate_hits",
    ]
    # They are the lines of the section, as they are.
    assert yaml.safe_load("\n".join(lines))["explains"] == "keeps_order"


def test_check_finds_lines_that_the_cluster_contradicts(node: Node, tmp_path: Path) -> None:
    config = write(tmp_path, node, {"truncates": "keeps_order", "gone": "reranks"})
    assert check_upstream(config, tmp_path) == [
        "upstream.pipelines: the cluster has no search pipeline gone; remove the line",
        "upstream.pipelines: truncates is said to be keeps_order, but it has truncate_hits; write "
        "truncates: reranks",
    ]


@pytest.mark.parametrize(
    ("name", "uses", "problem"),
    [
        ("renames", {"renames": "keeps_order"}, None),
        (
            "renames",
            {},
            "route piped: index piped has the default search pipeline renames, which changes "
            "neither the number nor the order of hits; write renames: keeps_order in "
            "upstream.pipelines",
        ),
        (
            "truncates",
            {},
            "route piped: index piped has the default search pipeline truncates (it has "
            "truncate_hits); if it ranks again, the order is no longer the sidecar's (set it to "
            "_none, or remove the route; if it does not, write truncates: keeps_order in "
            "upstream.pipelines)",
        ),
    ],
)
def test_check_reads_the_default_pipeline(
    node: Node, tmp_path: Path, name: str, uses: dict[str, str], problem: str | None
) -> None:
    setting = "index.search.default_pipeline"
    assert ask(node, "PUT", f"/{INDEX}/_settings", {setting: name}).status == 200
    try:
        problems = check_upstream(write(tmp_path, node, uses), tmp_path)
    finally:
        ask(node, "PUT", f"/{INDEX}/_settings", {setting: None})
    assert problems == ([] if problem is None else [problem])
