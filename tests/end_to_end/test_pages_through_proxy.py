"""Pages of one search while the index changes between them: a real OpenSearch and its client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from tests.cold_models import cold_models
from tests.nodes.node import Node
from tests.running import Sidecar, running_sidecar

INDEX = "pages"
QUERY = {"match": {"body": "copper kettle"}}
PLAN = {"rescore_window": 25, "deadline_ms": 20_000, "fusion": {"method": "replace"}}
SIZE = 10


@pytest.fixture
def sidecar(opensearch_3: Node, tmp_path: Path) -> Iterator[Sidecar]:
    main = {"window_cache_s": 60}
    with running_sidecar(
        tmp_path, opensearch_3.url, {"words": PLAN}, {INDEX: "words"}, main=main
    ) as running:
        yield running


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[OpenSearch]:
    with OpenSearch(f"http://{sidecar.proxy}") as found:
        found.indices.create(index=INDEX, body={"settings": {"number_of_shards": 1}})
        actions = (
            {"_index": INDEX, "_id": f"{n}", "body": f"{'copper ' * (n % 3)}kettle {'x ' * n}"}
            for n in range(30)
        )
        helpers.bulk(found, actions, refresh=True)
        yield found
        found.indices.delete(index=INDEX)


def page(client: OpenSearch, start: int, **members: Any) -> list[str]:
    body = {"query": QUERY, "from": start, "size": SIZE, **members}
    return [hit["_id"] for hit in client.search(index=INDEX, body=body)["hits"]["hits"]]


def test_no_hit_is_repeated_or_lost_while_the_index_changes(
    client: OpenSearch, sidecar: Sidecar
) -> None:
    pages = [page(client, 0)]
    # The best hit of page 1 goes, better ones than all there are come: everything moves.
    client.delete(index=INDEX, id=pages[0][0], refresh=True)
    for number in range(12):
        document = {"body": "copper kettle copper kettle"}
        client.index(index=INDEX, id=f"new {number}", body=document, refresh=True)
    pages += [page(client, SIZE), page(client, 2 * SIZE)]
    seen = [name for one in pages for name in one]
    assert len(seen) == len(set(seen)) == 30
    assert {f"{n}" for n in range(30)} == set(seen)
    assert sidecar.metric("rescore_window_lookups_total", result="hit") == 2


def test_a_document_that_was_just_indexed_is_on_the_first_page(client: OpenSearch) -> None:
    page(client, 0)
    page(client, SIZE)
    client.index(index=INDEX, id="new", body={"body": "copper kettle"}, refresh=True)
    assert "new" in page(client, 0)
    assert "new" not in page(client, SIZE) + page(client, 2 * SIZE)


def test_pages_of_another_search_are_not_mixed_in(client: OpenSearch) -> None:
    page(client, 0)
    filtered = {"bool": {"must": QUERY, "filter": {"ids": {"values": [f"{n}" for n in range(15)]}}}}
    assert len(page(client, SIZE, query=filtered)) == 5


@pytest.mark.parametrize("reach", [0, 3, 17, 40])
@pytest.mark.parametrize("method", ["replace", "relative"])
def test_pages_of_a_cold_store_that_are_read_slowly_agree(
    opensearch_3: Node, tmp_path: Path, reach: int, method: str
) -> None:
    """Without a cached window, as after `window_cache_s`, while the model learns between pages."""
    plan = {"rescore_window": 50, "deadline_ms": 20_000, "fusion": {"method": method}}
    with (
        running_sidecar(
            tmp_path,
            opensearch_3.url,
            {"words": plan},
            {INDEX: "words"},
            cold_models(reach),
            {"window_cache_s": 0},
        ) as cold,
        OpenSearch(f"http://{cold.proxy}") as client,
    ):
        actions = (
            {"_index": INDEX, "_id": f"{n}", "body": f"{'copper ' * (n % 3)}kettle {'x ' * n}"}
            for n in range(80)
        )
        helpers.bulk(client, actions, refresh=True)
        try:
            pages = [page(client, start) for start in range(0, 50, SIZE)]
            seen = [name for one in pages for name in one]
            assert len(seen) == len(set(seen)) == 50
            assert page(client, 20) == pages[2]
        finally:
            client.indices.delete(index=INDEX)
