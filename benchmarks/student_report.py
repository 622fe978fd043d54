"""Writes the page `docs/students.md` from the results of `benchmarks/student.py`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

FEW = (0, 8, 16, 24)
"""Passages that the model reads of a search."""

SAMPLES = (1000, 5000, 20000)
"""Passages of the same index that teach a student."""

APART = "covidqa"
"""The collection of long documents, which has a row of its own."""

_HEAD = """# Students: how good a cold search is

Written by `make students ARGS="{command}"`; do not edit by hand.

A search is *cold* if none of its passages were read before. With the shipped deadline of 200 ms,
two cores read 8 to 24 passages of a cold search. What the model does not read, its student
estimates ([Students](models.md#students)). The tables show the gain in nDCG@10 over OpenSearch's
own order, of {model} with the shipped plan, and in the last rows its share of the gain of a warm
search, where every passage was read before. Windows come from a real OpenSearch with its default
analyzer.

- **no student**: hits that were not read have the mean of the scores that were read, so the words
  order them.
- **first**: the student of a fresh installation, without any lesson.
- **others**: taught by {lessons} passages of other collections; the collections are judged in three
  folds.
- **+1000, +5000, +20000**: the same student, taught again by that number of passages of the index
  that is judged; in brackets, how many there are if they are fewer. They are passages of documents
  that none of the measured searches returns, so no student is judged on a passage that has taught
  it. A collection with fewer than half of the passages is left out.

Teaching "others" took {teaching:.0f} s of one core.

{versions}
"""

TIME, LONG = "## Time", f"## Long documents: {APART}"
"""The titles of sections that other commands write."""

BUNDLED = "## The bundled texts as first lessons"
"""The title of a section that was measured once."""


class Gain(NamedTuple):
    """What a collection's searches gain."""

    mean: float
    """In nDCG@10."""

    harmed: float
    """The share of the searches that lose more than 0.05."""


@dataclass(slots=True)
class Row:
    """One collection; gains by student, then by the number of passages read."""

    name: str
    queries: int
    lessons: int
    seconds: float
    gains: dict[str, dict[int, Gain]] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)


_TITLES = {"today": "no student", "first": "first", "other": "others"}


def write_report(path: Path, model: str, command: str, rows: Sequence[Row]) -> None:
    """Write the page; the sections of other commands stay."""
    kinds = [*_TITLES, *(f"+{size}" for size in SAMPLES)]
    page = _HEAD.format(
        model=model,
        command=command,
        lessons=f"about {fmean(row.lessons for row in rows):,.0f}",
        teaching=fmean(row.seconds for row in rows),
        versions=versions(),
    )
    for few in FEW:
        what = "nothing" if few == 0 else f"{few} passages"
        page += f"\n## The model reads {what}\n\n"
        shown = [kind for kind in kinds if any(kind in row.gains for row in rows)]
        head = ["collection", "queries", *(_TITLES.get(kind, kind) for kind in shown), "warm"]
        page += _line(head) + _line(["---"] + ["--:"] * (len(head) - 1))
        for row in rows:
            page += _line([row.name, str(row.queries), *_cells(row, shown, few)])
        page += _mean("mean", rows, shown, few)
        page += _mean(f"mean without {APART}", [r for r in rows if r.name != APART], shown, few)
        page += _shares(rows, shown, few)
        page += _harmed(rows, shown, few)
    for title in (TIME, LONG, BUNDLED):
        page += _section(path, title)
    path.write_text(page, encoding="utf-8")


def write_section(path: Path, title: str, content: str) -> None:
    """Write one section of the page, at its end if it has none of this title."""
    page, old = path.read_text(encoding="utf-8"), _section(path, title)
    new = f"\n{title}\n\n{content}"
    path.write_text(page.replace(old, new) if old else page + new, encoding="utf-8")


def write_long(path: Path, command: str, row: Row) -> None:
    """Write the section of long documents."""
    kinds = [kind for kind in _TITLES if kind in row.gains]
    warm = f"{_warm(row):+.3f}"
    table = _line(["passages that the model reads", *map(_TITLES.__getitem__, kinds), "warm"])
    table += _line(["--:"] * (len(kinds) + 2))
    for few in FEW:
        table += _line([str(few), *(f"{row.gains[kind][few].mean:+.3f}" for kind in kinds), warm])
    harmed = [f"{max(row.gains[kind][few].harmed for few in FEW[1:]):.0%}" for kind in kinds]
    table += _line(["**searches that lose more than 0.05, at most**", *harmed, ""])
    content = f"""`make students ARGS="{command}"`
measures this.

{row.queries} queries; every one of them returns nearly all of the documents, so no passage of the
index could teach a student without judging it too. "others" was taught by {row.lessons:,} passages
of other collections.

{table}"""
    write_section(path, LONG, content)


def _section(path: Path, title: str) -> str:
    """One section of the page; empty if there is none."""
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    start = page.find(f"\n{title}\n")
    if start < 0:
        return ""
    end = page.find("\n## ", start + 1)
    return page[start:] if end < 0 else page[start:end]


def _warm(row: Row) -> float:
    return row.gains["today"][max(row.gains["today"])].mean


def _cells(row: Row, shown: Iterable[str], few: int) -> list[str]:
    cells = []
    for kind in shown:
        cell = f"{row.gains[kind][few].mean:+.3f}" if kind in row.gains else ""
        sample, asked = row.samples.get(kind), kind.removeprefix("+")
        cells.append(f"{cell} ({sample})" if sample and str(sample) != asked else cell)
    return [*cells, f"{_warm(row):+.3f}"]


def _mean(name: str, rows: Sequence[Row], shown: Iterable[str], few: int) -> str:
    """Means over the rows that have the figure."""
    cells = []
    for kind in shown:
        gains = [row.gains[kind][few].mean for row in rows if kind in row.gains]
        cells.append(f"{fmean(gains):+.3f}" if gains else "")
    warm = fmean(map(_warm, rows)) if rows else 0.0
    return _line([f"**{name}**", "", *cells, f"{warm:+.3f}"])


def _shares(rows: Sequence[Row], shown: Iterable[str], few: int) -> str:
    cells = []
    for kind in shown:
        here = [row for row in rows if kind in row.gains]
        warm = fmean(map(_warm, here))
        cells.append(
            f"{fmean(row.gains[kind][few].mean for row in here) / warm:.0%}" if warm else ""
        )
    return _line(["**share of the warm gain**", "", *cells, "100%"])


def _harmed(rows: Sequence[Row], shown: Iterable[str], few: int) -> str:
    """The share of searches that lose more than 0.05, mean of the rows that have the figure."""
    cells = []
    for kind in shown:
        shares = [row.gains[kind][few].harmed for row in rows if kind in row.gains]
        cells.append(f"{fmean(shares):.1%}" if shares else "")
    every = max(rows[0].gains["today"]) if rows else 0
    warm = fmean(row.gains["today"][every].harmed for row in rows) if rows else 0.0
    return _line(["**searches that lose more than 0.05**", "", *cells, f"{warm:.1%}"])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def versions() -> str:
    """The processor, and the versions of what was measured."""
    parts: Mapping[str, str] = {
        "Python": platform.python_version(),
        "numpy": version("numpy"),
        "tokenizers": version("tokenizers"),
        "OpenVINO": version("openvino"),
    }
    return f"{_processor()}; " + ", ".join(f"{name} {number}" for name, number in parts.items())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
