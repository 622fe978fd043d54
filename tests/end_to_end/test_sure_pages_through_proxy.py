"""Cold searches: the order of reading, and pages that are sure before everything is read."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from sidecar.models.scorers import Models
from tests.cold_models import HIGHEST, cold_models
from tests.nodes.node import Node
from tests.running import Sidecar, running_sidecar

INDEX = "sure-pages"
SIZE = 10
WINDOW = 50
PLAN = {
    "rescore_window": WINDOW,
    "deadline_ms": 20_000,
    "fusion": {"method": "additive", "lexical": 0.0},
    "stages": [{"model": "words", "weight": 0.1}],
}


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    with OpenSearch(opensearch_3.url) as client:
        client.indices.create(index=INDEX, body={"settings": {"number_of_shards": 1}})
        actions = (
            {"_index": INDEX, "_id": f"{n}", "body": f"{'copper ' * (n % 3)}kettle {'x ' * n}"}
            for n in range(80)
        )
        helpers.bulk(client, actions, refresh=True)
        yield opensearch_3
        client.indices.delete(index=INDEX)


def search(sidecar: Sidecar, start: int, size: int = SIZE) -> tuple[list[tuple[str, float]], str]:
    """The ids and scores of a page, and `X-Rescore`."""
    body = {"query": {"match": {"body": "copper kettle"}}, "from": start, "size": size}
    connection = http.client.HTTPConnection(str(sidecar.proxy))
    kind = {"Content-Type": "application/json"}
    connection.request("POST", f"/{INDEX}/_search", json.dumps(body), kind)
    answer = connection.getresponse()
    hits = json.loads(answer.read())["hits"]["hits"]
    connection.close()
    return [(hit["_id"], hit["_score"]) for hit in hits], answer.headers["X-Rescore"]


def number(header: str, name: str) -> int:
    found = re.search(rf"\b{name}=(\d+)", header)
    return int(found[1]) if found else 0


def run(folder: Path, node: Node, models: Models, **main: Any) -> Any:
    return running_sidecar(folder, node.url, {"p": PLAN}, {INDEX: "p"}, models, main)


@pytest.mark.parametrize("window_cache_s", [0, 60])
def test_all_pages_are_as_if_everything_was_read(
    node: Node, tmp_path: Path, window_cache_s: int
) -> None:
    with run(tmp_path / "whole", node, cold_models(1000)) as sidecar:
        whole, header = search(sidecar, 0, WINDOW)
        assert number(header, "scored") == WINDOW
    cold = cold_models(1000, HIGHEST)
    with run(tmp_path / "cold", node, cold, window_cache_s=window_cache_s) as sidecar:
        pages = []
        for start in range(0, WINDOW, SIZE):
            one, header = search(sidecar, start)
            pages += one
            if start == 0:
                assert header.startswith("applied; plan=p; window=50; scored=")
                assert number(header, "sure") == SIZE
                assert SIZE <= number(header, "scored") < WINDOW
    assert [id_ for id_, _ in pages] == [id_ for id_, _ in whole]
    scores = [score for _, score in pages]
    assert scores == sorted(scores, reverse=True)


def test_a_deadline_may_leave_a_page_sure(node: Node, tmp_path: Path) -> None:
    with run(tmp_path, node, cold_models(4, HIGHEST)) as sidecar:
        headers = [search(sidecar, 0)[1] for _ in range(12)]
    assert headers[0].startswith("partial; reason=deadline; ")
    assert headers[-1].startswith("applied; ")
    assert number(headers[-1], "sure") == SIZE
    assert number(headers[-1], "scored") < WINDOW


def test_a_page_as_large_as_the_window_needs_everything(node: Node, tmp_path: Path) -> None:
    with run(tmp_path, node, cold_models(1000, HIGHEST)) as sidecar:
        _, header = search(sidecar, 0, WINDOW)
    assert (number(header, "scored"), number(header, "sure")) == (WINDOW, 0)


@pytest.mark.parametrize("method", ["additive", "relative", "weighted", "rrf", "replace"])
def test_the_best_passage_of_each_hit_is_read_before_any_second_one(
    node: Node, tmp_path: Path, method: str
) -> None:
    plan = {
        **PLAN,
        "fusion": {"method": method, **({"weight": 0.5} if method == "weighted" else {})},
        "stages": [{"model": "words"}],
        "passages": {"words": 8, "overlap": 0, "per_group": 3},
    }
    query = {"query": {"match": {"body": "copper kettle"}}, "size": SIZE}
    # Some hits have one passage, and others three; every passage is new.
    for name, path, body in (
        ("search", "_search", json.dumps(query)),
        ("items", "_msearch", f"{{}}\n{json.dumps(query)}\n"),
    ):
        models = cold_models(WINDOW)
        with running_sidecar(tmp_path / name, node.url, {"p": plan}, {INDEX: "p"}, models) as one:
            connection = http.client.HTTPConnection(str(one.proxy))
            kind = {"Content-Type": "application/json"}
            connection.request("POST", f"/{INDEX}/{path}", body, kind)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert one.metric("rescore_hits_scored_total", plan="p") == WINDOW
            assert answer.headers["X-Rescore"].startswith("applied; ")
