"""The page docs/sure-pages.md: what `benchmarks/sure_pages.py` has measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np

_TOGETHER: Final = 24
"""Passages that two cores read at most in the shipped 200 ms."""

_LENGTHS: Final = ((1, 3), (4, 5), (6, 1000))


@dataclass(slots=True)
class Early:
    """How early the pages of one collection are sure; a list entry for each search.

    `words` are the different words of the query, `unread` the passages that were not stored, `read`
    those that were read until the page was sure. `wrong` counts pages that differ from those of
    everything read.
    """

    collection: str
    method: str
    highest: float
    stored: float
    words: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    wrong: int = 0

    def saved(self, where: Callable[[int], bool] = lambda _: True) -> float | None:
        """Mean share of the passages that were not read, of searches with this many words."""
        shares = [
            1 - read / unread
            for words, read, unread in zip(self.words, self.read, self.unread, strict=True)
            if where(words)
        ]
        return fmean(shares) if shares else None

    @property
    def stopped(self) -> float:
        """Share of the searches that ended before everything was read."""
        return float(np.mean(np.array(self.read) < np.array(self.unread)))

    @property
    def in_time(self) -> float:
        """Share of the searches that were sure in the time of a cold search, and ended early."""
        read = np.array(self.read)
        return float(np.mean((read <= _TOGETHER) & (read < np.array(self.unread))))


@dataclass(slots=True)
class Reading:
    """The gain in nDCG@10 of one way to read, by the number of passages that are read."""

    collection: str
    label: str
    gains: dict[int, float] = field(default_factory=dict)


def write_report(
    path: Path, command: str, early: Sequence[Early], readings: Sequence[Reading], ratio: float
) -> None:
    """Write the page."""
    path.write_text("\n".join(_lines(command, early, readings, ratio)) + "\n", encoding="utf-8")


def _lines(
    command: str, early: Sequence[Early], readings: Sequence[Reading], ratio: float
) -> Iterator[str]:
    yield from _HEAD.format(command=command).splitlines()
    for method, stored in dict.fromkeys((one.method, one.stored) for one in early):
        rows = [one for one in early if (one.method, one.stored) == (method, stored)]
        known = f"{stored:.0%} of the passages are stored" if stored else "nothing is stored"
        yield from ("", f"## `{method}`, {known}", "")
        yield (
            "| collection | queries | words | passages | highest cosine | end early | within "
            f"{_TOGETHER} | saved | 1 to 3 words | 4 or 5 | 6 and more | wrong pages |"
        )
        yield "| --- " + "| --: " * 11 + "|"
        yield from map(_early_row, rows)
    yield from _SHORT.format(ratio=ratio).splitlines()
    budgets = sorted({budget for one in readings for budget in one.gains})
    heads = [str(budget) if budget <= _TOGETHER else "all" for budget in budgets]
    yield "| collection | what is read first | " + " | ".join(heads) + " |"
    yield "| --- | --- " + "| --: " * len(budgets) + "|"
    labels = list(dict.fromkeys(one.label for one in readings))
    for label in labels:
        rows_of = [one for one in readings if one.label == label]
        for one in rows_of:
            gains = " | ".join(f"{one.gains[budget]:+.3f}" for budget in budgets)
            yield f"| {one.collection} | {label} | {gains} |"
        means = " | ".join(
            f"**{fmean(one.gains[budget] for one in rows_of):+.3f}**" for budget in budgets
        )
        yield f"| **mean** | {label} | {means} |"


def _early_row(row: Early) -> str:
    by_length = [
        row.saved(lambda words, low=low, high=high: low <= words <= high)  # type: ignore[misc]
        for low, high in _LENGTHS
    ]
    lengths = " | ".join("" if share is None else f"{share:.0%}" for share in by_length)
    return (
        f"| {row.collection} | {len(row.read)} | {fmean(row.words):.1f} | {fmean(row.unread):.0f} "
        f"| {row.highest} | {row.stopped:.0%} | {row.in_time:.0%} | {row.saved() or 0:.0%} "
        f"| {lengths} | {row.wrong} |"
    )


_HEAD: Final = """\
# Sure pages: when reading on changes nothing

Written by this command; do not edit by hand:

```sh
python benchmarks/sure_pages.py --data ../shared/data --kept FOLDER \\
  {command}
```

A page is *sure* if its hits and their order are those that reading everything would give
([plans.md](plans.md#deadline)). A passage's cosine is 1 at most, which bounds what an unread
passage can do to the order. The rows with the *highest cosine* 1.0 are what the sidecar does. It
is proven, so no page is wrong. The other rows assume that no passage has a higher cosine than
theirs. Nothing proves that, so the sidecar does not use it.

*Passages* are those of a window that are not stored. *Within 24* are the searches that are sure
before a cold search with the shipped deadline ends. *Saved* is the share of the passages that
need not be read, also by the number of different words in the query text. Pages have 10 hits.
`additive` is the shipped plan with the model's first student, `relative` is `relative, weight: 5`
of [quality.md](quality.md). Eight passages are read at a time, in the product's order.

What is saved depends on the query text: with fewer than six different words, the plan's guard
lets the model count less (`short_query_words`), so the model can change less.
"""

_SHORT: Final = """\

## What is read first

The gain in nDCG@10 of cold searches, by the number of passages that are read. *Breadth first* reads
the best passage of each hit, then the second ones; a hit counts with what was read of it. A passage
of 60 words takes the model 1/{ratio:.2f} of the CPU time of one of 120 words, so that many times as
many of them are read in the same time. *All*: everything is read, of the short ones one a hit.

"""
