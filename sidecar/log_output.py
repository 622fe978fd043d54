"""Writes the log to standard error, as text or as lines of JSON, and never blocks the event loop.

A terminal that is stopped, or a collector that does not read its pipe, blocks whoever writes. So a
thread of its own writes, and takes the lines from a bounded queue. If the queue is full, further
lines are dropped and counted.
"""

from __future__ import annotations

import json
import logging
import os
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, Final

from sidecar.config.logs import LogSettings

SEARCHES: Final = "sidecar.searches"
"""The logger of the lines for searches."""

MOST_LINES: Final = 2000
LONGEST_TEXT: Final = 8192
"""Characters of a line's message, and of its traceback; the rest is left out."""

CLOSE_SECONDS: Final = 2.0

_QUIET: Final = ("sentence_transformers", "transformers", "torch", "httpx", "opensearch", "asyncio")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, in ASCII.

    A record's attribute `fields`, a mapping, adds members after the first four.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LONGEST_TEXT],
        }
        line |= _fields(record)
        if record.exc_info:
            line["exception"] = _cut_middle(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Formats a record as text; its `fields` follow the message as `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines, without the last line's end."""
        fields = "".join(
            f" {name}={_write_value(value)}" for name, value in _fields(record).items()
        )
        return (super().format(record) + fields)[: 2 * LONGEST_TEXT]


class LogOutput(logging.Handler):
    """Writes formatted records to a file descriptor, in a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        # `put` of this queue may interrupt itself, as in a signal's handler.
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def dropped(self) -> int:
        """How many lines were dropped, because standard error did not accept them."""
        return self._dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record in the queue."""
        if self._lines.qsize() >= MOST_LINES:
            self._dropped += 1
            return
        try:
            self._lines.put(self.format(record) + "\n")
        except Exception:
            # A faulty log call must not fail its caller, and standard error may block.
            self._dropped += 1

    def close(self) -> None:
        """Write what is left, for CLOSE_SECONDS at most."""
        self._lines.put(None)
        self._thread.join(CLOSE_SECONDS)
        super().close()

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            if not self._write(line):
                self._dropped += 1
            dropped = self._dropped
            if dropped > self._reported and not self._lines.qsize():
                self._report(dropped - self._reported)
                self._reported = dropped

    def _report(self, count: int) -> None:
        record = logging.LogRecord(
            *("sidecar.log", logging.WARNING, __file__, 0),
            *("%d lines of the log were dropped, because nobody read them", (count,), None),
        )
        self._write(self.format(record) + "\n")

    def _write(self, line: str) -> bool:
        # Not `sys.stderr`: a thread that is blocked inside would hold its lock, which the
        # interpreter needs when it ends.
        left = line.encode("utf-8", "backslashreplace")
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select((), (self._descriptor,), ())
            except OSError:
                return False
        return True


def start_log(settings: LogSettings, descriptor: int, verbose: bool = False) -> LogOutput:
    """Send the log of the whole process to this descriptor; `verbose` is the level `debug`."""
    output = LogOutput(descriptor)
    _start(output, settings, verbose)
    return output


@contextmanager
def plain_log(settings: LogSettings, verbose: bool = False) -> Iterator[None]:
    """The same log meanwhile, without a thread, so that each line is written at once."""
    output = logging.StreamHandler()
    _start(output, settings, verbose)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(output)


def _start(output: logging.Handler, settings: LogSettings, verbose: bool) -> None:
    output.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    root = logging.getLogger()
    root.addHandler(output)
    root.setLevel(logging.DEBUG if verbose else settings.level.upper())
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
    # These lines are asked for by their own key.
    logging.getLogger(SEARCHES).setLevel(logging.INFO)


def stop_log(output: LogOutput) -> None:
    """Write what is left, and write no more."""
    logging.getLogger().removeHandler(output)
    output.close()


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def _cut_middle(text: str) -> str:
    """A traceback's first and last lines say the most."""
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else text[:half] + text[-half:]


def _write_value(value: object) -> str:
    if isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value:
        return value
    return json.dumps(value, default=str, separators=(",", ":"))
