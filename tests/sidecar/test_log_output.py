"""The log: lines of JSON or text, and a reader that does not read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.config.logs import LogSettings
from sidecar.log_output import LONGEST_TEXT, MOST_LINES, LogOutput, start_log, stop_log

LOG = logging.getLogger("tests.log")


@pytest.fixture(autouse=True)
def _root_level() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


@contextmanager
def log_to_pipe(**settings: str) -> Iterator[tuple[LogOutput, int]]:
    reading, writing = os.pipe()
    output = start_log(LogSettings.model_validate(settings), writing)
    try:
        yield output, reading
    finally:
        stop_log(output)
        os.close(writing)
        os.close(reading)


def read_all(reading: int) -> str:
    os.set_blocking(reading, False)
    text = b""
    try:
        while piece := os.read(reading, 1 << 20):
            text += piece
    except BlockingIOError:
        return text.decode()
    return text.decode()


def test_each_line_is_one_json_object_whatever_the_message_is() -> None:
    with log_to_pipe(format="json") as (output, reading):
        LOG.info("two\nlines and \ud800", extra={"fields": {"index": "docs", "ms": 1.5}})
        try:
            raise KeyError("x" * 3 * LONGEST_TEXT)
        except KeyError:
            LOG.exception("failed")
        LOG.debug("not written: the level is info")
        stop_log(output)
        lines = [json.loads(line) for line in read_all(reading).splitlines()]
    assert [line["message"] for line in lines] == ["two\nlines and \ud800", "failed"]
    assert (lines[0]["level"], lines[0]["logger"]) == ("info", "tests.log")
    assert (lines[0]["index"], lines[0]["ms"]) == ("docs", 1.5)
    assert lines[0]["time"].endswith("Z")
    assert "KeyError" in lines[1]["exception"]
    assert len(lines[1]["exception"]) <= LONGEST_TEXT


def test_text_lines_carry_the_same_fields() -> None:
    with log_to_pipe() as (output, reading):
        LOG.info("search", extra={"fields": {"index": "a b\n", "plan": "p", "reason": None}})
        stop_log(output)
        assert 'search index="a b\\n" plan=p reason=null' in read_all(reading)


def test_a_reader_that_stops_costs_lines_and_no_time() -> None:
    with log_to_pipe() as (output, reading):
        # A pipe holds 64 KiB; this thread writes far more, and is never blocked.
        for _ in range(MOST_LINES + 500):
            LOG.info("x" * 1000)
        assert output.dropped() > 0
        os.set_blocking(reading, True)
        text = ""
        while "lines of the log were dropped" not in text:
            text = text[-200:] + os.read(reading, 1 << 16).decode()
