"""An OTLP receiver over HTTP, and what it received."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.canned_node import serving_threads

Received: TypeAlias = "queue.SimpleQueue[ExportTraceServiceRequest]"


@contextmanager
def http_receiver(received: Received) -> Iterator[str]:
    """Receive on a free port; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with serving_threads(Handler) as url:
        yield url


def spans_of(received: Received) -> list[Any]:
    """All spans, in the order in which they came."""
    spans = []
    while not received.empty():
        message = received.get()
        for resource in message.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert names["service.name"] == "rescore-sidecar"
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    return spans


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
