"""Writes docs/benchmarks.md from the figures of all parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.figures import Bar, Part, Spread, Table

_HEAD = """# Benchmarks

Written by `make bench`; do not edit by hand. This one command measures every figure again, in
half an hour. `make bench ARGS=--quick` prints rougher figures in seven minutes, and leaves
this page alone.

Figures are medians over the rounds of one run, with the lowest and the highest round in brackets.
Things that are compared were measured in turn, so that other work on the machine affected all of
them equally: trust ratios more than times. Texts are those of the bundled sample, abstracts of
about 200 words.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One part with its measurement: when, on which machine, and how busy that was."""

    part: Part
    when: str
    machine: dict[str, str]
    load: str


def write_document(runs: Sequence[Run]) -> str:
    """The whole page."""
    lines = [_HEAD, "## The machine", ""]
    lines += _machines(runs)
    bars = [bar for run in runs for bar in run.part.bars]
    if bars:
        lines += [
            "",
            "## Bars",
            "",
            "What the sidecar is meant to reach, and what was measured.",
            "",
        ]
        lines += write_table(
            ("what", "measured", "bar", "aim", ""),
            [
                (bar.what, str(bar.figure), _limit(bar, bar.bar), _limit(bar, bar.aim), bar.verdict)
                for bar in bars
            ],
        )
        lines += [
            line
            for bar in bars
            if bar.limit and bar.verdict == "missed"
            for line in ("", f"**{bar.what}:** {bar.limit}")
        ]
    for run in runs:
        lines += ["", f"## {run.part.title}", "", run.part.how, ""]
        lines.append(f"Measured {run.when}; load of the machine before: {run.load}.")
        if run.part.missing:
            lines += ["", f"**Not measured:** {run.part.missing}"]
        for table in run.part.tables:
            lines += ["", f"### {table.title}", ""]
            lines += write_table(table.head, [tuple(map(str, row)) for row in table.rows])
            if table.note:
                lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _machines(runs: Sequence[Run]) -> Iterable[str]:
    """One table for each machine; mostly all parts ran on the same one."""
    machines: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        machines.setdefault(tuple(run.machine.items()), []).append(run.part.name)
    for machine, parts in machines.items():
        if len(machines) > 1:
            yield from (f"Parts {', '.join(parts)}:", "")
        yield from write_table(("", ""), machine)
        yield ""


def _limit(bar: Bar, value: float) -> str:
    sign = "at least" if bar.at == "least" else "at most"
    return f"{sign} {value:g}{bar.figure.unit}"


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    right = ["---", *["---:"] * (len(head) - 1)]
    return [_row(head), _row(right), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def print_lines(part: Part) -> list[str]:
    """A part as text for the terminal, one line per figure."""
    lines = [f"{part.title}"]
    if part.missing:
        lines.append(f"  not measured: {part.missing}")
    for table in part.tables:
        lines.append(f"  {table.title}")
        lines += _aligned(table)
    lines += [
        f"  {bar.what}: {bar.figure}; {_limit(bar, bar.bar)}: {bar.verdict}" for bar in part.bars
    ]
    return lines


def _aligned(table: Table) -> list[str]:
    rows = [table.head, *table.rows]
    cells = [[str(cell) if isinstance(cell, Spread) else cell for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "    "
        + "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
