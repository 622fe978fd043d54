"""Carries out one search of the page, as the proxy would, and notes its steps."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pipelines.plan import Plan
from pipelines.scoring import Scorers
from sidecar.config.main_file import Config
from sidecar.event_loop.off_loop import off_loop
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.default_pipelines import DefaultPipelines
from sidecar.opensearch.exchange import BODY_LIMIT, ForwardUnchanged, decode_answer
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.rescore_section import (
    NO_SECTION,
    RescoreSection,
    SectionMistake,
    cut_rescore_section,
)
from sidecar.opensearch.search import search_and_rescore
from sidecar.page.hit_texts import show_source
from sidecar.page.reason_fixes import describe_outcome
from sidecar.page.recording import (
    RecordedSearch,
    RecordingCutter,
    RecordingExchanger,
    RecordingScorers,
)
from sidecar.page.refusals import PageRefusal
from sidecar.page.requests import MOST_HITS, PageSearch, ShownFields
from sidecar.page.window_parts import describe_window
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Exchanger, Request, Response
from sidecar.relay.heads import parse_request_head, parse_response_head

AT_ONCE: Final = 4
_WAITING: Final = 64
_PATIENCE_MS: Final = 60_000
_MESSAGE: Final = 500


@dataclass(frozen=True, slots=True)
class PageSearches:
    """Searches for the page; at most `AT_ONCE` at a time, so that applications keep the models."""

    config: Config
    upstream: Exchanger
    models: Callable[[], Scorers | None]
    passage_cutter: PassageCutter
    lessons: IndexLessons
    default_pipelines: DefaultPipelines
    turns: asyncio.Semaphore
    waiting: list[None]

    async def run(self, asked: PageSearch, account: bytes | None) -> bytes:
        """The answer to one search as JSON. Raises PageRefusal."""
        if len(self.waiting) >= _WAITING:
            raise PageRefusal("busy", "too many searches of the page are waiting; try again")
        self.waiting.append(None)
        try:
            async with self.turns:
                return await self._run(asked, account)
        finally:
            self.waiting.pop()

    async def _run(self, asked: PageSearch, account: bytes | None) -> bytes:
        recorded = RecordedSearch()
        upstream = RecordingExchanger(self.upstream, recorded)
        request = self._write_request(asked, account)
        started = time.perf_counter()
        request, section = await cut_rescore_section(request, self.config.main.limits)
        plan, outcome = None, None
        if asked.plan is None:
            response = await _exchange(request, upstream)
        else:
            plan = self._plan(asked)
            context = self._context(asked.plan, plan, section, recorded, upstream)
            reply, outcome = await search_and_rescore(request, context)
            if isinstance(reply, Answer):
                response = Response(parse_response_head(reply.head), reply.body)
            else:
                response = await _exchange(reply.instead or request, upstream)
        ms = (time.perf_counter() - started) * 1000
        if response.head.status != 200:
            raise _refusal(response.head.status, response.body)
        content = await _decode(response)

        def write() -> bytes:
            whole = _read_answer(content, asked.shown)
            whole |= {
                "plan": asked.plan,
                "outcome": None if outcome is None else describe_outcome(outcome),
                "steps": _list_steps(recorded, ms),
                "ms": ms,
                "window": None,
            }
            if plan is not None and asked.parts != "none":
                shown = asked.shown if asked.parts == "all" else None
                split = self.passage_cutter.split
                whole["window"] = describe_window(recorded, plan, shown, split)
            # In ASCII: a document may have half a surrogate pair, which is no UTF-8.
            return json.dumps(whole, separators=(",", ":")).encode()

        return await off_loop(len(content) + 1, write, 0)

    def _plan(self, asked: PageSearch) -> Plan:
        plan = self.config.plans.get(asked.plan or "")
        if plan is None:
            raise PageRefusal("request", f"there is no plan {asked.plan}")
        update: dict[str, Any] = {"enabled": True}
        if asked.patient:
            update["deadline_ms"] = max(plan.deadline_ms, _PATIENCE_MS)
        return plan.model_copy(update=update)

    def _context(
        self,
        plan_name: str,
        plan: Plan,
        section: RescoreSection | SectionMistake,
        recorded: RecordedSearch,
        upstream: Exchanger,
    ) -> SearchContext:
        models = self.models()
        if models is None:
            raise PageRefusal("busy", "the models are still being loaded; try again in a moment")
        return SearchContext(
            plan_name,
            plan,
            upstream,
            RecordingScorers(models, recorded),
            RecordingCutter(self.passage_cutter, recorded),
            self.config.main.limits,
            self.lessons,
            on_rescored=recorded.note_result,
            # What the body says of a plan does not count here, as the page names one.
            section=NO_SECTION
            if isinstance(section, SectionMistake)
            else replace(section, off=None, plan=None),
            pipelines=self.config.main.upstream.pipelines,
            default_pipelines=self.default_pipelines,
        )

    def _write_request(self, asked: PageSearch, account: bytes | None) -> Request:
        members = {key: value for key, value in asked.body.items() if key != "from"}
        try:
            body = json.dumps({**members, "size": asked.size}, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise PageRefusal("request", "the body is not JSON that OpenSearch reads") from None
        if len(body) > self.config.main.limits.search_bytes:
            raise PageRefusal("request", "the body is larger than limits.search_bytes")
        host = urlsplit(self.config.main.upstream.urls[0]).netloc.rpartition("@")[2]
        lines = [
            f"POST /{quote(asked.index, safe=',*-_.')}/_search HTTP/1.1".encode(),
            b"Host: " + host.encode(),
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
        ]
        if account is not None:
            lines.append(b"Authorization: " + account)
        return Request(parse_request_head(b"\r\n".join([*lines, b"", b""])), body)


def create_searches(
    config: Config,
    upstream: Exchanger,
    models: Callable[[], Scorers | None],
    passage_cutter: PassageCutter,
    metrics: Metrics,
) -> PageSearches:
    """Searches with lessons of their own: the page's windows differ from the applications'."""
    callers = Callers()
    lessons, defaults = IndexLessons(callers, metrics), DefaultPipelines(callers, metrics)
    turns = asyncio.Semaphore(AT_ONCE)
    return PageSearches(config, upstream, models, passage_cutter, lessons, defaults, turns, [])


async def _exchange(request: Request, upstream: Exchanger) -> Response:
    try:
        message = request.head.write_with_body(request.body)
        return await upstream.exchange(*message, limit=BODY_LIMIT)
    except UpstreamError:
        raise PageRefusal("opensearch", "OpenSearch cannot be reached") from None


async def _decode(response: Response) -> bytes:
    try:
        content, _ = await decode_answer(response)
    except ForwardUnchanged as error:
        if error.reason == "busy":
            raise PageRefusal("busy", "the sidecar has too much to do; try again") from None
        raise PageRefusal("opensearch", "OpenSearch's answer cannot be read") from None
    return content


def _refusal(status: int, content: bytes) -> PageRefusal:
    if status in (401, 403):
        words = "does not know this account" if status == 401 else "refuses this account the index"
        return PageRefusal("account", f"OpenSearch {words} (status {status})")
    try:
        error = json.loads(content)["error"]
        causes = [*error.get("root_cause", []), error]
        reason = str(causes[0].get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        reason = ""
    message = f"OpenSearch answered {status}" + (f": {reason[:_MESSAGE]}" if reason else "")
    return PageRefusal("opensearch", message)


def _read_answer(content: bytes, shown: ShownFields) -> dict[str, Any]:
    """The hits of an answer in its order, and their number."""
    try:
        found = json.loads(content)["hits"]
        total = found.get("total")
        hits = [
            {
                "id": str(hit["_id"]),
                "index": str(hit["_index"]),
                "score": hit.get("_score"),
                **show_source(hit.get("_source"), shown),
            }
            for hit in found["hits"][:MOST_HITS]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PageRefusal("opensearch", "OpenSearch's answer cannot be read") from None
    return {"hits": hits, "total": total.get("value") if isinstance(total, Mapping) else total}


def _list_steps(recorded: RecordedSearch, ms: float) -> list[dict[str, Any]]:
    """What took how long, in milliseconds, in the order of the steps."""
    steps: list[tuple[str, float]] = [("OpenSearch", sum(recorded.exchange_ms))]
    if recorded.cut_ms is not None:
        steps.append(("choosing passages", recorded.cut_ms))
    steps += [(f"model {stage.model}", stage.ms) for stage in recorded.stages]
    rest = max(0.0, ms - sum(one for _, one in steps))
    return [{"name": name, "ms": one} for name, one in [*steps, ("all else", rest)]]
