"""How many requests a second a plan may have, by its capacity units."""

from __future__ import annotations

from sidecar.token_bucket import TokenBuckets

_UNIT_RATE = 0.01
"""Requests a second for each capacity unit. Source: the quotas in the service's documentation."""


class Allowance:
    """A token bucket for each plan. Belongs to one event loop."""

    def __init__(self) -> None:
        self._buckets = TokenBuckets()

    def take(self, plan_id: str, units: int, now: float) -> float:
        """Take one request of a plan that has `units` beyond its base unit.

        `now` is in seconds of a clock that never goes back. Returns 0, or the seconds until the
        plan may have a request again.
        """
        return self._buckets.take(plan_id, (1 + units) * _UNIT_RATE, now)
