"""Reports searches: times of their steps in the metrics, a line in the log, spans of a trace.

All three read the same record, `sidecar/tracing/steps.py`, when the search has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from sidecar.config.logs import LogSettings
from sidecar.config.main_file import Address
from sidecar.log_output import SEARCHES
from sidecar.metrics import Metrics
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.routes import SearchCall, read_search_call
from sidecar.relay.front import Answer, Forward
from sidecar.relay.heads import RequestHead
from sidecar.tracing.span_attributes import Attribute, SpanAttributes, describe_request
from sidecar.tracing.steps import RequestSteps, record_step
from sidecar.tracing.trace_parents import TraceParent, read_trace_parent
from sidecar.tracing.tracers import Tracer

_log: Final = logging.getLogger(SEARCHES)

LONGEST_QUERY_TEXT: Final = 500
LONGEST_INDEX: Final = 200
"""Characters of a line in the log; the rest is left out."""


class SearchReports:
    """Begins the reports of requests with searches."""

    def __init__(
        self, metrics: Metrics, tracer: Tracer, log: LogSettings, server: Address, max_names: int
    ) -> None:
        """`server`: the proxy's address. `max_names`: the bound of index lists."""
        self.metrics = metrics
        self.tracer = tracer
        self.log = log
        self.server = server
        self.max_names = max_names

    def begin(self, head: RequestHead) -> SearchReport:
        """The report of one request, for a `with` statement."""
        traceparents = head.get_all(b"traceparent")
        parent = None
        if traceparents:
            parent = read_trace_parent(traceparents, head.get_all(b"tracestate"))
        return SearchReport(self, head, parent)


class SearchReport:
    """One request with searches, from its whole body to its whole answer.

    If the `with` statement ends without `finish`, its client has left: only the trace shows this.
    The report of a request that is forwarded unchanged ends later, when the relay says so.
    """

    __slots__ = (
        *("_error", "_head", "_outcomes", "_reports", "_shadow", "_status", "_steps", "_trace"),
        "_waits",
    )

    def __init__(
        self,
        reports: SearchReports,
        head: RequestHead,
        parent: TraceParent | None,
        shadow: bool = False,
    ) -> None:
        self._reports = reports
        self._head = head
        self._steps = RequestSteps("request")
        self._shadow = shadow
        self._trace = reports.tracer.begin(parent, internal=shadow)
        self._outcomes: Sequence[Outcome] = ()
        self._status = 0  # of the client's answer
        self._error = ""
        self._waits = False  # for the end of a forwarded request

    @property
    def sampled_trace_id(self) -> str | None:
        """The trace's id if the trace is stored somewhere, for an exemplar."""
        return self._trace.trace_id if self._trace.sampled else None

    def begin_shadow(self) -> SearchReport:
        """The report of a shadow of this request, which is only a span, below the request's."""
        return SearchReport(self._reports, self._head, self._trace.parent_of_later, shadow=True)

    def finish(self, reply: Forward | Answer, outcomes: Sequence[Outcome]) -> Forward | Answer:
        """Take the outcome of each search that has a route; returns the reply for the relay."""
        self._outcomes = outcomes
        if isinstance(reply, Forward):
            self._waits = True
            return replace(reply, ended=self._end_forward)
        self._status = int(reply.head[9:12])
        return reply

    def finish_shadow(self, outcome: Outcome) -> None:
        """Take the outcome of a shadow."""
        self._outcomes = (outcome,)

    def __enter__(self) -> Self:
        self._steps.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._steps.__exit__(kind, error, traceback)
        if kind is not None or not self._waits:
            self._end()

    def _end_forward(self, status: int, error: str) -> None:
        steps, now = self._steps, monotonic()
        forwarded = now if steps.end is None else steps.end
        exchange = record_step(steps, "upstream", forwarded, now, error or None)
        exchange.note("request_line", self._head.method + b" " + self._head.target)
        if status:
            exchange.note("http_status", status)
        steps.end = now
        self._status, self._error = status, error
        self._end()

    def _end(self) -> None:
        reports, steps = self._reports, self._steps
        if not self._shadow:
            seconds = steps.seconds_by_name()
            trace_id = self.sampled_trace_id
            for name, value in seconds.items():
                reports.metrics.step_seconds.observe(name, value, trace_id)
            if reports.log.searches != "off":
                self._write_lines(seconds)
        if reports.tracer.exports:
            self._trace.end(steps, self._describe())

    def _call(self) -> SearchCall | None:
        head = self._head
        return read_search_call(head.method, head.target, self._reports.max_names)

    def _write_lines(self, seconds: dict[str, float]) -> None:
        settings = self._reports.log
        call = self._call()
        index = "" if call is None else ",".join(call.names)[:LONGEST_INDEX]
        for number, outcome in enumerate(self._outcomes):
            if settings.searches == "failed" and outcome.status != "failed":
                continue
            fields: dict[str, Any] = {
                "index": index,
                "plan": outcome.plan,
                "status": outcome.status,
                "reason": outcome.reason,
                "ms": round(self._steps.seconds * 1000, 2),
                "steps_ms": {name: round(value * 1000, 2) for name, value in seconds.items()},
                "window": outcome.window,
                "scored": outcome.scored,
                "student": outcome.student,
                "sure": outcome.sure,
                "trace_id": self._trace.trace_id,
            }
            if call is not None and call.endpoint.startswith("_msearch"):
                fields["search"] = number
            query_text = self._steps.facts.get("query_text")
            if settings.query_text and isinstance(query_text, str):
                fields["query_text"] = query_text[:LONGEST_QUERY_TEXT]
            _log.info("search", extra={"fields": fields})

    def _describe(self) -> SpanAttributes:
        head, call = self._head, self._call()
        method = head.method.decode("latin-1")
        path = head.target.decode("latin-1")
        attributes = describe_request(method, path, self._reports.server)
        route = "/_search"
        if call is not None:
            route = f"/{{index}}/{call.endpoint}" if call.names else f"/{call.endpoint}"
        attributes["http.route"] = route
        attributes |= _describe_outcomes(self._outcomes)
        span = SpanAttributes(f"{method} {route}", attributes)
        if self._shadow:
            span.name = f"shadow {span.name}"
            attributes["rescore.shadow"] = True
        if self._status:
            attributes["http.response.status_code"] = self._status
            span.failed = self._status >= 500
        error = self._steps.error or self._error
        if error:
            attributes["error.type"] = error
            span.failed = True
        return span


def _describe_outcomes(outcomes: Sequence[Outcome]) -> dict[str, Attribute]:
    if not outcomes:
        return {}
    if len(outcomes) > 1:
        return {
            "rescore.plan": ",".join(sorted({one.plan for one in outcomes})),
            "rescore.status": ",".join(sorted({one.status for one in outcomes})),
            "rescore.reason": ",".join(sorted({one.reason for one in outcomes if one.reason})),
            "rescore.searches": len(outcomes),
            "rescore.scored": sum(one.scored for one in outcomes),
            "rescore.student": sum(one.student for one in outcomes),
        }
    (outcome,) = outcomes
    attributes: dict[str, Attribute] = {
        "rescore.plan": outcome.plan,
        "rescore.status": outcome.status,
        "rescore.window": outcome.window,
        "rescore.scored": outcome.scored,
        "rescore.student": outcome.student,
        "rescore.sure": outcome.sure,
    }
    if outcome.cached:
        attributes["rescore.cached"] = True
    if outcome.reason is not None:
        attributes["rescore.reason"] = outcome.reason
    return attributes
