"""Which tracer serves, and what the absence of traces costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.metrics import Metrics
from sidecar.tracing.tracers import NoTracer, start_tracing


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "x"},
    ],
)
def test_no_spans_are_made_unless_a_usable_endpoint_is_set(environment: dict[str, str]) -> None:
    assert isinstance(start_tracing(environment, Metrics(), ()), NoTracer)


def test_without_an_endpoint_the_library_is_not_even_imported() -> None:
    script = "import sys, sidecar.cli, sidecar.app; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sidecar.tracing.tracers.find_spec", lambda name: None)
    environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}
    assert isinstance(start_tracing(environment, Metrics(), ()), NoTracer)
    assert "rescore-sidecar[otel]" in caplog.text
