"""Searches in the shadow: rescored after the client has its answer, only to measure.

A shadow sends a widened search of its own, with the client's head. The head is dropped with the
task. Whatever fails is counted, and never reaches the client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from sidecar.adoption.order_difference import overlap, rank_biased_overlap
from sidecar.adoption.shadow_limits import ShadowAdmission
from sidecar.adoption.shadow_log import ShadowLog
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext, rescore_hits
from sidecar.opensearch.exchange import FinalAnswer, ForwardUnchanged
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.search import cut_section, read_search
from sidecar.opensearch.search_reports import SearchReport
from sidecar.opensearch.widened_search import send_widened_search
from sidecar.opensearch.window_cache import RescoredWindow
from sidecar.relay.front import Request

_log: Final = logging.getLogger("sidecar.shadow")

_MOST_TEXT: Final = 500  # characters of a query text, and of an index list, in the log


@dataclass(slots=True)
class ShadowSearches:
    """Runs shadows within their plans' limits. Belongs to one event loop.

    `lessons` are those of shadows alone: a shadow that fails must not keep live searches from being
    rescored.
    """

    admission: ShadowAdmission
    metrics: Metrics
    lessons: IndexLessons
    log: ShadowLog | None = None
    log_query_text: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _closed: bool = False

    def start(self, request: Request, context: SearchContext, report: SearchReport) -> None:
        """Rescore a search whose client has its answer, unless a limit forbids it.

        `report`: the client's search, in whose trace the shadow is.
        """
        if self._closed:
            return
        plan_name = context.plan_name
        dropped = self.admission.enter(plan_name)
        if dropped is not None:
            self.metrics.shadows.labels(plan_name, "dropped", dropped).inc()
            return
        shadow = replace(context, windows=None, on_rescored=None, lessons=self.lessons)
        task = asyncio.get_running_loop().create_task(self._run(request, shadow, report))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """Let the shadows in flight end, for this long at most, and begin no more."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await self.close()

    async def close(self) -> None:
        """Drop the shadows in flight, and write the last lines of the log."""
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.log is not None:
            await self.log.close()

    async def _run(
        self, request: Request, context: SearchContext, search_report: SearchReport
    ) -> None:
        plan_name = context.plan_name
        report: dict[str, object] = {}
        try:
            with search_report.begin_shadow() as trace:
                try:
                    outcome = await self._measure(request, context, report)
                except (ForwardUnchanged, FinalAnswer) as error:
                    outcome = Outcome(plan_name, error.status, error.reason)
                except Exception:
                    _log.exception("a shadow of plan %s failed; it is a bug", plan_name)
                    outcome = Outcome(plan_name, "failed", "error")
                trace.finish_shadow(outcome)
        finally:
            self.admission.leave(plan_name)
        self.metrics.shadows.labels(plan_name, outcome.status, outcome.reason or "").inc()
        if self.log is not None:
            self.log.write({**_describe(request, outcome), **report})

    async def _measure(
        self, request: Request, context: SearchContext, report: dict[str, object]
    ) -> Outcome:
        """Search and rescore; `report` gets what was measured."""
        metrics, plan_name = self.metrics, context.plan_name
        request, context = await cut_section(request, context)
        search_request = await read_search(request, context)
        if self.log_query_text:
            report["query"] = search_request.query_text[:_MOST_TEXT]
        keys = context.lessons.keys(request.head, search_request)
        start = time.monotonic()
        widened = await send_widened_search(search_request, context, request.head, keys)
        answered = time.monotonic()
        window = await rescore_hits(
            widened.search_response, widened.search_request, context, request.head, whole=True
        )
        ended = time.monotonic()
        for step, seconds in (("search", answered - start), ("rescore", ended - answered)):
            metrics.shadow_seconds.labels(plan_name, step).observe(seconds)
            report[f"{step}_ms"] = round(seconds * 1000, 1)
        if window.order is not None:
            difference = _compare(window)
            report |= difference
            metrics.shadow_overlap.labels(plan_name).observe(difference["overlap_at_10"])
            metrics.shadow_rank_biased_overlap.labels(plan_name).observe(
                difference["rank_biased_overlap"]
            )
            metrics.shadow_first_changed.labels(plan_name).inc(difference["first_changed"])
        return window.outcome


def _compare(window: RescoredWindow) -> dict[str, float]:
    new = [position for position, _ in window.order or ()]
    own = sorted(new)
    return {
        "overlap_at_10": overlap(own, new, 10),
        "rank_biased_overlap": round(rank_biased_overlap(own, new), 4),
        "first_changed": bool(new and new[0] != own[0]),
    }


def _describe(request: Request, outcome: Outcome) -> Mapping[str, object]:
    index = request.head.target.partition(b"?")[0].strip(b"/").rpartition(b"/")[0]
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "index": index[:_MOST_TEXT].decode("ascii", "replace"),
        "plan": outcome.plan,
        "status": outcome.status,
        "reason": outcome.reason,
        "window": outcome.window,
        "scored": outcome.scored,
    }
