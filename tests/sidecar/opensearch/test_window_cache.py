"""Which further pages are cut out of a cached window, and for which callers.

OpenSearch is a list of answers, so the test sees if a page needs no exchange.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.config.limits import Limits
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.search import search_and_rescore
from sidecar.opensearch.search_request import SearchRequest
from sidecar.opensearch.window_cache import WindowCache, fetch_whole_pages
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.front import Answer, Request, Response
from sidecar.relay.heads import parse_request_head, parse_response_head
from tests.one_scorer import OneScorer
from tests.sidecar.opensearch.test_search import LastFirst, Scripted

QUERY = {"query": {"match": {"body": "red"}}}
PLAN = Plan.model_validate(
    {
        "document": {"body": "body"},
        "stages": [{"model": "m"}],
        "deadline_ms": 60_000,
        "rescore_window": 20,
        "fusion": {"method": "replace"},
    }
)


def answer(names: str, *lines: str) -> Response:
    hits = [
        {"_index": "i", "_id": name, "_score": 90.0 - place, "_source": {"body": f"red {name}"}}
        for place, name in enumerate(names)
    ]
    body = json.dumps(
        {"timed_out": False, "_shards": {"failed": 0}, "hits": {"max_score": 90.0, "hits": hits}}
    ).encode()
    head = ["HTTP/1.1 200 OK", "content-type: application/json", *lines]
    head += [f"content-length: {len(body)}", "", ""]
    return Response(parse_response_head("\r\n".join(head).encode()), body)


def page_request(
    start: int, size: int = 5, *lines: str, target: str = "/i/_search", **members: Any
) -> Request:
    page = {"from": start} if start else {}
    content = json.dumps({**page, **QUERY, "size": size, **members}).encode()
    head = [f"POST {target} HTTP/1.1", "Host: h", "Content-Type: application/json"]
    head += [f"Content-Length: {len(content)}", *lines, "", ""]
    return Request(parse_request_head("\r\n".join(head).encode()), content)


class Searches:
    """Searches of one index, by one sidecar."""

    def __init__(
        self,
        *answers: Response,
        seconds: float = 60,
        order_seconds: float = 0,
        max_bytes: int = 1 << 20,
    ) -> None:
        self.upstream = Scripted(*answers)
        self.metrics = Metrics()
        callers = Callers()
        self.windows = WindowCache(seconds, order_seconds, max_bytes, self.metrics, callers)
        self.documents = PassageCutter(1 << 20)
        self.search = SearchContext(
            "own",
            PLAN,
            self.upstream,
            OneScorer(LastFirst()),
            self.documents,
            Limits(),
            IndexLessons(callers, self.metrics),
            windows=self.windows,
        )
        self.outcomes: list[Outcome] = []

    async def page(self, request: Request) -> str:
        """The hits of a page, one letter per hit."""
        given, outcome = await search_and_rescore(request, self.search)
        self.outcomes.append(outcome)
        assert isinstance(given, Answer)
        self.head = given.head
        assert b"Content-Length: %d\r\n" % len(given.body) in given.head
        return "".join(hit["_id"] for hit in json.loads(given.body)["hits"]["hits"])

    @property
    def exchanges(self) -> int:
        return len(self.upstream.sent)

    def lookups(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "rescore_window_lookups_total", {"result": result}
        )


BEFORE = "abcdefghijklmnopqrst"
AFTER = "zbcdefghijklmnopqrsa"


async def test_pages_are_slices_of_one_window_though_the_index_changes() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER))
    pages = [await searches.page(page_request(start)) for start in (0, 5, 10, 15)]
    assert "".join(pages) == BEFORE[::-1]
    assert searches.exchanges == 1
    assert [outcome.cached for outcome in searches.outcomes] == [False, True, True, True]
    assert (searches.lookups("hit"), searches.lookups("miss")) == (3, 0)
    assert b"X-Rescore: applied; plan=own; window=20; scored=20; model=m; ms=" in searches.head
    assert b"; cached\r\n" in searches.head


async def test_the_first_page_is_always_new_and_begins_a_new_window() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER))
    assert await searches.page(page_request(0)) == "tsrqp"
    assert await searches.page(page_request(0)) == "asrqp"
    assert await searches.page(page_request(15)) == "edcbz"
    assert searches.exchanges == 2


async def test_a_search_whose_first_page_was_left_alone_keeps_no_older_window() -> None:
    ended = answer(BEFORE)
    body = ended.body.replace(b'"timed_out": false', b'"timed_out": true')
    head = replace_length(ended, len(body))
    searches = Searches(answer(BEFORE), Response(head, body), answer(AFTER))
    await searches.page(page_request(0))
    assert await searches.page(page_request(0)) == "abcde"
    assert await searches.page(page_request(15)) == "edcbz"


def replace_length(response: Response, length: int) -> Any:
    return parse_response_head(response.head.write_client(content_length=length))


async def test_after_its_time_a_page_is_asked_anew() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER), seconds=0)
    await searches.page(page_request(0))
    assert await searches.page(page_request(15)) == "edcbz"
    assert searches.lookups("miss") == 1


async def test_a_failed_rescoring_keeps_the_original_order_for_all_its_pages() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER))
    nothing = PLAN.model_copy(update={"deadline_ms": 1})

    class Never(Scorer):
        async def score(self, model: str, query_text: str, texts: object) -> list[None]:
            return [None] * PLAN.rescore_window

    searches.search = replace(searches.search, plan=nothing, models=OneScorer(Never()))
    assert await searches.page(page_request(0)) == "abcde"
    assert await searches.page(page_request(5)) == "fghij"
    assert searches.outcomes[1].status == "failed"
    assert b"X-Rescore: failed; reason=deadline; plan=own; cached\r\n" in searches.head


MINE = "Authorization: Basic bWU6"
FIRST = page_request(0, 5, MINE, "Cookie: a=1")
OTHERS: dict[str, Request] = {
    "another user": page_request(5, 5, "Authorization: Basic eW91Og==", "Cookie: a=1"),
    "nobody": page_request(5, 5, "Cookie: a=1"),
    "another cookie": page_request(5, 5, MINE, "Cookie: a=2"),
    "one field more": page_request(5, 5, MINE, "Cookie: a=1", "X-Tenant: b"),
    "another address": page_request(5, 5, MINE, "Cookie: a=1", "X-Forwarded-For: 10.0.0.1"),
    "another coding": page_request(5, 5, MINE, "Cookie: a=1", "Accept-Encoding: gzip"),
    "another index": page_request(5, 5, MINE, "Cookie: a=1", target="/j/_search"),
    "a parameter": page_request(5, 5, MINE, "Cookie: a=1", target="/i/_search?routing=x"),
    "another query": page_request(5, 5, MINE, "Cookie: a=1", query={"match": {"body": "blue"}}),
    "one member more": page_request(5, 5, MINE, "Cookie: a=1", min_score=0.0),
}


@pytest.mark.parametrize("request_", OTHERS.values(), ids=OTHERS.keys())
async def test_what_may_decide_what_is_found_keeps_windows_apart(request_: Request) -> None:
    searches = Searches(answer(BEFORE), answer(AFTER))
    await searches.page(FIRST)
    await searches.page(request_)
    assert searches.exchanges == 2


SAME: dict[str, Request] = {
    "the same": page_request(5, 5, MINE, "Cookie: a=1"),
    "its page in the URL": page_request(0, 5, MINE, "Cookie: a=1", target="/i/_search?from=5"),
    "another size": page_request(5, 3, MINE, "Cookie: a=1"),
    "marks of one request": page_request(
        5, 5, MINE, "Cookie: a=1", "X-Opaque-Id: 7", "traceparent: 00-1-2-00"
    ),
}


@pytest.mark.parametrize("request_", SAME.values(), ids=SAME.keys())
async def test_what_is_of_one_request_alone_does_not(request_: Request) -> None:
    searches = Searches(answer(BEFORE))
    await searches.page(FIRST)
    assert await searches.page(request_) in ("onmlk", "onm")
    assert searches.exchanges == 1


async def test_what_the_answer_repeats_of_the_request_is_this_ones() -> None:
    searches = Searches(answer(BEFORE, "X-Opaque-Id: first"))
    await searches.page(page_request(0, 5, "X-Opaque-Id: first"))
    await searches.page(page_request(5, 5, "X-Opaque-Id: second"))
    assert b"first" not in searches.head
    assert b"X-Opaque-Id: second\r\n" in searches.head
    await searches.page(page_request(5))
    assert b"opaque" not in searches.head.lower()


async def test_what_is_of_one_answer_alone_is_not_repeated() -> None:
    once = ("Set-Cookie: a=1", "Warning: 299 x", "Date: now", "X-Some-Gateway: 7", "Age: 3")
    always = ("Access-Control-Allow-Origin: *", "Vary: Origin", "X-OpenSearch-Version: y")
    searches = Searches(answer(BEFORE, *once, *always))
    await searches.page(page_request(0))
    assert all(line.encode() in searches.head for line in (*once, *always))
    await searches.page(page_request(5))
    assert not any(line.encode() in searches.head for line in once)
    assert all(line.encode() in searches.head for line in always)


async def test_an_id_that_the_first_page_did_not_have_is_repeated() -> None:
    searches = Searches(answer(BEFORE))
    await searches.page(page_request(0))
    await searches.page(page_request(5, 5, "X-Opaque-Id: mine", "X-Request-Id: his"))
    assert b"X-Opaque-Id: mine\r\n" in searches.head
    # Only release 3 repeats it, and this node has not done so yet.
    assert b"X-Request-Id" not in searches.head


async def test_request_ids_are_repeated_by_releases_that_do() -> None:
    searches = Searches(answer(BEFORE, "X-Request-Id: a"), answer(AFTER))
    await searches.page(page_request(0, 5, "X-Request-Id: a"))
    await searches.page(page_request(0))
    await searches.page(page_request(5, 5, "X-Request-Id: b"))
    assert b"X-Request-Id: b\r\n" in searches.head


async def test_two_ids_are_left_to_opensearch() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER))
    await searches.page(page_request(0))
    await searches.page(page_request(5, 5, "X-Opaque-Id: a", "X-Opaque-Id: b"))
    assert searches.exchanges == 2


async def test_another_plan_has_windows_of_its_own() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER))
    await searches.page(page_request(0))
    other = PLAN.model_copy(update={"scores": "model"})
    searches.search = replace(searches.search, plan=other)
    await searches.page(page_request(5))
    assert searches.exchanges == 2


async def test_a_page_over_the_windows_end_is_cut_from_it_too() -> None:
    names = BEFORE + "uvwxyz"
    searches = Searches(answer(names[:24]))
    pages = [await searches.page(page_request(start, 6)) for start in (0, 6, 12, 18)]
    assert "".join(pages) == BEFORE[::-1] + "uvwx"
    assert json.loads(searches.upstream.sent[0][1])["size"] == 24


async def test_a_larger_page_than_was_fetched_is_asked_anew() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER + "uvwxy"), answer("abc"))
    await searches.page(page_request(0))
    assert await searches.page(page_request(15, 10)) == "edcbzuvwxy"
    assert searches.exchanges == 2


async def test_a_window_with_all_hits_there_are_holds_every_page() -> None:
    searches = Searches(answer("abc"))
    await searches.page(page_request(0))
    assert await searches.page(page_request(2, 1000)) == "a"
    assert await searches.page(page_request(7)) == ""
    assert searches.exchanges == 1


async def test_memory_is_bounded() -> None:
    size = 40_000
    searches = Searches(*[answer(BEFORE) for _ in range(60)], max_bytes=size)
    for number in range(30):
        await searches.page(page_request(0, 5, query={"match": {"body": f"red {number}"}}))
        held = searches.metrics.registry.get_sample_value("rescore_window_bytes")
        assert held is not None
        assert 0 < held <= size
    assert 0 < len(searches.windows) < 5
    await searches.page(page_request(5, query={"match": {"body": "red 29"}}))
    assert searches.exchanges == 30


async def test_a_window_larger_than_all_memory_is_not_kept() -> None:
    searches = Searches(answer(BEFORE), answer(BEFORE), max_bytes=1000)
    await searches.page(page_request(0))
    assert len(searches.windows) == 0
    assert await searches.page(page_request(5)) == "onmlk"


def request_of(start: int, size: int, window: int) -> SearchRequest:
    return SearchRequest("q", start, size, max(window, start + size), b"", "", (), {})


@given(st.integers(1, 300), st.integers(1, 60))
def test_each_page_of_the_window_is_whole(window: int, size: int) -> None:
    fetched = fetch_whole_pages(request_of(0, size, window), window).fetch
    assert window <= fetched < window + size
    assert fetched % size == 0
    for start in range(0, window, size):
        assert start + size <= fetched
        assert fetch_whole_pages(request_of(start, size, window), window).fetch == fetched


def test_no_more_is_fetched_than_opensearch_allows() -> None:
    assert fetch_whole_pages(request_of(0, 9_000, 9_500), 9_500).fetch == 10_000


def test_pieces_of_a_key_cannot_be_moved_from_one_to_the_next() -> None:
    cache = WindowCache(5, 5, 1, Metrics(), Callers())
    found = request_of(5, 5, 20)
    heads = [
        b"X-A: 1\r\nX-B: 2\r\n",
        b"X-A: 1X-B: 2\r\n",
        b"X-A: 1\r\n",
        b"",
    ]
    keys = {
        cache.key(parse_request_head(b"POST /i HTTP/1.1\r\n" + head + b"\r\n"), found)
        for head in heads
    }
    assert len(keys) == len(heads)
    other = WindowCache(5, 5, 1, Metrics(), Callers(b"of another sidecar"))
    head = parse_request_head(b"POST /i HTTP/1.1\r\n\r\n")
    assert other.key(head, found) not in keys, "each sidecar has a secret of its own"
