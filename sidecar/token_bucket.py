"""Token buckets: how many requests a second each caller may send.

Every caller has a bucket. A request takes one token out of it, and the bucket fills at a steady
rate. A caller that was quiet may therefore send a burst, as large as the bucket.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_BUCKETS = 10_000
"""Buckets in memory; beyond that the bucket that was used longest ago is forgotten, which is to
say that it is full again."""


class TokenBuckets:
    """One bucket for each key. A bucket holds the whole tokens of one second, and at least one.

    Belongs to one event loop. Time comes from the caller, in seconds of a clock that never goes
    back, such as `time.monotonic`.
    """

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        # By key: the tokens in the bucket, and when that was.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, rate: float, now: float) -> float:
        """Take one token from the bucket of `key`, which fills at `rate` tokens a second.

        Returns 0, or, if the bucket has no token, the seconds until it has one. `rate` is above 0
        and may change between two calls.
        """
        size = float(max(1, int(rate)))
        tokens, since = self._buckets.pop(key, (size, now))
        tokens = min(size, tokens + (now - since) * rate)
        granted = tokens >= 1
        self._buckets[key] = (tokens - 1 if granted else tokens, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - tokens) / rate
