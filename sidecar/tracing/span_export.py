"""Sends spans, so that neither a slow nor an absent receiver is noticed by clients.

OpenTelemetry's batch processor has a bounded queue and a thread of its own, and drops spans if the
queue is full. Its exporters log every failure; here one warning stands for all of them until the
receiver accepts spans again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sidecar.metrics import Metrics

_log: Final = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 3.0
"""How long the last spans may take at the end of the process."""


def build_exporter(environment: Mapping[str, str]) -> SpanExporter:
    """The OTLP exporter that the variables ask for; it reads its endpoint and headers itself.

    Raises ValueError for an unknown protocol.
    """
    protocol = (
        environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    ).strip()
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter as HttpSpanExporter,
        )

        return HttpSpanExporter()
    raise ValueError("OTEL_EXPORTER_OTLP_PROTOCOL is grpc or http/protobuf")


class WatchedExporter(SpanExporter):
    """Counts what another exporter sends and loses, and warns once while it fails."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        self._exporter = exporter
        self._sent = metrics.trace_spans.labels("sent")
        self._lost = metrics.trace_spans.labels("lost")
        self._warned = False
        # The exporters' own lines: one for each attempt, with its address and error.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; called in the processor's thread."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._sent.inc(len(spans))
            if self._warned:
                self._warned = False
                _log.info("the receiver of traces accepts spans again")
            return result
        self._lost.inc(len(spans))
        if not self._warned:
            self._warned = True
            _log.warning("spans are dropped: the receiver of traces does not accept them")
        return result

    def shutdown(self) -> None:
        """Stop sending, attempts in progress included."""
        self._exporter.shutdown()


async def run_bounded(work: Callable[[], object], seconds: float) -> None:
    """Run blocking work in a daemon thread, and wait for it at most this long.

    Such a thread keeps neither the event loop nor the process alive.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        except Exception:
            _log.debug("the last spans were not sent", exc_info=True)
        try:
            loop.call_soon_threadsafe(done.set)
        except RuntimeError:
            return  # The loop is closed; nobody waits.

    threading.Thread(target=run, name="last-spans", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        _log.warning("the last spans were not sent within %g seconds", seconds)
