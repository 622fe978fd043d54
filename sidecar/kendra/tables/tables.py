"""What a table is: rows, cells, and the header row, which names the columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Final

MOST_CHARACTERS = 100_000
"""Maximum characters of one document that are read as tables."""

MOST_COLUMNS = 64
"""Maximum columns of a table; further columns are left out."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text without markup, with single blanks. A header cell names other cells."""

    text: str
    header: bool = False


EMPTY: Final = Cell("")
EMPTY_HEADER: Final = Cell("", header=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A row. `start` and `end` are its half-open range in the text, in code points."""

    start: int
    end: int
    cells: tuple[Cell, ...]

    @property
    def is_header(self) -> bool:
        """Whether the row has text, and all of it in header cells."""
        headers = [cell.header for cell in self.cells if cell.text]
        return bool(headers) and all(headers)

    @property
    def length(self) -> int:
        """The number of characters in its cells."""
        return sum(len(cell.text) for cell in self.cells)

    def cell(self, column: int) -> Cell:
        """The cell in a column, counted from 0. It is empty if the row has no such column."""
        return self.cells[column] if column < len(self.cells) else EMPTY


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `start` and `end` are its half-open range in the text, in code points.

    `rows` are in the order of the text and include header rows.
    """

    start: int
    end: int
    caption: str
    rows: tuple[Row, ...]

    @property
    def width(self) -> int:
        """The number of columns of its widest row."""
        return max((len(row.cells) for row in self.rows), default=0)

    @property
    def header(self) -> Row | None:
        """The row that names the columns: the last of the header rows at the top."""
        leading = list(takewhile(lambda row: row.is_header, self.rows))
        return leading[-1] if leading else None

    @property
    def data(self) -> list[Row]:
        """The rows that have text outside header cells."""
        return [row for row in self.rows if any(c.text and not c.header for c in row.cells)]
