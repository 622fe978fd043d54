"""Runs a query set against a search address, and reads the `X-Rescore` header of each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession

# A search that is always late, without a further hit being scored, is not repeated forever.
_LATE = ("reason=deadline", "reason=overload")
_PAUSE_SECONDS = 0.05
_IDLE_TRIES = 10
_LATE_QUERIES = 3


class SearchFailed(Exception):
    """A search of an evaluation had no usable answer; the message says why."""


@dataclass(frozen=True, slots=True)
class RankedAnswer:
    """What one search returned: ids in their order, its duration, and its `X-Rescore` header."""

    ranked_ids: tuple[str, ...]
    seconds: float
    outcome: str | None

    @property
    def status(self) -> str:
        """Such as `applied` or `skipped reason=sort`; `not routed` without the header."""
        if self.outcome is None:
            return "not routed"
        status, *rest = (part.strip() for part in self.outcome.split(";"))
        reasons = [part for part in rest if part.startswith("reason=")]
        return " ".join([status, *reasons])

    @property
    def scored(self) -> int:
        """How many hits a model scored."""
        for part in (self.outcome or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "scored" and value.isdecimal():
                return int(value)
        return 0


async def run_queries(
    session: ClientSession,
    search_url: str,
    bodies: Mapping[str, Mapping[str, Any]],
    *,
    concurrency: int = 1,
    on_answer: Callable[[], object] = lambda: None,
) -> dict[str, RankedAnswer]:
    """Send every body, by query id, to a `_search` address; at most `concurrency` at a time.

    Times are comparable only if `concurrency` is the same. Raises SearchFailed for the first
    search without an answer, and then sends no more.
    """
    answers: dict[str, RankedAnswer] = {}
    waiting = iter(bodies.items())

    async def work(mine: Iterator[tuple[str, Mapping[str, Any]]]) -> None:
        for query, body in mine:
            answers[query] = await _search(session, search_url, body)
            on_answer()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                # All workers take from one iterator, so they finish at about the same time.
                group.create_task(work(waiting))
    except* SearchFailed as failed:
        first = failed.exceptions[0]
        raise first from None
    return {query: answers[query] for query in bodies}


async def warm_up(
    session: ClientSession,
    search_url: str,
    bodies: Mapping[str, Mapping[str, Any]],
    *,
    on_answer: Callable[[], object] = lambda: None,
) -> None:
    """Search with every body, and repeat each search for as long as its rescoring is late.

    Afterwards the sidecar has read every passage that these searches need, if it stores passage
    vectors. A model that makes no progress within its deadline is not waited for. Raises
    SearchFailed.
    """
    late_queries = 0
    for body in bodies.values():
        best = idle = -1
        while idle < _IDLE_TRIES:
            answer = await _search(session, search_url, body)
            if not answer.status.endswith(_LATE) or late_queries >= _LATE_QUERIES:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
            idle = 0 if answer.scored > best else idle + 1
            best = max(best, answer.scored)
        else:
            late_queries += 1
        on_answer()


async def _search(session: ClientSession, url: str, body: Mapping[str, Any]) -> RankedAnswer:
    started = time.perf_counter()
    try:
        async with session.post(url, json=body) as response:
            text = await response.text()
            seconds = time.perf_counter() - started
            if response.status != 200:
                raise SearchFailed(f"{url}: status {response.status}: {text[:200]}")
            hits = (await response.json())["hits"]["hits"]
            # Several indexes may have the same id, but judgments have it only once.
            ids = tuple(dict.fromkeys(hit["_id"] for hit in hits))
            outcome = response.headers.get("X-Rescore")
    except (ClientError, TimeoutError) as error:
        raise SearchFailed(f"{url}: {error or type(error).__name__}") from None
    except (ValueError, KeyError, TypeError):
        raise SearchFailed(f"{url}: the answer is not a search response: {text[:200]}") from None
    return RankedAnswer(ids, seconds, outcome)
