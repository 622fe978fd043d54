"""What a soak counted and sampled, and what of it is a fault."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_MEMORY_GROWTH: Final = 0.05
_THINGS_GROWTH: Final = 4
"""A sample may catch a connection or a thread that is about to end."""
_LEVELS: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {
    "rss_mb": statistics.median,
    "descriptors": min,
    "threads": min,
    "tasks": min,
}
"""Each request that is being answered has tasks, a thread, and descriptors of its own, and a dead
node makes many wait at once. The least of a quarter has the fewest of them; a leak raises it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the sidecar uses at one time. `seconds` since the start of the load; `rss_mb` in MB of
    10^6 bytes; `tasks` of the event loop."""

    seconds: float
    rss_mb: float
    descriptors: int
    threads: int
    tasks: int


@dataclass(slots=True)
class Results:
    """Counts by kind. `answers`: requests that were answered, by kind and status. `excused`: what
    ended because a node had died. `faults`: what must not happen, in words."""

    answers: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    written: set[str] = field(default_factory=set)
    samples: list[Sample] = field(default_factory=list)
    before: Sample | None = None
    after: Sample | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """One figure over the run: the level of its second and its last quarter (for memory the
    median, for the others the least), and at rest before and after the load. `fault` is empty if
    it is flat."""

    name: str
    early: float
    late: float
    before: float
    after: float
    fault: str


def measure_growth(results: Results) -> list[Growth]:
    """One entry for memory, descriptors, threads and tasks. Needs four samples."""
    before, after = results.before, results.after
    assert before is not None
    assert after is not None
    quarter = len(results.samples) // 4
    early, late = results.samples[quarter : 2 * quarter], results.samples[-quarter:]
    figures = []
    for name in ("rss_mb", "descriptors", "threads", "tasks"):
        begin, end = _level(early, name), _level(late, name)
        rest, last = float(getattr(before, name)), float(getattr(after, name))
        fault = ""
        if name == "rss_mb":
            # At rest the caches are empty before the load and full after it.
            if end > begin * (1 + _MEMORY_GROWTH):
                fault = f"grew by {end / begin - 1:.0%} from the second quarter to the last"
        elif end > begin + _THINGS_GROWTH:
            fault = f"grew from {begin:.0f} to {end:.0f}"
        elif name != "threads" and last > rest + _THINGS_GROWTH:
            # Threads of pools stay once they have begun; what they may not do is to grow.
            fault = f"{last:.0f} at rest after the load, {rest:.0f} before it"
        figures.append(Growth(name, begin, end, rest, last, fault))
    return figures


def list_faults(results: Results) -> list[str]:
    """One line for each fault; none if all is well."""
    lines = [f"{what}: {count}" for what, count in sorted(results.faults.items())]
    lines += [f"{one.name} {one.fault}" for one in measure_growth(results) if one.fault]
    return lines


def _level(samples: Sequence[Sample], name: str) -> float:
    return float(_LEVELS[name](getattr(sample, name) for sample in samples))
