"""Which searches are rescored in the shadow: a share of them, at a rate, few at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pipelines.plan import Plan, ShadowLimits
from sidecar.token_bucket import TokenBuckets

Dropped = Literal["share", "rate", "concurrency"]
"""The limit that a shadow exceeded, so it was dropped."""

_DEFAULTS = ShadowLimits()


class ShadowAdmission:
    """Admits shadows by plan. Belongs to one event loop.

    `clock` is monotonic, in seconds; `draw` returns a random number from 0 to below 1.
    """

    def __init__(
        self,
        plans: Mapping[str, Plan],
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._limits = {name: plan.shadow or _DEFAULTS for name, plan in plans.items()}
        self._running = dict.fromkeys(plans, 0)
        self._buckets = TokenBuckets()
        self._clock = clock
        self._draw = draw

    def enter(self, plan_name: str) -> Dropped | None:
        """Begin a shadow, which must `leave`; or the limit that forbids it."""
        limits = self._limits[plan_name]
        if self._draw() >= limits.share:
            return "share"
        if self._running[plan_name] >= limits.concurrency:
            return "concurrency"
        if self._buckets.take(plan_name, limits.rate, self._clock()):
            return "rate"
        self._running[plan_name] += 1
        return None

    def leave(self, plan_name: str) -> None:
        """End a shadow."""
        self._running[plan_name] -= 1
