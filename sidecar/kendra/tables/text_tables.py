"""Finds the tables of a text, in HTML and in Markdown, and caches them."""

from __future__ import annotations

from threading import Lock

from sidecar.bounded_cache import BoundedCache
from sidecar.kendra.tables.html_tables import read_html_tables
from sidecar.kendra.tables.markdown_tables import read_markdown_tables
from sidecar.kendra.tables.tables import MOST_CHARACTERS, Table


def may_have_tables(text: str) -> bool:
    """Whether the text can have a table. Costs two searches for one character."""
    return "|" in text or "<" in text


def find_tables(text: str) -> list[Table]:
    """The tables of a text, in its order, that have data and two or more columns.

    At most 100,000 characters of the text are read as tables.
    """
    tables = list(read_html_tables(text))
    left = MOST_CHARACTERS - sum(table.end - table.start for table in tables)
    for table in read_markdown_tables(text):
        left -= table.end - table.start
        if left < 0:
            break
        if not any(table.start < other.end and other.start < table.end for other in tables):
            tables.append(table)
    useful = [table for table in tables if table.width > 1 and table.data]
    return sorted(useful, key=lambda table: table.start)


class KnownTables:
    """Caches the tables of texts, for queries that find the same documents again.

    Texts without tables are not cached. Any thread may use it.
    """

    def __init__(self, most_characters: int = 2_000_000) -> None:
        self._lock = Lock()
        # By the text itself: under its hash another text's tables might be found.
        self._known = BoundedCache[str, list[Table]](most_characters)

    def find(self, text: str) -> list[Table]:
        """The tables of a text, as `find_tables` returns them."""
        with self._lock:
            tables = self._known.get(text)
        if tables is None:
            tables = find_tables(text)
            if tables:
                with self._lock:
                    self._known.put(text, tables, len(text))
        return tables
