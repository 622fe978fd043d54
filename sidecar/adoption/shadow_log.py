"""Writes what shadows found to a file, one JSON object a line.

Lines are written in batches by a thread, because a disk may block. If it blocks for long, lines are
dropped. The file is bounded: when it is full, it becomes `NAME.1`, which replaces an older one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipelines.texts import replace_surrogates
from sidecar.metrics import Metrics

_log: Final = logging.getLogger("sidecar.shadow")

_MOST_WAITING: Final = 1000
_MOST_CHARACTERS: Final = 4000
"""Maximum length of a line; a query text is cut before that."""

_appending: Final = threading.Lock()
"""During a reload, the old and the new configuration may write to the same file."""


class ShadowLog:
    """A log file for shadows. Belongs to one event loop."""

    def __init__(self, file: Path, max_bytes: int, metrics: Metrics) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._dropped = metrics.lines_not_logged
        self._waiting: list[str] = []
        self._writing: asyncio.Task[None] | None = None
        self._failed = False

    def write(self, record: Mapping[str, object]) -> None:
        """Write one line soon."""
        line = replace_surrogates(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        if len(self._waiting) >= _MOST_WAITING or len(line) > _MOST_CHARACTERS:
            self._dropped.inc()
            return
        self._waiting.append(line + "\n")
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_waiting())

    async def close(self) -> None:
        """Write the lines that wait."""
        if self._writing is not None:
            await self._writing

    async def _write_waiting(self) -> None:
        while self._waiting:
            lines, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(_append, self._file, self._max_bytes, "".join(lines))
                self._failed = False
            except OSError as error:
                self._dropped.inc(len(lines))
                if not self._failed:
                    _log.warning("the shadow log cannot be written: %s", error.strerror)
                self._failed = True


def _append(file: Path, max_bytes: int, text: str) -> None:
    data = text.encode()
    with _appending:
        if file.exists() and file.stat().st_size + len(data) > max_bytes:
            file.replace(file.with_name(file.name + ".1"))
        with file.open("ab") as opened:
            opened.write(data)
