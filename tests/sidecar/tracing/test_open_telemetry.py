"""Traces as a receiver gets them: OTLP over HTTP and over gRPC, on real sockets."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.canned_node import canned_node, serving_threads
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar
from tests.sidecar.tracing.trace_receiver import Received, attributes, http_receiver, spans_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE_ID}-00f067aa0ba902b7-00"
SEARCH = {"query": {"match": {"body": "copper kettle handle"}}}
PLANS = {"words": {"document": {"body": "body"}, "deadline_ms": 20_000}}


@contextmanager
def grpc_receiver(received: Received) -> Iterator[str]:
    class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, message: ExportTraceServiceRequest, context: Any) -> Any:
            received.put(message)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def search(sidecar: Sidecar, **fields: str) -> RawResponse:
    return request(sidecar.proxy, "POST", "/docs/_search?preference=secret", SEARCH, fields)


@pytest.mark.parametrize(
    ("protocol", "receiver"), [("http/protobuf", http_receiver), ("grpc", grpc_receiver)]
)
def test_a_search_is_a_tree_of_spans_in_the_clients_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: Any
) -> None:
    received: Received = queue.SimpleQueue()
    with receiver(received) as url, canned_node() as node:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        with running_sidecar(tmp_path, node, PLANS, {"docs": "words"}) as sidecar:
            answer = search(sidecar, traceparent=PARENT, Authorization="Basic c2VjcmV0")
            assert "applied" in answer.values("x-rescore")[0]
            # Not sampled by the client: no span of it is exported.
            search(sidecar, traceparent=UNSAMPLED)
            request(sidecar.api, "GET", "/healthz")
            body = {"query": "copper kettle", "documents": ["a copper kettle", "secret text"]}
            assert request(sidecar.api, "POST", "/v1/rerank", body).status == 200
    spans = spans_of(received)
    roots = {span.name: span for span in spans if span.kind == span.SPAN_KIND_SERVER}
    assert roots.keys() == {"POST /{index}/_search", "POST /v1/rerank"}

    root = roots["POST /{index}/_search"]
    assert root.trace_id.hex() == TRACE_ID
    assert root.parent_span_id.hex() == "00f067aa0ba902b7"
    told = attributes(root)
    assert told["http.request.method"] == "POST"
    assert told["url.path"] == "/docs/_search"
    assert told["http.response.status_code"] == 200
    assert told["rescore.plan"] == "words"
    assert told["rescore.status"] == "applied"
    assert told["rescore.scored"] == 4

    children = {span.name: span for span in spans if span.parent_span_id == root.span_id}
    steps = {"default_pipeline", "upstream", "read", "prepare", "model", "fuse", "splice"}
    assert children.keys() == steps
    upstream = attributes(children["upstream"])
    assert upstream["db.system.name"] == "opensearch"
    assert upstream["db.operation.name"] == "search"
    assert upstream["server.address"] == "127.0.0.1"
    model = children["model"]
    assert attributes(model)["rescore.model"] == "words"
    below = [span for span in spans if span.parent_span_id == model.span_id]
    assert {span.name for span in below} == {"queue", "compute"}
    for span in (*children.values(), *below):
        assert span.trace_id.hex() == TRACE_ID
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano

    call = roots["POST /v1/rerank"]
    assert call.trace_id.hex() != TRACE_ID
    assert {"queue", "compute"} <= {
        span.name for span in spans if span.trace_id == call.trace_id and span is not call
    }
    text = "".join(map(str, spans))
    for hidden in ("secret", "kettle", "c2VjcmV0"):
        assert hidden not in text


def test_a_receiver_that_is_down_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(400)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with serving_threads(Refusing) as url, canned_node() as node:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        # Each span is a batch of its own.
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
        with running_sidecar(tmp_path, node, PLANS, {"docs": "words"}) as sidecar:
            assert search(sidecar).status == 200
            assert search(sidecar).status == 200
        assert sidecar.metric("trace_spans_total", result="lost") >= 16
        assert sidecar.metric("trace_spans_total", result="sent") == 0
    lines = [record.getMessage() for record in caplog.records]
    assert sum("spans are dropped" in line for line in lines) == 1
    assert not [one for one in caplog.records if one.name.startswith("opentelemetry.exporter")]
