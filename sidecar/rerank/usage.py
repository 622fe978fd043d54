"""Usage counters per API and key, which survive a restart if a file is configured.

The file is SQLite, and counts are only added to it, so several sidecars may share one. It is
written at most a second after a request, so a process that is killed loses the counts of a second.
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
    """The usage file cannot be used; the message says what to change."""


class _CounterLabels(NamedTuple):
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
    """The counters of one sidecar. Belongs to one event loop; a thread writes the file."""

    def __init__(self, metrics: Metrics, file: Path | None) -> None:
        self._requests = metrics.api_requests
        self._documents = metrics.api_documents
        self._tokens = metrics.api_tokens
        self._file = file
        self._unsaved: dict[_CounterLabels, _Amounts] = {}
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._users = 0
        self._loaded = False
        self._writing: asyncio.Task[None] | None = None

    def count(self, api: str, key: str, outcome: str, documents: int = 0, tokens: int = 0) -> None:
        """Count a request. `outcome` is `ok` or the cause of its refusal."""
        labels = _CounterLabels(api, key, outcome)
        amounts = _Amounts(1, documents, tokens)
        self._show(labels, amounts)
        if self._file is not None:
            self._unsaved[labels] = self._unsaved.get(labels, _Amounts()).plus(amounts)
            self._changed.set()

    @contextlib.asynccontextmanager
    async def saved(self) -> AsyncIterator[None]:
        """A context in which the counters are saved; on entry it adds the counts in the file.

        The file is written after changes, and once more on exit. If several contexts overlap, as
        when a configuration is replaced, the last one to exit does that. Raises UsageFileError if
        the file cannot be read or created.
        """
        if self._file is None:
            yield
            return
        if not self._loaded:
            await self._add_saved(self._file)
        self._users += 1
        if self._writing is None:
            self._closing = asyncio.Event()
            work = self._write_on_change(self._file, self._closing)
            self._writing = asyncio.get_running_loop().create_task(work)
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                writing, self._writing = self._writing, None
                self._closing.set()
                self._changed.set()
                await writing

    async def _add_saved(self, file: Path) -> None:
        try:
            saved = await asyncio.to_thread(_load, file)
        except (OSError, sqlite3.Error) as error:
            raise UsageFileError(
                f"the usage file {file} cannot be used: {error}; "
                "change usage_file in the configuration, or move the file away"
            ) from None
        self._loaded = True
        for labels, amounts in saved.items():
            self._show(labels, amounts)

    def _show(self, labels: _CounterLabels, amounts: _Amounts) -> None:
        self._requests.labels(*labels).inc(amounts.requests)
        if amounts.documents:
            self._documents.labels(labels.api, labels.key).inc(amounts.documents)
            self._tokens.labels(labels.api, labels.key).inc(amounts.tokens)

    async def _write_on_change(self, file: Path, closing_event: asyncio.Event) -> None:
        while True:
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await closing_event.wait()
            # Checked before the write, because requests counted during it need another one.
            closing = closing_event.is_set()
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
            for labels, amounts in unsaved.items():
                self._unsaved[labels] = self._unsaved.get(labels, _Amounts()).plus(amounts)
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


def _load(file: Path) -> dict[_CounterLabels, _Amounts]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with _opened(file) as connection:
        rows = connection.execute(
            "SELECT api, key, outcome, requests, documents, tokens FROM usage"
        ).fetchall()
    return {_CounterLabels(*row[:3]): _Amounts(*row[3:]) for row in rows}


def _add(file: Path, amounts: dict[_CounterLabels, _Amounts]) -> None:
    with _opened(file) as connection:
        connection.executemany(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "requests = requests + excluded.requests, "
            "documents = documents + excluded.documents, tokens = tokens + excluded.tokens",
            [(*labels, *amount) for labels, amount in amounts.items()],
        )
