"""Runs a query set against a search address, and judges one order against another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from aiohttp import ClientError, ClientSession

from pipelines.measures import mean_over_queries, ndcg, reciprocal_rank

CUT = 10
"""All measures here look at the first ten hits: the page that people see."""

Qrels = Mapping[str, Mapping[str, int]]


class SearchFailed(Exception):
    """A search of an evaluation had no usable answer; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one search returned: ids in their order, the time it took, and `X-Rescore`."""

    ranked_ids: tuple[str, ...]
    seconds: float
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Quality:
    """One side's measures, means over every judged query; times over every search."""

    ndcg: float
    reciprocal_rank: float
    median_ms: float
    mean_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs over the same judged queries.

    `gains`: by query id, the rescored order's nDCG less the direct one's. `outcomes`: how many
    searches had which status, `applied` or `partial reason=deadline` and the like.
    """

    direct: Quality
    rescored: Quality
    gains: Mapping[str, float]
    outcomes: Mapping[str, int]

    @property
    def helped(self) -> int:
        """Queries that rescoring made better."""
        return sum(gain > 0 for gain in self.gains.values())

    @property
    def harmed(self) -> int:
        """Queries that rescoring made worse."""
        return sum(gain < 0 for gain in self.gains.values())


async def run_queries(
    session: ClientSession,
    search_url: str,
    bodies: Mapping[str, Mapping[str, Any]],
    *,
    concurrency: int = 1,
    on_answer: Callable[[], object] = lambda: None,
) -> dict[str, Answer]:
    """Send every body, by query id, to a `_search` address; at most `concurrency` at a time.

    Times are comparable only when `concurrency` is the same. Raises SearchFailed for the first
    search without an answer, and sends no more then.
    """
    answers: dict[str, Answer] = {}
    waiting = iter(bodies.items())

    async def work(mine: Iterator[tuple[str, Mapping[str, Any]]]) -> None:
        for query, body in mine:
            answers[query] = await _search(session, search_url, body)
            on_answer()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                # All workers take from one iterator, so none is left with a long rest.
                group.create_task(work(waiting))
    except* SearchFailed as failed:
        first = failed.exceptions[0]
        raise first from None
    return answers


async def _search(session: ClientSession, url: str, body: Mapping[str, Any]) -> Answer:
    started = time.perf_counter()
    try:
        async with session.post(url, json=body) as response:
            text = await response.text()
            seconds = time.perf_counter() - started
            if response.status != 200:
                raise SearchFailed(f"{url}: status {response.status}: {text[:200]}")
            hits = (await response.json())["hits"]["hits"]
            outcome = response.headers.get("X-Rescore")
    except (ClientError, TimeoutError) as error:
        raise SearchFailed(f"{url}: {error or type(error).__name__}") from None
    return Answer(tuple(hit["_id"] for hit in hits), seconds, outcome)


def compare(
    qrels: Qrels, direct: Mapping[str, Answer], rescored: Mapping[str, Answer]
) -> Comparison:
    """Judge both runs; a query that is judged and missing from a run counts 0 there."""
    gains = {
        query: ndcg(grades, _ids(rescored, query), CUT) - ndcg(grades, _ids(direct, query), CUT)
        for query, grades in qrels.items()
    }
    outcomes = Counter(_status(answer.outcome) for answer in rescored.values())
    return Comparison(_judge(qrels, direct), _judge(qrels, rescored), gains, outcomes)


def _judge(qrels: Qrels, run: Mapping[str, Answer]) -> Quality:
    ranked = {query: answer.ranked_ids for query, answer in run.items()}
    milliseconds = [answer.seconds * 1000 for answer in run.values()]
    return Quality(
        ndcg=mean_over_queries(ndcg, qrels, ranked, CUT),
        reciprocal_rank=mean_over_queries(reciprocal_rank, qrels, ranked, CUT),
        median_ms=median(milliseconds),
        mean_ms=fmean(milliseconds),
    )


def _ids(run: Mapping[str, Answer], query: str) -> tuple[str, ...]:
    return run[query].ranked_ids if query in run else ()


def _status(outcome: str | None) -> str:
    """`applied` or `skipped reason=sort` out of an `X-Rescore` header."""
    if outcome is None:
        return "not routed"
    status, *rest = (part.strip() for part in outcome.split(";"))
    reasons = [part for part in rest if part.startswith("reason=")]
    return " ".join([status, *reasons])
