"""Pages of one window at any time: together they have each hit once, in one order."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
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
from sidecar.opensearch.search_response import SearchResponse, read_search_response, splice_response
from sidecar.opensearch.window_cache import WindowCache
from sidecar.opensearch.window_order import apply_order, continue_order, record_order
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.errors import ResponseTooLarge, UpstreamBroken
from sidecar.relay.front import Answer, Response
from sidecar.relay.heads import parse_response_head
from tests.one_scorer import OneScorer
from tests.sidecar.opensearch.test_window_cache import AFTER, BEFORE, Searches, answer, page_request

WINDOW = 20


def a_plan(**keys: Any) -> Plan:
    whole = {"document": {"body": "body"}, "stages": [{"model": "m"}], "deadline_ms": 60_000}
    return Plan.model_validate({**whole, "rescore_window": WINDOW, **keys})


class Whimsical(Scorer):
    """A scorer that scores different texts each time, with different scores, none above 1."""

    def __init__(self, chance: random.Random, share: float, highest: float | None = None) -> None:
        self.chance = chance
        self.share = share
        self.bound = highest

    def highest(self, model: str) -> float | None:
        return self.bound

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        draw = self.chance.random
        return [draw() if draw() < self.share else None for _ in texts]


class Index:
    """An index that does not change: an `Exchanger` with the same hits for each search."""

    def __init__(self, hits: Sequence[Mapping[str, Any]]) -> None:
        self.hits = hits
        self.failing: list[Exception | int] = []

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        status = 200
        if self.failing:
            failure = self.failing.pop()
            if isinstance(failure, Exception):
                raise failure
            status = failure
        page_request = json.loads(body)
        hits = self.hits[page_request.get("from", 0) :][: page_request["size"]]
        shards = {"timed_out": False, "_shards": {"failed": 0}}
        content = json.dumps({**shards, "hits": {"max_score": 90.0, "hits": hits}}).encode()
        start = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status
        length = b"content-length: %d\r\n\r\n" % len(content)
        return Response(parse_response_head(start + length), content)


def hits_of(names: Sequence[object], drop: Sequence[float] = ()) -> list[dict[str, Any]]:
    score, hits = 90.0, []
    for place, name in enumerate(names):
        score -= drop[place % len(drop)] if drop else 1.0
        source = {"body": f"red {name}"}
        hits.append({"_index": "i", "_id": str(name), "_score": score, "_source": source})
    return hits


class Reader:
    """A client that reads one page after the other, with pauses."""

    def __init__(self, index: Index, plan: Plan, scorer: Scorer, window_seconds: float) -> None:
        callers, metrics = Callers(), Metrics()
        self.search = SearchContext(
            "own",
            plan,
            index,
            OneScorer(scorer),
            PassageCutter(1 << 20),
            Limits(),
            IndexLessons(callers, metrics),
            windows=WindowCache(window_seconds, 60, 1 << 22, metrics, callers),
        )
        self.outcomes: list[Outcome] = []

    async def page(self, start: int, size: int) -> list[tuple[str, float]]:
        given, outcome = await search_and_rescore(page_request(start, size), self.search)
        self.outcomes.append(outcome)
        if isinstance(given, Answer):
            content = given.body
        else:
            head, own = b"", page_request(start, size).body
            content = (await self.search.upstream.exchange(head, own, limit=0)).body
        return [(hit["_id"], hit["_score"]) for hit in json.loads(content)["hits"]["hits"]]


@given(
    count=st.integers(0, 45),
    size=st.integers(1, 25),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    drop=st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.5]), min_size=1, max_size=5),
    scores=st.sampled_from(["fused", "model", "positional"]),
    method=st.sampled_from(["replace", "relative", "rrf", "additive"]),
    window_seconds=st.sampled_from([0.0, 60.0]),
    weight=st.sampled_from([0.5, 0.05]),
    highest=st.sampled_from([None, 1.0]),
    seed=st.integers(0, 1000),
    turns=st.booleans(),
)
@settings(max_examples=150)
async def test_pages_hold_each_hit_once_whatever_the_models_do(
    count: int,
    size: int,
    share: float,
    drop: list[float],
    scores: str,
    method: str,
    window_seconds: float,
    weight: float,
    highest: float | None,
    seed: int,
    turns: bool,
) -> None:
    chance = random.Random(seed)
    index = Index(hits_of(range(count), drop))
    plan = a_plan(
        scores=scores,
        stages=[{"model": "m", **({"weight": weight} if method == "additive" else {})}],
        fusion={"method": method, **({"weight": weight} if method in ("relative", "rrf") else {})},
    )
    reader = Reader(index, plan, Whimsical(chance, share, highest), window_seconds)
    starts = list(range(size, WINDOW + size, size))
    if turns:
        chance.shuffle(starts)
    pages = {0: await reader.page(0, size)}
    for start in starts:
        pages[start] = await reader.page(start, size)
    # Some pages are read again, between other pages of the same search.
    again = chance.choice(starts)
    assert await reader.page(again, size) == pages[again]

    read = [hit for start in sorted(pages) for hit in pages[start]]
    names = [name for name, _ in read]
    assert sorted(names, key=int) == [str(n) for n in range(min(count, starts_end(starts, size)))]
    if scores != "model":
        numbers = [score for _, score in read]
        assert numbers == sorted(numbers, reverse=True)


def starts_end(starts: Sequence[int], size: int) -> int:
    return max(starts) + size


@given(
    before=st.lists(st.integers(0, 30), unique=True, max_size=25),
    after=st.lists(st.integers(0, 30), unique=True, max_size=25),
    order=st.randoms(use_true_random=False),
    scores=st.sampled_from(["fused", "model", "positional"]),
)
def test_known_hits_keep_their_order_and_new_ones_come_behind(
    before: list[int], after: list[int], order: random.Random, scores: str
) -> None:
    plan = a_plan(scores=scores)
    first, later = parsed(before), parsed(after)
    places = list(range(min(WINDOW, len(before))))
    order.shuffle(places)
    shown = [(place, 50.0 - number) for number, place in enumerate(places)]
    known = record_order(plan, Outcome("own", "applied"), first, shown)
    laid = apply_order(later, known)

    then = [before[place] for place in [*places, *range(len(places), len(before))]]
    names = [after[position] for position, _ in laid]
    expected = [name for name in then if name in after]
    assert names == expected + [name for name in after if name not in before]
    hits = json.loads(splice_response(later, laid, 0, 100, plan.scores))["hits"]["hits"]
    numbers = [hit["_score"] for hit in hits]
    if scores != "model":
        assert numbers == sorted(numbers, reverse=True)
    # Applying the order again moves nothing, so each page may restart the order's time.
    again = record_order(plan, known.outcome, later, laid)
    assert [position for position, _ in apply_order(later, again)] == [
        position for position, _ in laid
    ]


def test_sure_hits_stay_and_a_new_order_follows() -> None:
    sure = Outcome("own", "applied", sure=2)
    shown = [(1, 9.0), (0, 8.0), (2, 7.0), (3, 6.0)]
    known = record_order(a_plan(), sure, parsed([10, 11, 12, 13]), shown)
    assert [known.orders(places) for places in (1, 2, 3)] == [True, True, False]
    # 14 is new, and 13 is gone; the new order begins with what was shown second.
    later = parsed([12, 14, 10, 11])
    placed = continue_order(later, known, [(2, 8.5), (0, 8.2), (3, 8.1), (1, 4.0)])
    assert placed == [(3, 9.0), (2, 8.0), (0, 8.0), (1, 4.0)]
    # A shown hit that left the new window keeps its place, and every hit is there once.
    assert continue_order(later, known, [(1, 5.0), (0, 3.0)]) == [
        *[(3, 9.0), (2, 8.0)],
        *[(1, 5.0), (0, 3.0)],
    ]
    assert record_order(a_plan(), Outcome("own", "applied"), later, placed).orders(100)


def parsed(names: Sequence[int]) -> SearchResponse:
    body = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits_of(names)}}
    return read_search_response(json.dumps(body).encode())


def test_documents_that_share_an_index_and_an_id_are_each_there_once() -> None:
    read = parsed([1, 2, 1, 3, 1])
    shown = [(4, 9.0), (0, 8.0), (2, 7.0), (1, 6.0), (3, 5.0)]
    known = record_order(a_plan(), Outcome("own", "applied"), read, shown)
    assert apply_order(read, known) == shown


async def test_the_order_outlives_the_window_and_needs_no_model() -> None:
    searches = Searches(answer(BEFORE), answer(AFTER), answer(AFTER), seconds=0, order_seconds=60)
    assert await searches.page(page_request(0)) == "tsrqp"
    # `t` is gone, `z` is new.
    assert await searches.page(page_request(5)) == "nmlkj"
    assert b"X-Rescore: applied; plan=own; window=20; scored=20; model=m; ms=" in searches.head
    assert b"; order=kept\r\n" in searches.head
    assert await searches.page(page_request(15)) == "dcbaz"
    lookups = [searches.lookups(result) for result in ("hit", "order", "miss")]
    assert lookups == [0, 2, 0]
    assert searches.exchanges == 3


async def test_the_first_page_begins_the_order_anew() -> None:
    searches = Searches(*map(answer, (BEFORE, AFTER, AFTER)), seconds=0, order_seconds=60)
    await searches.page(page_request(0))
    assert await searches.page(page_request(0)) == "asrqp"
    assert await searches.page(page_request(15)) == "edcbz"


class Changing(Scorer):
    """Scores the first `reach` texts of each call; three of them get the score `first`."""

    def __init__(self) -> None:
        self.reach, self.first = 12, 1.0

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        scores = [self.first] * 3 + [1.0] * (self.reach - 3)
        return [*scores, *([None] * (len(texts) - self.reach))]

    def highest(self, model: str) -> float | None:
        return 1.0


@pytest.mark.parametrize("window_seconds", [0.0, 60.0])
async def test_a_page_behind_a_sure_one_is_rescored_and_agrees(window_seconds: float) -> None:
    index = Index(hits_of(range(WINDOW), [0.5]))
    stages = [{"model": "m", "weight": 0.02}]
    plan = a_plan(stages=stages, fusion={"method": "additive", "lexical": 0.0})
    scorer = Changing()
    reader = Reader(index, plan, scorer, window_seconds)
    first = await reader.page(0, 5)
    assert [(one.sure, one.scored, one.reason) for one in reader.outcomes] == [(5, 12, None)]
    scorer.reach, scorer.first = 8, -90.0
    second = await reader.page(5, 5)
    assert (reader.outcomes[1].order_kept, reader.outcomes[1].cached) == (False, False)
    assert (reader.outcomes[1].scored, reader.outcomes[1].reason) == (8, "deadline")
    # The deadline left the second page's order as it is, so the pages behind it agree with it.
    third = await reader.page(10, 10)
    assert reader.outcomes[2].order_kept or reader.outcomes[2].cached
    names = [name for name, _ in [*first, *second, *third]]
    assert sorted(names, key=int) == [str(n) for n in range(WINDOW)]
    numbers = [score for _, score in [*first, *second, *third]]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_deadline_that_came_holds_for_the_pages_behind() -> None:
    index = Index(hits_of(range(30)))
    reader = Reader(index, a_plan(), Whimsical(random.Random(1), 0.0), 0)
    await reader.page(0, 10)
    assert (reader.outcomes[0].status, reader.outcomes[0].reason) == ("failed", "deadline")
    reader.search.models.own.share = 1.0  # type: ignore[attr-defined]
    page = await reader.page(10, 10)
    assert [name for name, _ in page] == [str(n) for n in range(10, 20)]
    assert (reader.outcomes[1].reason, reader.outcomes[1].order_kept) == ("deadline", True)


@given(st.sampled_from([UpstreamBroken("gone"), ResponseTooLarge("too much"), 400]))
async def test_behind_a_page_of_opensearchs_own_come_its_own(failure: Exception | int) -> None:
    index = Index(hits_of(range(30)))
    reader = Reader(index, a_plan(), Whimsical(random.Random(1), 1.0), 0)
    # Both attempts of a search whose answer is too large.
    index.failing = [failure] * (2 if isinstance(failure, ResponseTooLarge) else 1)
    names = [name for start in (0, 10) for name, _ in await reader.page(start, 10)]
    assert names == [str(n) for n in range(20)]
    # Page 1 tries again.
    index.failing = []
    await reader.page(0, 10)
    resting = isinstance(failure, ResponseTooLarge)
    assert reader.outcomes[-1].status == ("skipped" if resting else "applied")
    if resting:
        reader.search = replace(reader.search, lessons=IndexLessons(Callers(), Metrics()))
        assert [name for name, _ in await reader.page(10, 10)] == names[10:]
        assert reader.outcomes[-1].reason == "resting"


async def test_the_orders_memory_is_bounded() -> None:
    searches = Searches(
        *[answer(BEFORE) for _ in range(100)], seconds=0, order_seconds=60, max_bytes=40_000
    )
    for number in range(100):
        await searches.page(page_request(0, 5, query={"match": {"body": f"red {number}"}}))
        held = searches.metrics.registry.get_sample_value("rescore_window_bytes")
        assert held is not None
        assert 0 < held <= 10_000
