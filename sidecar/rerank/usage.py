"""Usage counters per API and key, which survive a restart when a file is configured.

The file is SQLite and only ever added to, so several sidecars may share one. It is written a
second after a request at the latest: a process that is killed loses that second's counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

from sidecar.metrics import Metrics

_WRITE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class UsageFileError(Exception):
    """The file of the counters cannot be used; the start stops here."""


class _Line(NamedTuple):
    api: str
    key: str
    outcome: str


class _Amounts(NamedTuple):
    requests: int = 0
    documents: int = 0
    tokens: int = 0

    def plus(self, other: _Amounts) -> _Amounts:
        return _Amounts(*(a + b for a, b in zip(self, other, strict=True)))


class Usage:
    """The counters of one sidecar. Used in its event loop; the file is written in a thread."""

    def __init__(self, metrics: Metrics, file: Path | None) -> None:
        self._requests = metrics.api_requests
        self._documents = metrics.api_documents
        self._tokens = metrics.api_tokens
        self._file = file
        self._unsaved: dict[_Line, _Amounts] = {}
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()

    def count(self, api: str, key: str, outcome: str, documents: int = 0, tokens: int = 0) -> None:
        """Count a request. `outcome` is `ok` or the cause of its refusal."""
        line = _Line(api, key, outcome)
        amounts = _Amounts(1, documents, tokens)
        self._show(line, amounts)
        if self._file is not None:
            self._unsaved[line] = self._unsaved.get(line, _Amounts()).plus(amounts)
            self._changed.set()

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Read the file at the start, write it while inside, and once more at the end.

        Raises UsageFileError when the file cannot be read or made.
        """
        if self._file is None:
            yield
            return
        try:
            saved = await asyncio.to_thread(_load, self._file)
        except (OSError, sqlite3.Error) as error:
            raise UsageFileError(
                f"the usage file {self._file} cannot be used: {error}; "
                "change usage in the configuration, or move the file away"
            ) from None
        for line, amounts in saved.items():
            self._show(line, amounts)
        writing = asyncio.get_running_loop().create_task(self._write_on_change(self._file))
        try:
            yield
        finally:
            self._closing.set()
            self._changed.set()
            await writing

    def _show(self, line: _Line, amounts: _Amounts) -> None:
        self._requests.labels(*line).inc(amounts.requests)
        if amounts.documents:
            self._documents.labels(line.api, line.key).inc(amounts.documents)
            self._tokens.labels(line.api, line.key).inc(amounts.tokens)

    async def _write_on_change(self, file: Path) -> None:
        while True:
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._closing.wait()
            # Looked at before the write: what is counted meanwhile needs another one.
            closing = self._closing.is_set()
            await self._write(file)
            if closing:
                return

    async def _write(self, file: Path) -> None:
        self._changed.clear()
        unsaved, self._unsaved = self._unsaved, {}
        if not unsaved:
            return
        try:
            await asyncio.to_thread(_add, file, unsaved)
        except (OSError, sqlite3.Error) as error:
            _log.warning("usage is not saved yet, %s: %s", file, error)
            for line, amounts in unsaved.items():
                self._unsaved[line] = self._unsaved.get(line, _Amounts()).plus(amounts)
            self._changed.set()


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, timeout=5)
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS usage (api TEXT, key TEXT, outcome TEXT, "
            "requests INTEGER NOT NULL, documents INTEGER NOT NULL, tokens INTEGER NOT NULL, "
            "PRIMARY KEY (api, key, outcome)) WITHOUT ROWID"
        )
        with connection:
            yield connection
    finally:
        connection.close()


def _load(file: Path) -> dict[_Line, _Amounts]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with _opened(file) as connection:
        rows = connection.execute(
            "SELECT api, key, outcome, requests, documents, tokens FROM usage"
        ).fetchall()
    return {_Line(*row[:3]): _Amounts(*row[3:]) for row in rows}


def _add(file: Path, amounts: dict[_Line, _Amounts]) -> None:
    with _opened(file) as connection:
        connection.executemany(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "requests = requests + excluded.requests, "
            "documents = documents + excluded.documents, tokens = tokens + excluded.tokens",
            [(*line, *amount) for line, amount in amounts.items()],
        )
