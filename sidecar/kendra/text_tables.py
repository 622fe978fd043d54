"""The tables in a document's text as it is stored, in HTML or in Markdown, with their places."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from sidecar.kendra.html_tables import read_html_tables
from sidecar.kendra.markdown_tables import read_markdown_tables
from sidecar.kendra.tables import MOST_CHARACTERS, Table


def may_have_tables(text: str) -> bool:
    """Whether there is any use in looking for tables; costs two searches for one character."""
    return "|" in text or "<" in text


def find_tables(text: str) -> list[Table]:
    """The tables of a text in their order: those of two columns or more that have data.

    Of a long text only so many characters are read as tables.
    """
    found = list(read_html_tables(text))
    left = MOST_CHARACTERS - sum(table.end - table.start for table in found)
    for table in read_markdown_tables(text):
        left -= table.end - table.start
        if left < 0:
            break
        if not any(table.start < other.end and other.start < table.end for other in found):
            found.append(table)
    useful = [table for table in found if table.width > 1 and table.data]
    return sorted(useful, key=lambda table: table.start)


class KnownTables:
    """Tables of texts that have some: read once, and kept for queries that find the text again.

    At most so many characters of text are kept, those found last. May be used by any thread.
    """

    def __init__(self, most_characters: int = 2_000_000) -> None:
        self._most = most_characters
        self._lock = Lock()
        self._characters = 0
        # By the text itself: under its hash another text's tables might be found.
        self._known: OrderedDict[str, list[Table]] = OrderedDict()

    def find(self, text: str) -> list[Table]:
        """What `find_tables` gives."""
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                return self._known[text]
        found = find_tables(text)
        if found and len(text) <= self._most:
            with self._lock:
                if text not in self._known:
                    self._known[text] = found
                    self._characters += len(text)
                while self._characters > self._most:
                    oldest, _ = self._known.popitem(last=False)
                    self._characters -= len(oldest)
        return found
