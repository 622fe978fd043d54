"""The tables in a document's text as it is stored, in HTML or in Markdown, with their places."""

from __future__ import annotations

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
