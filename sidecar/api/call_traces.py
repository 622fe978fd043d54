"""A span for each call of an API on the api listener, with the steps of its models below it."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sidecar.config.main_file import Address
from sidecar.tracing.span_attributes import SpanAttributes, describe_request
from sidecar.tracing.steps import RequestSteps
from sidecar.tracing.trace_parents import TraceParent, read_trace_parent
from sidecar.tracing.tracers import Tracer

_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Machines ask for these every few seconds, and nobody looks for their spans."""


def trace_calls(tracer: Tracer, server: Address) -> list[Middleware]:
    """The middleware that makes spans; none if no span is exported."""
    if not tracer.exports:
        return []

    @web.middleware
    async def trace_call(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = None if resource is None else resource.canonical
        if route in _PROBES:
            return await handler(request)
        trace = tracer.begin(_read_parent(request))
        attributes = describe_request(request.method, request.rel_url.raw_path, server)
        span = SpanAttributes(request.method, attributes)
        if route is not None:
            attributes["http.route"] = route
            span.name = f"{request.method} {route}"
        steps = RequestSteps("request")
        try:
            with steps:
                response = await handler(request)
                status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        except BaseException as error:
            attributes["error.type"] = type(error).__name__
            span.failed, status = True, 0
            raise
        finally:
            if status:
                attributes["http.response.status_code"] = status
                span.failed = status >= 500
            trace.end(steps, span)
        return response

    return [trace_call]


def _read_parent(request: web.Request) -> TraceParent | None:
    traceparents, tracestates = (
        [value.encode("utf-8", "surrogateescape") for value in request.headers.getall(name, ())]
        for name in ("traceparent", "tracestate")
    )
    return read_trace_parent(traceparents, tracestates)
