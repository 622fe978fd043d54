"""Log lines, metrics and exemplars of searches, through a running sidecar; no line has a secret."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from sidecar import log_output
from sidecar.config.logs import LogSettings
from sidecar.log_output import SEARCHES, LogOutput, start_log, stop_log
from tests.canned_node import canned_node, serving_threads
from tests.running import Sidecar, request, running_sidecar

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
SEARCH = {"query": {"match": {"body": "copper kettle " + "handle " * 200}}}
PLANS = {"words": {"document": {"body": "body"}, "deadline_ms": 20_000}}
STEPS = {"upstream", "read", "prepare", "model", "queue", "compute", "fuse", "splice"}


def lines_of(
    folder: Path, caplog: pytest.LogCaptureFixture, log: Mapping[str, Any]
) -> list[dict[str, Any]]:
    with (
        caplog.at_level(logging.INFO, SEARCHES),
        canned_node() as node,
        running_sidecar(folder, node, PLANS, {"docs": "words"}, main={"log": log}) as sidecar,
    ):
        fields = {"traceparent": PARENT, "Authorization": "Basic c2VjcmV0"}
        request(sidecar.proxy, "POST", "/docs/_search", SEARCH, fields)
        request(sidecar.proxy, "POST", "/docs/_search", SEARCH, {"X-Rescore": "off"})
    return [vars(record)["fields"] for record in caplog.records if record.name == SEARCHES]


def test_a_line_for_each_search(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    applied, skipped = lines_of(tmp_path, caplog, {"searches": "all"})
    assert (applied["index"], applied["plan"], applied["status"]) == ("docs", "words", "applied")
    assert (applied["scored"], applied["trace_id"]) == (4, TRACE_ID)
    assert applied["steps_ms"].keys() == {*STEPS, "default_pipeline"}  # this caller's first search
    assert applied["ms"] >= applied["steps_ms"]["upstream"]
    assert (skipped["status"], skipped["reason"]) == ("skipped", "off")
    assert skipped["trace_id"] is None
    # A search that is forwarded ends with its answer.
    assert skipped["steps_ms"].keys() == {"upstream"}
    # The page's example has the members of a real line.
    page = (Path(__file__).parents[3] / "docs/operating.md").read_text()
    shown = re.search(r'^    (\{"time".*?\})\n\n', page, re.DOTALL | re.MULTILINE)
    assert shown
    example = json.loads(shown[1])
    assert example.keys() == {"time", "level", "logger", "message"} | applied.keys()
    assert example["steps_ms"].keys() == STEPS
    text = json.dumps([applied, skipped])
    assert "copper" not in text
    assert "c2VjcmV0" not in text


def test_query_texts_only_on_request_and_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = lines_of(tmp_path, caplog, {"searches": "all", "query_text": True})
    assert first["query_text"].startswith("copper kettle")
    assert len(first["query_text"]) == 500


def test_no_line_for_searches_that_did_not_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert lines_of(tmp_path, caplog, {"searches": "failed"}) == []


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("reports")
    with canned_node() as node, running_sidecar(folder, node, PLANS, {"docs": "words"}) as running:
        request(running.proxy, "POST", "/docs/_search", SEARCH, {"traceparent": PARENT})
        request(running.proxy, "GET", "/docs/_count")
        yield running


def test_open_metrics_with_exemplars_by_negotiation(sidecar: Sidecar) -> None:
    fields = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = request(sidecar.api, "GET", "/metrics", fields=fields)
    assert answer.values("content-type")[0].startswith("application/openmetrics-text")
    families = {one.name: one for one in parse(answer.body.decode())}  # type: ignore[no-untyped-call]
    for name in ("rescore_seconds", "rescore_step_seconds"):
        exemplars = [one.exemplar for one in families[name].samples if one.exemplar]
        assert exemplars
        assert all(one.labels == {"trace_id": TRACE_ID} for one in exemplars)
    plain = request(sidecar.api, "GET", "/metrics")
    assert plain.values("content-type")[0].startswith("text/plain")
    assert TRACE_ID.encode() not in plain.body


def test_latencies_and_steps_are_counted(sidecar: Sidecar) -> None:
    for kind in ("forwarded", "answered"):
        assert sidecar.metric("relay_seconds_count", kind=kind) == 1
    for step in STEPS:
        assert sidecar.metric("rescore_step_seconds_count", step=step) == 1
    total = sidecar.metric("rescore_step_seconds_bucket", step="upstream", le="+Inf")
    assert total == sidecar.metric("rescore_step_seconds_count", step="upstream")


class Broken(BaseHTTPRequestHandler):
    """A node that refuses each search, with a secret in its words."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"error": {"type": "hunter2", "reason": "hunter2"}, "status": 500}'
        self.send_response(500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def log_to_pipe(size: int) -> Iterator[tuple[LogOutput, int]]:
    """The log of this process as JSON at level debug, into a pipe of this many bytes."""
    root = logging.getLogger()
    before, (reading, writing) = root.level, os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
    output = start_log(LogSettings(format="json", searches="all"), writing, verbose=True)
    try:
        yield output, reading
    finally:
        # A thread that is blocked by the full pipe ends with an error.
        os.close(reading)
        stop_log(output)
        os.close(writing)
        root.setLevel(before)


def test_no_line_of_any_level_has_a_secret(tmp_path: Path) -> None:
    main = {"log": {"searches": "all"}}
    secret = {"query": {"match": {"body": "hunter2 kettle"}}, "ext": {"rescore": {"hunter2": 1}}}
    fields = {"Authorization": "Basic hunter2", "Cookie": "a=hunter2", "X-Rescore-Plan": "hunter2"}
    with (
        log_to_pipe(1 << 20) as (output, reading),
        serving_threads(Broken) as node,
        running_sidecar(tmp_path, node, PLANS, {"docs": "words"}, main=main) as sidecar,
    ):
        bodies: tuple[object, ...] = (secret, SEARCH, {"query": {"hunter2": {}}}, "hunter2")
        for body in bodies:
            for target in ("/docs/_search?routing=hunter2", "http://ann:hunter2@x/docs/_search"):
                for some in (fields, {"Authorization": "Basic hunter2"}):
                    request(sidecar.proxy, "POST", target, body, some)
        request(sidecar.api, "POST", "/v1/rerank", {"query": "hunter2", "documents": 5}, fields)
        stop_log(output)
        os.set_blocking(reading, False)
        text = os.read(reading, 1 << 20).decode()
    lines = [json.loads(line) for line in text.splitlines()]
    assert sum(line["logger"] == SEARCHES for line in lines) == 8
    assert "hunter2" not in text


def test_lines_that_nobody_reads_cost_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_output, "MOST_LINES", 10)
    main = {"log": {"searches": "all"}}
    with (
        log_to_pipe(4096) as (output, _),
        canned_node() as node,
        running_sidecar(tmp_path, node, PLANS, {"docs": "words"}, main=main) as sidecar,
    ):
        # A page of memory holds about ten lines, and the queue ten.
        while not output.dropped():
            answer = request(sidecar.proxy, "POST", "/docs/_search", SEARCH)
            assert "applied" in answer.values("x-rescore")[0]
