"""Runs a query set against a search address, and reads what `X-Rescore` says of each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession

# A search that is late every time, and no hit better than before, is not tried for ever.
_LATE = ("reason=deadline", "reason=overload")
_PAUSE_SECONDS = 0.05
_IDLE_TRIES = 10
_LATE_QUERIES = 3


class SearchFailed(Exception):
    """A search of an evaluation had no usable answer; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one search returned: ids in their order, the time it took, and `X-Rescore`."""

    ranked_ids: tuple[str, ...]
    seconds: float
    outcome: str | None

    @property
    def status(self) -> str:
        """`applied`, or `skipped reason=sort` and the like; `not routed` without the header."""
        if self.outcome is None:
            return "not routed"
        status, *rest = (part.strip() for part in self.outcome.split(";"))
        reasons = [part for part in rest if part.startswith("reason=")]
        return " ".join([status, *reasons])

    @property
    def scored(self) -> int:
        """How many hits a model gave a score."""
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
    return {query: answers[query] for query in bodies}


async def warm_up(
    session: ClientSession,
    search_url: str,
    bodies: Mapping[str, Mapping[str, Any]],
    *,
    on_answer: Callable[[], object] = lambda: None,
) -> None:
    """Search with every body, again and again while its rescoring comes too late.

    Afterwards the sidecar has read every passage that these searches want, if it keeps what it
    reads. A model that gets no further within its deadline is not waited for. Raises
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


async def _search(session: ClientSession, url: str, body: Mapping[str, Any]) -> Answer:
    started = time.perf_counter()
    try:
        async with session.post(url, json=body) as response:
            text = await response.text()
            seconds = time.perf_counter() - started
            if response.status != 200:
                raise SearchFailed(f"{url}: status {response.status}: {text[:200]}")
            hits = (await response.json())["hits"]["hits"]
            # Several indexes may hold the same id; judgments know only one of them.
            ids = tuple(dict.fromkeys(hit["_id"] for hit in hits))
            outcome = response.headers.get("X-Rescore")
    except (ClientError, TimeoutError) as error:
        raise SearchFailed(f"{url}: {error or type(error).__name__}") from None
    except (ValueError, KeyError, TypeError):
        raise SearchFailed(f"{url}: the answer is not a search response: {text[:200]}") from None
    return Answer(ids, seconds, outcome)
