"""Leaves the order to OpenSearch for a while if a plan's rescoring fails too often or takes long.

It works like a circuit breaker (Nygard, Release It!, 2007). Closed: every search is rescored, and
results are counted. Open: no search is rescored, for `window_s`. Half open: a few searches are
rescored, and their results decide. Nothing here waits or locks: counts may be off by a few if
several threads ask at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from pipelines.plan import Plan, StepBackGuard
from sidecar.metrics import Metrics

_log: Final = logging.getLogger("sidecar.search")

LEAST_SEARCHES: Final = 20
"""Searches that must be in the window before a plan can step back."""

PROBES: Final = 5
"""Searches a second that are rescored while half open, and results that decide."""

_MOST_SLOTS: Final = 60
_SLOW_SHARE: Final = 0.05  # the 95th percentile is above a limit if more than 5 % of searches are


class WindowCounts:
    """How many searches were rescored in a window, how many failed, and how many were slow.

    The window has at most 60 slots, so memory is bounded whatever the rate.
    """

    def __init__(self, window_s: float) -> None:
        self._slot_s = max(1.0, window_s / _MOST_SLOTS)
        self._slots = max(1, round(window_s / self._slot_s))
        # By slot number modulo the number of slots: the slot's number, then the three counts.
        self._counts = [[-1, 0, 0, 0] for _ in range(self._slots)]

    def add(self, failed: bool, slow: bool, now: float) -> None:
        """Count one search."""
        number = int(now // self._slot_s)
        slot = self._counts[number % self._slots]
        if slot[0] != number:
            slot[:] = (number, 0, 0, 0)
        slot[1] += 1
        slot[2] += failed
        slot[3] += slow

    def total(self, now: float) -> tuple[int, int, int]:
        """All searches of the window, those that failed, those that were slow."""
        oldest = int(now // self._slot_s) - self._slots
        recent = [slot for slot in self._counts if slot[0] > oldest]
        searches, failed, slow = (sum(slot[place] for slot in recent) for place in (1, 2, 3))
        return searches, failed, slow

    def clear(self) -> None:
        """Forget all counts."""
        for slot in self._counts:
            slot[:] = (-1, 0, 0, 0)


class StepBack:
    """Whether one plan's searches are rescored. `now` is always a monotonic clock, in seconds.

    `changed` is called with True when the plan steps back, and with False when it returns.
    """

    def __init__(self, guard: StepBackGuard, changed: Callable[[bool], object]) -> None:
        self._guard = guard
        self._changed = changed
        self._counts = WindowCounts(guard.window_s)
        self._back_until: float | None = None  # None: closed
        self._probe_second = -1
        self._probes = 0

    @property
    def is_back(self) -> bool:
        """Whether the order is left to OpenSearch, or only a few searches are rescored."""
        return self._back_until is not None

    def admits(self, now: float) -> bool:
        """Whether a search that begins now may be rescored."""
        if self._back_until is None:
            return True
        if now < self._back_until:
            return False
        second = int(now)
        if second != self._probe_second:
            self._probe_second, self._probes = second, 0
        self._probes += 1
        return self._probes <= PROBES

    def record(self, failed: bool, added_ms: float, now: float) -> None:
        """Count a search that was rescored, or whose rescoring failed."""
        if self._back_until is not None and now < self._back_until:
            return  # it began before the plan stepped back
        guard = self._guard
        slow = guard.added_p95_ms is not None and added_ms > guard.added_p95_ms
        self._counts.add(failed, slow, now)
        searches, failures, slow_ones = self._counts.total(now)
        half_open = self._back_until is not None
        if searches < (PROBES if half_open else LEAST_SEARCHES):
            return
        exceeded = (
            guard.failed_share is not None and failures > guard.failed_share * searches
        ) or slow_ones > _SLOW_SHARE * searches
        if exceeded:
            self._back_until = now + guard.window_s
            self._counts.clear()
            if not half_open:
                self._changed(True)
        elif half_open:
            self._back_until = None
            self._counts.clear()
            self._changed(False)


class StepBacks:
    """The plans that have a `guard`.

    After a reload, `former` has the state of the plans before it. A plan of `same`, which the
    reload did not change, keeps its state: a reload does not send searches to a plan that fails.
    """

    def __init__(
        self,
        plans: Mapping[str, Plan],
        metrics: Metrics,
        clock: Callable[[], float],
        former: StepBacks | None = None,
        same: Collection[str] = (),
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        before = former._guarded if former is not None else {}
        self._guarded: dict[str, StepBack] = {}
        for name, plan in plans.items():
            if plan.guard is None:
                continue
            if name in same and name in before:
                self._guarded[name] = before[name]
                continue
            self._guarded[name] = StepBack(plan.guard, partial(_tell, metrics, name))

    def show(self) -> None:
        """Write the metric of these plans, and of no other; for when they begin to serve."""
        self._metrics.stepped_back.clear()
        for name, step_back in self._guarded.items():
            self._metrics.stepped_back.labels(name).set(step_back.is_back)

    def admits(self, plan_name: str) -> bool:
        """Whether a search with this plan may be rescored now."""
        step_back = self._guarded.get(plan_name)
        return step_back is None or step_back.admits(self._clock())

    def record(self, plan_name: str, failed: bool, added_ms: float) -> None:
        """Count a search of this plan that was rescored, or whose rescoring failed."""
        step_back = self._guarded.get(plan_name)
        if step_back is not None:
            step_back.record(failed, added_ms, self._clock())


def _tell(metrics: Metrics, name: str, back: bool) -> None:
    metrics.stepped_back.labels(name).set(back)
    if back:
        metrics.step_backs.labels(name).inc()
        _log.warning("plan %s steps back: its guard's limits are exceeded", name)
    else:
        _log.warning("plan %s rescores again", name)
