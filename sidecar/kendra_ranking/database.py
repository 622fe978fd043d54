"""The SQLite file with plans, tags and client tokens: opened once, used by one thread.

Several processes may share the file. A write is on the disk before its request is answered.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_VERSION = 1
_WAIT_SECONDS = 10.0

# `folded` is the key of a tag in case-folded form, as keys that differ only in case are equal.
# Until `settled_at` a plan has the state in `transition`. Then it is ACTIVE, or, if the transition
# was DELETING, it does not exist any more.
_SCHEMA = """
CREATE TABLE plans (
    id TEXT PRIMARY KEY, arn TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL,
    units INTEGER NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL,
    transition TEXT NOT NULL, settled_at REAL NOT NULL
) STRICT;
CREATE INDEX plans_in_order ON plans (created_at, id);
CREATE TABLE tags (
    plan_id TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    folded TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (plan_id, folded)
) STRICT;
CREATE TABLE client_tokens (
    token TEXT PRIMARY KEY, parameters TEXT NOT NULL, id TEXT NOT NULL, arn TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;
CREATE TABLE page_key (key BLOB NOT NULL) STRICT;
"""


class BadStore(Exception):
    """The file cannot be used. The message says why and what to do."""


class Database:
    """One connection to the file, and the thread that uses it.

    The file is opened, or created, when it is first used. If nobody calls the service, there is no
    file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kendra-ranking-store")
        self._connection: sqlite3.Connection | None = None  # used only in the thread

    def open(self) -> None:
        """Open or create the file now. Blocks; raises BadStore."""
        self._thread.submit(self._connect).result()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function that only reads. Raises BadStore when the file cannot be opened."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: work(self._connect())
        )

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in a transaction, which is on the disk when this returns.

        If the function raises, the transaction is rolled back. Raises BadStore when the file cannot
        be opened.
        """

        def transact() -> T:
            connection = self._connect()
            # IMMEDIATE takes the write lock now, so what the function reads cannot change before it
            # writes.
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    def close(self) -> None:
        """Close the file after the work that is in progress. Blocks."""
        if self._connection is not None:
            self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _open(self._path)
            except (sqlite3.Error, OSError) as error:
                raise BadStore(
                    f"cannot use {self._path} for rescore execution plans ({error}); it must be a "
                    "file that the sidecar created and may write"
                ) from None
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        # FULL syncs each commit. NORMAL, the usual choice with WAL, loses the latest ones when the
        # machine crashes.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute("INSERT INTO page_key VALUES (?)", (secrets.token_bytes(32),))
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"it has version {version}, not {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection
