"""The seam to a tracing library. Which tracer serves is decided once, at the start."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Protocol

from sidecar.metrics import Metrics
from sidecar.tracing.span_attributes import SpanAttributes
from sidecar.tracing.steps import RequestSteps
from sidecar.tracing.trace_parents import TraceParent

_log: Final = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Trace(Protocol):
    """A request's part of a trace."""

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None if the request belongs to no trace."""
        ...

    @property
    def sampled(self) -> bool:
        """Whether the trace is stored somewhere, so that its id leads to it."""
        ...

    @property
    def parent_of_later(self) -> TraceParent | None:
        """The parent of work that the request leaves behind; None if it belongs to no trace."""
        ...

    def end(self, steps: RequestSteps, span: SpanAttributes) -> None:
        """Export the request and its steps. Returns within a few microseconds."""
        ...


class Tracer(Protocol):
    """Makes the spans of requests. Belongs to one event loop."""

    @property
    def exports(self) -> bool:
        """Whether spans leave the process."""
        ...

    def begin(self, parent: TraceParent | None, internal: bool = False) -> Trace:
        """Begin a server's span below the client's span, or the first one of a new trace.

        `internal`: the span of work for which no client waits.
        """
        ...

    def replace_nodes(self, nodes: tuple[str, ...]) -> None:
        """From now on, requests begin with these URLs of OpenSearch."""
        ...

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class NoTrace:
    """A request that is not exported; it may belong to the trace of a client."""

    trace_id: str | None = None
    sampled: bool = False
    parent_of_later: TraceParent | None = None

    def end(self, steps: RequestSteps, span: SpanAttributes) -> None:
        """Does nothing."""


_NO_TRACE: Final = NoTrace()


class NoTracer:
    """The tracer that exports nothing, and needs no library."""

    exports = False

    def begin(self, parent: TraceParent | None, internal: bool = False) -> Trace:
        """The client's trace, so that log lines can name it."""
        return _NO_TRACE if parent is None else NoTrace(parent.trace_id, parent.sampled, parent)

    def replace_nodes(self, nodes: tuple[str, ...]) -> None:
        """Does nothing: no span names them."""

    async def close(self) -> None:
        """There is nothing to send."""


def start_tracing(
    environment: Mapping[str, str], metrics: Metrics, nodes: tuple[str, ...]
) -> Tracer:
    """The tracer that OpenTelemetry's variables ask for.

    `nodes` are the URLs of OpenSearch. Spans are exported if an OTLP endpoint is set, unless
    `OTEL_SDK_DISABLED` or `OTEL_TRACES_EXPORTER` says otherwise.
    """
    if not _asks_for_traces(environment):
        return NoTracer()
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        _log.warning(
            "no traces are exported: %s is set, but OpenTelemetry is not installed; install "
            "rescore-sidecar[otel]",
            next(name for name in _ENDPOINTS if environment.get(name)),
        )
        return NoTracer()
    from sidecar.tracing.open_telemetry import OpenTelemetryTracer

    try:
        return OpenTelemetryTracer(environment, metrics, nodes)
    except Exception as error:
        # A wrong variable must not stop the proxy; the values may be secret.
        _log.warning("no traces are exported: OpenTelemetry refuses (%s)", type(error).__name__)
        return NoTracer()


def _asks_for_traces(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environment.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    if "otlp" not in (exporter.strip() for exporter in exporters):
        return False
    return any(environment.get(name, "").strip() for name in _ENDPOINTS)
