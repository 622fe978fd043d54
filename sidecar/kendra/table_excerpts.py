"""What an answer shows of a table: three rows and five columns at most, and the same as text.

Source: `TableExcerpt` of the service's model of 2019-02-03.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.kendra_text import STOP_WORDS
from sidecar.kendra.tables import Cell, Row, Table

MOST_ROWS = 3
"""Rows of an excerpt, the header's included."""

MOST_COLUMNS = 5
"""Columns of an excerpt."""

LONGEST_ROW = 1_000
"""Characters of a row; more of them are paragraphs that a table puts into their places."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class TableExcerpt:
    """Rows of a table, all with the same columns; `best` is row and column of the best cell.

    `total` counts the rows of the whole table.
    """

    rows: tuple[tuple[Cell, ...], ...]
    best: tuple[int, int]
    total: int

    def write(self) -> tuple[str, int, int]:
        """The rows as text, and where in it the best cell stands, half-open.

        Cells are parted by tabs and rows by line ends, as browsers copy a table.
        """
        lines = ["\t".join(cell.text for cell in row) for row in self.rows]
        row, column = self.best
        before = [*lines[:row], "".join(f"{cell.text}\t" for cell in self.rows[row][:column])]
        start = len("\n".join(before))
        return "\n".join(lines), start, start + len(self.rows[row][column].text)


def cut_table_excerpt(
    query_text: str, table: Table, rows: Sequence[Row], column: int
) -> TableExcerpt:
    """The excerpt around a column's cell of the first of these rows, which come best first.

    It has the header, the best rows in their order, and of further columns the first and those
    that share most words with the query.
    """
    asked = telling_words(query_text)
    header = table.header
    heading = [header] if header is not None and header.length <= LONGEST_ROW else []
    best = sorted(rows[: MOST_ROWS - len(heading)], key=lambda row: row.start)
    shown = [*heading, *best]

    def shared(place: int) -> int:
        return len(asked & telling_words(" ".join(row.cell(place).text for row in shown)))

    others = sorted(
        set(range(table.width)) - {column, 0}, key=lambda place: (-shared(place), place)
    )
    columns = sorted([*dict.fromkeys([column, 0]), *others][:MOST_COLUMNS])
    return TableExcerpt(
        tuple(tuple(row.cell(place) for place in columns) for row in shown),
        (shown.index(rows[0]), columns.index(column)),
        len(table.rows),
    )


def column_names(table: Table) -> list[str]:
    """The names of all columns, empty ones where there is none."""
    header = table.header
    return [header.cell(column).text if header else "" for column in range(table.width)]


def telling_words(text: str) -> frozenset[str]:
    """The words of a text in lower case, without stop words."""
    return frozenset(_WORD.findall(text.lower())) - STOP_WORDS
