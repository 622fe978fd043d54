"""Who calls, and whether they may call now: bearer keys and the rate of requests."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from math import ceil

from sidecar.rerank.refusals import Refusal

ANONYMOUS = "anonymous"
"""The caller's name in metrics where no keys are configured."""

UNKNOWN = "unknown"
"""The caller's name in metrics when its key is not one of the configured ones."""


def find_bearer(keys: Mapping[str, str], authorization: str | None) -> str:
    """The name of the key in an Authorization header; ANONYMOUS when no keys are configured.

    Raises Refusal `unauthorized`.
    """
    if not keys:
        return ANONYMOUS
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal("unauthorized", "send an API key: Authorization: Bearer KEY")
    given = token.strip().encode("utf-8", "surrogateescape")
    # Every key is compared, so that the time taken does not say which one was near.
    found = [name for name, key in keys.items() if hmac.compare_digest(key.encode(), given)]
    if not found:
        raise Refusal("unauthorized", "this API key is not valid")
    return found[0]


class RateLimit:
    """A bucket of requests for each caller, filled at a steady rate; holds a second's worth.

    Callers are configured names, so there is never a bucket for each stranger.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second` 0: no limit."""
        self._per_second = per_second
        self._size = max(1.0, per_second)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Take one request; raises Refusal `rate` with the seconds until there is one again."""
        if not self._per_second:
            return
        now = self._clock()
        left, since = self._buckets.get(caller, (self._size, now))
        left = min(self._size, left + (now - since) * self._per_second)
        if left < 1:
            self._buckets[caller] = (left, now)
            wait = ceil((1 - left) / self._per_second)
            message = f"more than {self._per_second:g} requests a second; try again later"
            raise Refusal("rate", message, max(1, wait))
        self._buckets[caller] = (left - 1, now)
