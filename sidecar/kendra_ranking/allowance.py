"""How many requests a second a plan may have, by its capacity units."""

from __future__ import annotations

from collections import OrderedDict

_UNIT_RATE = 0.01
_MOST_PLANS = 10_000


class Allowance:
    """A token bucket for each plan: filled at 0.01 requests a second and unit, the base unit
    included, holding one request or one second's worth. Belongs to one event loop."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, plan_id: str, units: int, now: float) -> float:
        """Take one request at `now`, in seconds of any clock that only goes forward.

        Returns 0, or the seconds after which there will be one.
        """
        rate = (1 + units) * _UNIT_RATE
        room = float(max(1, int(rate)))
        left, since = self._buckets.pop(plan_id, (room, now))
        left = min(room, left + (now - since) * rate)
        granted = left >= 1
        self._buckets[plan_id] = (left - 1 if granted else left, now)
        if len(self._buckets) > _MOST_PLANS:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - left) / rate
