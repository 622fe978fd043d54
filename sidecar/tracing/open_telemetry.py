"""The tracer that exports spans over OTLP.

Only this file and `span_export.py` import OpenTelemetry.

A request's span begins with the request, because only then its trace id and the sampler's decision
are known. The spans of its steps are made after its answer is sent, from the record: making a span
takes about 20 us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sidecar.metrics import Metrics
from sidecar.tracing.span_attributes import (
    Attribute,
    SpanAttributes,
    describe_nodes,
    describe_step,
    is_exchange,
)
from sidecar.tracing.span_export import (
    CLOSE_SECONDS,
    WatchedExporter,
    build_exporter,
    run_bounded,
)
from sidecar.tracing.steps import RequestSteps, Step
from sidecar.tracing.trace_parents import TraceParent, read_trace_parent
from sidecar.tracing.tracers import Trace

_SERVICE: Final = "rescore-sidecar"


class OpenTelemetryTracer:
    """A tracer with a provider of its own; the process's global one stays as it is."""

    exports = True

    def __init__(
        self,
        environment: Mapping[str, str],
        metrics: Metrics,
        nodes: tuple[str, ...],
    ) -> None:
        """See `start_tracing`. The sampler, the limits and the queue read their own variables."""
        resource: dict[str, str] = {"service.version": version("rescore-sidecar")}
        named = "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
        if not environment.get("OTEL_SERVICE_NAME") and not named:
            resource["service.name"] = _SERVICE
        exporter = WatchedExporter(build_exporter(environment), metrics)
        self._provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sidecar", version("rescore-sidecar"))
        self._propagator = TraceContextTextMapPropagator()
        self._nodes = describe_nodes(nodes)

    def begin(self, parent: TraceParent | None, internal: bool = False) -> Trace:
        """See `Tracer.begin`."""
        # Without a parent, an empty context: the process may have a span of its own.
        context = Context()
        if parent is not None:
            carrier = {"traceparent": parent.traceparent, "tracestate": parent.tracestate}
            context = self._propagator.extract(carrier, context)
        kind = SpanKind.INTERNAL if internal else SpanKind.SERVER
        span = self._tracer.start_span("request", context=context, kind=kind)
        return SpanTrace(self._tracer, self._propagator, span, self._nodes)

    def replace_nodes(self, nodes: tuple[str, ...]) -> None:
        """See `Tracer.replace_nodes`."""
        self._nodes = describe_nodes(nodes)

    async def close(self) -> None:
        """See `Tracer.close`."""
        await run_bounded(self._provider.shutdown, CLOSE_SECONDS)


class SpanTrace:
    """One request's spans."""

    def __init__(
        self,
        tracer: trace.Tracer,
        propagator: TraceContextTextMapPropagator,
        span: Span,
        nodes: Mapping[str, Attribute],
    ) -> None:
        self._tracer = tracer
        self._propagator = propagator
        self._span = span
        self._nodes = nodes
        self.trace_id: str | None = f"{span.get_span_context().trace_id:032x}"
        self.sampled = bool(span.get_span_context().trace_flags.sampled)

    @property
    def parent_of_later(self) -> TraceParent | None:
        """See `Trace.parent_of_later`."""
        carrier: dict[str, str] = {}
        context = trace.set_span_in_context(self._span, Context())
        self._propagator.inject(carrier, context)
        return read_trace_parent(
            [carrier["traceparent"].encode()],
            [state.encode() for state in (carrier.get("tracestate"),) if state],
        )

    def end(self, steps: RequestSteps, span: SpanAttributes) -> None:
        """See `Trace.end`: the spans are made in the loop's next turn, after the answer."""
        if self._span.is_recording():
            asyncio.get_running_loop().call_soon(self._write, steps, span)

    def _write(self, steps: RequestSteps, span: SpanAttributes) -> None:
        root = self._span
        root.update_name(span.name)
        root.set_attributes(span.attributes)
        if span.failed:
            root.set_status(StatusCode.ERROR)
        waiting: list[tuple[Step, Span]] = [(step, root) for step in steps.children]
        while waiting:
            step, parent = waiting.pop()
            if step.end is None:
                continue
            child = self._tracer.start_span(
                step.name,
                context=trace.set_span_in_context(parent, Context()),
                kind=SpanKind.CLIENT if is_exchange(step) else SpanKind.INTERNAL,
                attributes=describe_step(step, self._nodes),
                start_time=steps.wall_time(step.start),
            )
            if step.error is not None:
                child.set_status(StatusCode.ERROR)
            waiting += [(below, child) for below in step.children]
            child.end(steps.wall_time(step.end))
        root.end(steps.wall_time(steps.end if steps.end is not None else steps.start))
