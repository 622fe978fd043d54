"""The result of a part of the benchmark: tables and bars, as numbers with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of some rounds."""

    median: float
    lowest: float
    highest: float
    unit: str = ""
    digits: int = 1

    def __str__(self) -> str:
        """As in `9.6x (8.7-10.1)`; without the range if there was only one round."""
        middle = f"{self.median:,.{self.digits}f}{self.unit}"
        if self.lowest == self.highest:
            return middle
        return f"{middle} ({self.lowest:,.{self.digits}f}-{self.highest:,.{self.digits}f})"


Cell = str | Spread


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first column is text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that has a bar to pass. `at` says on which side of the bar the figure should be."""

    what: str
    figure: Spread
    at: Literal["least", "most"]
    bar: float
    aim: float
    limit: str = ""
    """What limits the figure; shown if it misses the bar."""

    @property
    def verdict(self) -> str:
        """In words: the aim, the bar, or by how much it was missed."""
        value = self.figure.median
        reached = value.__ge__ if self.at == "least" else value.__le__
        if reached(self.aim):
            return "aim reached"
        return "bar passed" if reached(self.bar) else "missed"


@dataclass(frozen=True, slots=True)
class Part:
    """All figures of one part. `missing`: why it could not run, wholly or in part."""

    name: str
    title: str
    how: str
    tables: tuple[Table, ...] = ()
    bars: tuple[Bar, ...] = ()
    missing: str = ""


def spread(values: Iterable[float], unit: str = "", digits: int = 1) -> Spread:
    """The spread of one figure per round."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1], unit, digits)


def read_part(values: dict[str, Any]) -> Part:
    """A part that was written by `dataclasses.asdict` and JSON."""
    tables = tuple(
        Table(
            table["title"],
            tuple(table["head"]),
            tuple(tuple(map(_read_cell, row)) for row in table["rows"]),
            table["note"],
        )
        for table in values["tables"]
    )
    bars = tuple(Bar(**{**bar, "figure": Spread(**bar["figure"])}) for bar in values["bars"])
    return Part(**{**values, "tables": tables, "bars": bars})


def _read_cell(cell: Any) -> Cell:
    return Spread(**cell) if isinstance(cell, dict) else str(cell)
