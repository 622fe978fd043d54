"""Measures the model on this machine; the window and the deadline of a plan follow from it.

A bi-encoder reads each passage once and stores its vector. A search then costs little, whatever
its window. So a slow machine gets a longer deadline for the searches before that, and a smaller
window only if it cannot read the index in advance.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.models.scorers import BiEncoderScorer

MEASURED_SECONDS: Final = 2.0
"""About how long all measurements of one run take."""

DEFAULT_WINDOW: Final = 100
DEFAULT_DEADLINE_MS: Final = 200
_LONGEST_DEADLINE_MS: Final = 500
_SMALLER_WINDOWS: Final = (50, 25)
# A cold window that takes longer than this makes too much work for one search.
_MOST_COLD_MS: Final = 5000.0
# An index that takes longer than this to read is not read in advance.
_MOST_WARMING_HOURS: Final = 12.0
_BATCH: Final = 16
_QUERIES: Final = 5


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured with passages of one kind."""

    passages_per_second: float
    query_ms: float
    """Milliseconds for a query text whose passages are all stored."""

    @property
    def passage_ms(self) -> float:
        return 1000 / self.passages_per_second


@dataclass(frozen=True, slots=True)
class Bounds:
    """Window and deadline of a plan, and the reasons as sentences for its comments."""

    rescore_window: int
    deadline_ms: int
    why_window: str
    why_deadline: str


async def measure_speed(
    scorer: BiEncoderScorer, queries: Sequence[str], passages: Sequence[str], seconds: float
) -> Speed | None:
    """Let the model read passages for about `seconds`; None without passages or queries.

    Raises the RescoreError of a model that fails.
    """
    if not passages or not queries:
        return None
    read = 0
    started = time.monotonic()
    # The first batch has a shape that the model may not have seen; it is not counted.
    await scorer.fill(passages[:_BATCH])
    began = time.monotonic()
    round_ = 0
    while time.monotonic() - started < seconds or not read:
        start = (round_ * _BATCH) % len(passages)
        # A number makes each passage new, or its stored vector would be used.
        batch = [f"{text} {round_}" for text in passages[start : start + _BATCH]]
        read += await scorer.fill(batch)
        round_ += 1
    rate = read / max(time.monotonic() - began, 1e-6)
    stored = list(passages[:_BATCH])
    times = []
    for number, query in enumerate(queries[:_QUERIES]):
        began = time.monotonic()
        await scorer.score(f"{query} {number}", stored, None)
        times.append(1000 * (time.monotonic() - began))
    return Speed(rate, statistics.median(times))


def choose_bounds(
    speed: Speed | None, scored_passages: float, all_passages: float | None, why_unknown: str
) -> Bounds:
    """Window and deadline for one kind of documents.

    `scored_passages`: passages per document that a search scores, on average. `all_passages`: those
    of all documents together; None if that is not known. `why_unknown`: why there is no speed.
    """
    if speed is None:
        return Bounds(
            DEFAULT_WINDOW,
            DEFAULT_DEADLINE_MS,
            f"the default; {why_unknown}",
            f"the default; {why_unknown}",
        )

    def cold_ms(window: int) -> float:
        return window * max(scored_passages, 1) * speed.passage_ms + speed.query_ms

    window = DEFAULT_WINDOW
    why_window = (
        f"measured here: {speed.passages_per_second:.0f} passages a second, {speed.query_ms:.0f} ms"
        " for a query whose passages are stored"
    )
    hours = (all_passages or 0) / speed.passages_per_second / 3600
    if hours > _MOST_WARMING_HOURS:
        # Most searches will meet passages that are not stored.
        fitting = (w for w in (DEFAULT_WINDOW, *_SMALLER_WINDOWS) if cold_ms(w) <= _MOST_COLD_MS)
        window = next(fitting, _SMALLER_WINDOWS[-1])
        why_window += f"; reading all documents in advance would take {hours:,.0f} hours"
    cold = cold_ms(window)
    wanted = 50 * math.ceil(1.3 * cold / 50)
    deadline = min(max(wanted, DEFAULT_DEADLINE_MS), _LONGEST_DEADLINE_MS)
    why_deadline = f"a window that the model has not read takes about {cold:,.0f} ms here"
    if wanted > _LONGEST_DEADLINE_MS:
        why_deadline += ", more than this; `sidecar warm` reads all documents in advance"
        if all_passages and hours <= _MOST_WARMING_HOURS:
            why_deadline += f", in about {max(1, round(60 * hours)):,} minutes"
    return Bounds(window, deadline, why_window, why_deadline)
