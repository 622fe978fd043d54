"""A table of a document's text: cells, rows, and which of them name the others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Final

MOST_CHARACTERS = 100_000
"""Characters of one document that are read as tables."""

MOST_COLUMNS = 64
"""Columns of a table; further ones are left out."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text, without markup and with single blanks; `header`: it names others."""

    text: str
    header: bool = False


EMPTY: Final = Cell("")
EMPTY_HEADER: Final = Cell("", header=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A row and its place in the text, half-open."""

    start: int
    end: int
    cells: tuple[Cell, ...]

    @property
    def is_header(self) -> bool:
        """Whether it has names of columns and nothing else."""
        told = [cell.header for cell in self.cells if cell.text]
        return bool(told) and all(told)

    @property
    def length(self) -> int:
        """How many characters its cells have."""
        return sum(len(cell.text) for cell in self.cells)

    def cell(self, column: int) -> Cell:
        """The cell of a column; an empty one where the row has none."""
        return self.cells[column] if column < len(self.cells) else EMPTY


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its place in the text, half-open; rows in their order, header rows too."""

    start: int
    end: int
    caption: str
    rows: tuple[Row, ...]

    @property
    def width(self) -> int:
        """How many columns it has."""
        return max((len(row.cells) for row in self.rows), default=0)

    @property
    def header(self) -> Row | None:
        """The row that names the columns: of several at the top the last."""
        leading = list(takewhile(lambda row: row.is_header, self.rows))
        return leading[-1] if leading else None

    @property
    def data(self) -> list[Row]:
        """The rows that say something and are no headers."""
        return [row for row in self.rows if any(c.text and not c.header for c in row.cells)]
