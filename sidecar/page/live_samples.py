"""What the metrics counted in the last hour: one small sample of them per minute, in memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry

from sidecar.page.reason_fixes import describe_reason

PERIOD_S: Final = 60.0
MINUTES: Final = 60
_MOST_VALUES: Final = 5000
_MOST_PRESENT: Final = 100

# The sidecar's own metrics; the others are the process's.
_PREFIXES: Final = ("rescore_", "relay_")
_SEARCHES: Final = "rescore_searches_total"
_PRESENT: Final = (
    *("rescore_student_error", "rescore_student_lessons"),
    *("rescore_passages_stored", "rescore_stepped_back"),
)
"""Values of now, which no difference explains."""

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels, sorted."""


class _Sample(NamedTuple):
    at: float
    values: Mapping[Key, float]


class LiveSamples:
    """Counters and histograms of the last hour. Belongs to one event loop.

    After a reload, the new door uses the former one's, so that the hour does not begin again.
    """

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._samples: deque[_Sample] = deque(maxlen=MINUTES + 1)
        self._task: asyncio.Task[None] | None = None
        self._users = 0

    def start(self) -> None:
        """Take a sample now and one each minute, until each user has called `stop`."""
        self._users += 1
        if self._task is None:
            self.take()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Take no more samples, unless there is another user."""
        self._users -= 1
        if self._users == 0 and self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def take(self) -> None:
        """Take a sample."""
        self._samples.append(self._read())

    def describe(self) -> dict[str, Any]:
        """What was counted since the oldest sample, and the searches of each minute."""
        now = self._read()
        samples = [*self._samples, now]
        first = samples[0]
        rises = _rises(first.values, now.values)
        return {
            "seconds": now.at - first.at,
            "minutes": [
                {"ago_s": now.at - later.at, "searches": _by_status(earlier.values, later.values)}
                for earlier, later in zip(samples, samples[1:], strict=False)
            ],
            "reasons": _list_reasons(rises),
            "steps": _list_times(rises),
            "means": _list_means(rises),
            "present": self._read_present(),
            "counts": [
                {"name": name, "labels": dict(labels), "count": count}
                for (name, labels), count in sorted(rises.items())
                if name.endswith("_total") and name != _SEARCHES
            ],
        }

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            self.take()

    def _read(self) -> _Sample:
        values: dict[Key, float] = {}
        for family in self._registry.collect():
            if not family.name.startswith(_PREFIXES) or family.type not in ("counter", "histogram"):
                continue
            for sample in family.samples:
                if not sample.name.endswith("_created") and len(values) < _MOST_VALUES:
                    values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        return _Sample(self._clock(), values)

    def _read_present(self) -> list[dict[str, Any]]:
        return [
            {"name": family.name, "labels": sample.labels, "value": sample.value}
            for family in self._registry.collect()
            if family.name in _PRESENT
            for sample in family.samples[:_MOST_PRESENT]
            if isfinite(sample.value)
        ]


def _rises(earlier: Mapping[Key, float], later: Mapping[Key, float]) -> dict[Key, float]:
    """How much each value rose, without those that did not."""
    rises = {key: value - earlier.get(key, 0.0) for key, value in later.items()}
    return {key: rise for key, rise in rises.items() if rise > 0}


def _by_status(earlier: Mapping[Key, float], later: Mapping[Key, float]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for (name, labels), count in _rises(earlier, later).items():
        if name == _SEARCHES:
            status = dict(labels).get("status", "")
            counts[status] = counts.get(status, 0.0) + count
    return counts


def _list_reasons(rises: Mapping[Key, float]) -> list[dict[str, Any]]:
    """Searches by plan, status and reason, the most frequent first."""
    found = [
        {
            "plan": values.get("plan"),
            "status": values.get("status"),
            "count": count,
            **describe_reason(values.get("reason") or None),
        }
        for (name, labels), count in rises.items()
        if name == _SEARCHES
        for values in (dict(labels),)
    ]
    return sorted(found, key=lambda one: -one["count"])


def _list_means(rises: Mapping[Key, float]) -> list[dict[str, Any]]:
    """Each histogram that has no seconds: how often, and the mean."""
    return [
        {
            "name": name.removesuffix("_count"),
            "labels": dict(labels),
            "count": count,
            "mean": rises.get((f"{name.removesuffix('_count')}_sum", labels), 0.0) / count,
        }
        for (name, labels), count in sorted(rises.items())
        if name.endswith("_count") and not name.endswith("_seconds_count")
    ]


def _list_times(rises: Mapping[Key, float]) -> list[dict[str, Any]]:
    """Each histogram of seconds: how often, the mean, and bounds of the median and of 95 %."""
    steps = []
    for (name, labels), count in sorted(rises.items()):
        if not name.endswith("_seconds_count"):
            continue
        base = name.removesuffix("_count")
        buckets = sorted(
            (float(dict(other)["le"]), rise)
            for (bucket, other), rise in rises.items()
            if bucket == f"{base}_bucket"
            and tuple(pair for pair in other if pair[0] != "le") == labels
        )
        steps.append(
            {
                "name": base,
                "labels": dict(labels),
                "count": count,
                "mean_ms": 1000 * rises.get((f"{base}_sum", labels), 0.0) / count,
                "p50_ms": _quantile(buckets, count, 0.5),
                "p95_ms": _quantile(buckets, count, 0.95),
            }
        )
    return steps


def _quantile(buckets: Sequence[tuple[float, float]], count: float, share: float) -> float | None:
    """The upper bound, in milliseconds, of the bucket with this share; None if it has no bound."""
    bounds: Iterable[float] = (bound for bound, below in buckets if below >= share * count)
    bound = next(iter(bounds), float("inf"))
    return None if bound == float("inf") else 1000 * bound
