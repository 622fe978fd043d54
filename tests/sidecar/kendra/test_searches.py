"""The exchanges with OpenSearch for one request: one search, and one for words that are new."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar.kendra.answering.page_orders import PageOrders
from sidecar.kendra.answering.query_ids import QueryIds
from sidecar.kendra.asking.request import read_query, read_retrieve
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.kendra.indexes.user_context import Caller
from sidecar.kendra.searches import KendraSearches
from sidecar.kendra.upstream_search import UpstreamSearch
from sidecar.metrics import Metrics
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.front import Response
from sidecar.relay.heads import parse_response_head
from tests.sidecar.kendra.example_index import make_index, serve_index

MAY_NOT = "Basic of one who may not analyze"
BODY = "Kettles boil water."
HIT = {"_index": "documents-1", "_id": "1", "_score": 2.0, "_source": {"body": BODY}}
FOUND = {"_shards": {"failed": 0}, "hits": {"total": {"value": 1}, "hits": [HIT]}}
NOTHING = {"_shards": {"failed": 0}, "hits": {"total": {"value": 0}, "hits": []}}


@dataclass
class Exchange:
    """One exchange: its path, the account, and the objects of its body."""

    path: str
    account: str | None
    bodies: list[Any]


@dataclass
class OpenSearch:
    """Answers every search with one document; its analyzer removes a plural's s."""

    exchanges: list[Exchange] = field(default_factory=list)

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        text = head.decode()
        path = text.split(" ")[1].partition("?")[0]
        account = re.search("Authorization: (.*)\r\n", text)
        exchange = Exchange(
            path, account and account[1], [json.loads(line) for line in body.splitlines()]
        )
        self.exchanges.append(exchange)
        status = 403 if path.endswith("_analyze") and exchange.account == MAY_NOT else 200
        raw = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\r\n".encode()
        return Response(parse_response_head(raw), json.dumps(self._answer(exchange)).encode())

    def _answer(self, exchange: Exchange) -> Any:
        if exchange.path == "/_msearch":
            return {"responses": [FOUND, *[NOTHING] * (len(exchange.bodies) // 2 - 1)]}
        return _analyze(exchange.bodies[0]["text"]) if exchange.path.endswith("_analyze") else FOUND

    def paths(self) -> list[str]:
        paths = [exchange.path for exchange in self.exchanges]
        self.exchanges.clear()
        return paths


def _analyze(runs: list[str]) -> Any:
    tokens, start = [], 0
    for run in runs:
        token = {"token": run.lower().removesuffix("s"), "type": "<ALPHANUM>"}
        tokens.append({**token, "start_offset": start, "end_offset": start + len(run)})
        start += len(run) + 1
    return {"tokens": tokens}


@pytest.fixture
def opensearch() -> OpenSearch:
    return OpenSearch()


@pytest.fixture
def searches(opensearch: OpenSearch) -> Iterator[KendraSearches]:
    documents = PassageCutter(1 << 20)
    upstream = UpstreamSearch(opensearch, "node:9200", 5)
    ids = QueryIds(b"a key of these tests")
    orders = PageOrders(0, 0)
    yield KendraSearches(
        upstream, lambda: None, documents, ids, Metrics(), lambda: 1_700_000_000.0, orders, 60
    )
    documents.close()


def served(**settings: Any) -> ServedIndex:
    return serve_index(make_index(spell_field="body.spell", **settings))


def query(
    searches: KendraSearches, index: ServedIndex, account: str | None = None, **members: Any
) -> dict[str, Any]:
    kendra_request = read_query({"QueryText": "kettle", **members}, index.settings, Caller("ann"))
    return asyncio.run(searches.query(index, kendra_request, account, b"key"))


ALL_AT_ONCE: dict[str, Any] = {
    "AttributeFilter": {"EqualsTo": {"Key": "Team", "Value": {"StringValue": "red"}}},
    "Facets": [{"DocumentAttributeKey": "Team"}],
    "SpellCorrectionConfiguration": {"IncludeQuerySpellCheckSuggestions": True},
    "SortingConfiguration": {"DocumentAttributeKey": "Team", "SortOrder": "ASC"},
}
TEAM = {"term": {"team": "red"}}


def check_filtered(body: Any) -> None:
    """Check that the query has the attribute's filter and the caller's filter."""
    filters = body["query"]["bool"]["filter"]
    assert TEAM in filters
    assert "_acl_user_allow" in json.dumps(filters)


def test_a_request_with_everything_is_one_search(
    searches: KendraSearches, opensearch: OpenSearch
) -> None:
    query(searches, served(), **ALL_AT_ONCE)
    search, *others = opensearch.exchanges
    assert search.path == "/documents/_search"
    assert all(exchange.path.endswith("/_analyze") for exchange in others)
    [body] = search.bodies
    check_filtered(body)
    assert body["track_total_hits"] is True
    assert body["aggs"].keys() == {"facet:Team"}
    assert body["suggest"]
    assert body["sort"]
    assert "_acl_user_allow" in json.dumps(body["suggest"])


def test_faq_entries_and_featured_documents_are_in_the_same_exchange(
    searches: KendraSearches, opensearch: OpenSearch
) -> None:
    index = served(
        faq={"index": "faq", "attributes": ["Team"], "acl": True},
        featured=[{"queries": ["kettle"], "documents": ["7"]}],
    )
    query(searches, index, **ALL_AT_ONCE)
    search, *others = opensearch.exchanges
    assert search.path == "/_msearch"
    assert all(exchange.path.endswith("/_analyze") for exchange in others)
    heads, bodies = search.bodies[::2], search.bodies[1::2]
    assert [head["index"] for head in heads] == ["documents", "faq", "documents"]
    for body in bodies:
        check_filtered(body)


def test_words_are_analysed_once(searches: KendraSearches, opensearch: OpenSearch) -> None:
    index = served()
    first = query(searches, index)
    [item] = first["ResultItems"]
    [highlight] = item["DocumentExcerpt"]["Highlights"]
    assert BODY[highlight["BeginOffset"] : highlight["EndOffset"]] == "Kettles"
    assert opensearch.paths() == ["/documents/_search", "/documents-1/_analyze"]
    assert query(searches, index)["ResultItems"][0]["DocumentExcerpt"] == item["DocumentExcerpt"]
    assert opensearch.paths() == ["/documents/_search"]


def test_retrieve_has_no_highlights_and_so_analyses_no_words(
    searches: KendraSearches, opensearch: OpenSearch
) -> None:
    index = served()
    kendra_request = read_retrieve({"QueryText": "kettle"}, index.settings, None)
    reply = asyncio.run(searches.retrieve(index, kendra_request, None, b"key"))
    assert [item["Content"] for item in reply["ResultItems"]] == [BODY]
    assert opensearch.paths() == ["/documents/_search"]


def test_an_account_that_may_not_analyse_does_not_try_again_at_once(
    searches: KendraSearches, opensearch: OpenSearch
) -> None:
    index = served()
    refused = query(searches, index, MAY_NOT)["ResultItems"][0]
    assert refused["DocumentExcerpt"]["Highlights"] == []
    assert opensearch.paths() == ["/documents/_search", "/documents-1/_analyze"]
    query(searches, index, MAY_NOT)
    assert opensearch.paths() == ["/documents/_search"]
    allowed = query(searches, index, "Basic of another")["ResultItems"][0]
    assert len(allowed["DocumentExcerpt"]["Highlights"]) == 1
    assert opensearch.paths() == ["/documents/_search", "/documents-1/_analyze"]
