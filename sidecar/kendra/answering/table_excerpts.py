"""Chooses what an answer shows of a table: at most three rows and five columns.

Source: `TableExcerpt` of the service's model of 2019-02-03.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.kendra_text import STOP_WORDS
from pipelines.words import WORD
from sidecar.kendra.tables.tables import Cell, Row, Table

SHOWN_ROWS = 3
"""Maximum rows of an excerpt, with the header."""

SHOWN_COLUMNS = 5
"""Maximum columns of an excerpt."""

LONGEST_ROW = 1_000
"""Maximum characters of a row. A longer row belongs to a table that lays out paragraphs."""


@dataclass(frozen=True, slots=True)
class TableExcerpt:
    """Rows of a table, all with the same columns.

    `best`: the row and the column of the best cell in the excerpt, counted from 0. `total`: the
    number of rows of the whole table.
    """

    rows: tuple[tuple[Cell, ...], ...]
    best: tuple[int, int]
    total: int

    def write(self) -> tuple[str, int, int]:
        """The rows as text, and the half-open range of the best cell in it.

        A tab separates cells and a line break separates rows, as when a browser copies a table.
        """
        lines = ["\t".join(cell.text for cell in row) for row in self.rows]
        row, column = self.best
        before = [*lines[:row], "".join(f"{cell.text}\t" for cell in self.rows[row][:column])]
        start = len("\n".join(before))
        return "\n".join(lines), start, start + len(self.rows[row][column].text)


def cut_table_excerpt(
    query_text: str, table: Table, rows: Sequence[Row], column: int
) -> TableExcerpt:
    """The excerpt around the cell in `column` of the first row; `rows` come best first.

    The excerpt has the header and the best rows, in the order of the table. Besides `column` it has
    the first column, and those that share most words with the query.
    """
    query = telling_words(query_text)
    header = table.header
    heading = [header] if header is not None and header.length <= LONGEST_ROW else []
    best = sorted(rows[: SHOWN_ROWS - len(heading)], key=lambda row: row.start)
    shown = [*heading, *best]

    def shared(place: int) -> int:
        return len(query & telling_words(" ".join(row.cell(place).text for row in shown)))

    others = sorted(
        set(range(table.width)) - {column, 0}, key=lambda place: (-shared(place), place)
    )
    columns = sorted([*dict.fromkeys([column, 0]), *others][:SHOWN_COLUMNS])
    return TableExcerpt(
        tuple(tuple(row.cell(place) for place in columns) for row in shown),
        (shown.index(rows[0]), columns.index(column)),
        len(table.rows),
    )


def column_names(table: Table) -> list[str]:
    """The names of all columns; a column without a name has an empty one."""
    header = table.header
    return [header.cell(column).text if header else "" for column in range(table.width)]


def telling_words(text: str) -> frozenset[str]:
    """The words of a text in lower case, without stop words."""
    return frozenset(WORD.findall(text.lower())) - STOP_WORDS
