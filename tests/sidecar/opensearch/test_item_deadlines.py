"""The items of an `_msearch` share the time; no item uses up that of the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.hits import Hit
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages
from sidecar.config.limits import Limits
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.interleaved_rescoring import Interleave
from sidecar.opensearch.item_deadlines import ItemDeadlines
from sidecar.opensearch.multi_search import FollowUps, search_all_and_rescore
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.front import Request
from sidecar.relay.heads import parse_request_head
from tests.one_scorer import OneScorer
from tests.sidecar.opensearch.test_multi_search import Backwards, Upstream, answer, response


def plan(deadline_ms: int) -> Plan:
    return Plan.model_validate(
        {
            "deadline_ms": deadline_ms,
            "document": {"body": "t"},
            "stages": [{"model": "m"}],
            "fusion": {"method": "replace"},
        }
    )


@dataclass(slots=True)
class SlowWindows:
    """A window cutter with a clock, which stands still except here: windows with the word `slow`
    take all the time that they have, and others take none. Records what each window has."""

    now: float = 100.0
    given_ms: list[int] = field(default_factory=list)
    cutter: PassageCutter = field(default_factory=lambda: PassageCutter(1 << 20))

    async def choose_passages(
        self,
        plan: Plan,
        query_text: str,
        hits: Sequence[Hit],
        deadline: float | None = None,
        *,
        partly: bool = False,
    ) -> ChosenPassages:
        self.given_ms.append(plan.deadline_ms)
        if any("slow" in str(hit.source) for hit in hits):
            self.now += plan.deadline_ms / 1000
        return await self.cutter.choose_passages(plan, query_text, hits)


def create_context(
    deadline_ms: int, cutter: SlowWindows, upstream: Upstream | None = None
) -> SearchContext:
    lessons = IndexLessons(Callers(), Metrics())
    models = OneScorer(Backwards())
    sender = upstream or Upstream(b"")
    return SearchContext("p", plan(deadline_ms), sender, models, cutter, Limits(), lessons)


async def ask(*items: str, **deadlines_ms: int) -> tuple[list[int], list[str]]:
    """The times of the items that got some, in the order of their turns, and all statuses.

    An item is `INDEX WORD`; `none` has no hits. `deadlines_ms` is by index.
    """
    windows = SlowWindows()
    responses: list[dict[str, Any]] = []
    for item in items:
        one = response("" if item.endswith("none") else "xyz")
        for hit in one["hits"]["hits"]:
            hit["_source"]["t"] += f" {item}"
        responses.append(one)
    upstream = Upstream(answer(*responses))
    query = {"query": {"match": {"t": "red"}}}
    lines = [line for item in items for line in ({"index": item.split()[0]}, query)]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    head = b"POST /_msearch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n\r\n"

    def context_of(names: Sequence[str], section: object = None) -> SearchContext:
        return create_context(deadlines_ms[names[0]], windows, upstream)

    _, outcomes = await search_all_and_rescore(
        Request(parse_request_head(head), body),
        (),
        context_of,
        Limits(),
        FollowUps(),
        clock=lambda: windows.now,
    )
    return windows.given_ms, [one.reason or one.status for one in outcomes]


async def test_a_slow_item_leaves_each_other_item_its_share() -> None:
    given_ms, outcomes = await ask("a slow", "a slow", "a slow", "a slow", a=8000)
    assert given_ms == [2000] * 4
    assert outcomes == ["applied"] * 4


async def test_time_that_an_item_does_not_use_goes_to_those_behind_it() -> None:
    given_ms, _ = await ask("a quick", "a slow", "a quick", "a slow", a=8000)
    # 8000 / 4; then 8000 / 3, 5334 / 2, and all that is left.
    assert given_ms == [2000, 2666, 2667, 5334]


async def test_items_that_want_no_model_take_no_share() -> None:
    given_ms, outcomes = await ask("a none", "a slow", "a none", "a slow", a=8000)
    assert given_ms == [4000, 4000]
    assert outcomes == ["no_hits", "applied", "no_hits", "applied"]


async def test_an_item_with_a_late_deadline_does_not_use_up_an_early_one() -> None:
    given_ms, outcomes = await ask("late slow", "early slow", late=9000, early=1000)
    assert given_ms == [500, 8500]
    assert outcomes == ["applied"] * 2


def test_what_is_left_is_at_least_a_millisecond_or_nothing() -> None:
    contexts = {place: create_context(1000, SlowWindows()) for place in range(3)}
    deadlines = ItemDeadlines(contexts, {0, 1, 2})
    shortened = deadlines.take(0, 998.5)
    assert shortened is not None
    assert shortened.plan.deadline_ms == 1
    assert deadlines.take(1, 999.5) is None
    assert deadlines.take(2, 5000) is None


def test_both_plans_of_an_interleave_lose_the_same_share() -> None:
    interleave = Interleave(("a", "b"), (plan(3000), plan(1000)), b"caller")
    context = replace(create_context(3000, SlowWindows()), interleave=interleave)
    deadlines = ItemDeadlines({0: context, 1: context}, {0, 1})
    shortened = deadlines.take(0, 2000)
    assert shortened is not None
    assert shortened.interleave is not None
    # 4000 ms together, of which 2000 are gone and half of the rest is for the other item.
    assert [one.deadline_ms for one in shortened.interleave.plans if one] == [750, 250]
