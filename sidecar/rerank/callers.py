"""Who calls, and whether they may call now: bearer keys, and a limit on requests per second."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from math import ceil

from sidecar.rerank.refusals import Refusal
from sidecar.token_bucket import TokenBuckets

ANONYMOUS = "anonymous"
"""The name of callers in metrics if no keys are configured."""

UNKNOWN = "unknown"
"""The name of callers in metrics if they send no configured key."""


def find_bearer(keys: Mapping[str, str], authorization: str | None) -> str:
    """The name of the key in an Authorization header; ANONYMOUS if no keys are configured.

    Raises Refusal `unauthorized`.
    """
    if not keys:
        return ANONYMOUS
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal("unauthorized", "send an API key: Authorization: Bearer KEY")
    sent_key = token.strip().encode("utf-8", "surrogateescape")
    # Every key is compared, so that the time does not reveal which one is similar.
    names = [name for name, key in keys.items() if hmac.compare_digest(key.encode(), sent_key)]
    if not names:
        raise Refusal("unauthorized", "this API key is not valid")
    return names[0]


class RateLimit:
    """A limit on the requests per second of each caller, who may send a second's worth at once."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second` 0: no limit."""
        self._per_second = per_second
        self._clock = clock
        self._buckets = TokenBuckets()

    def take(self, caller: str) -> None:
        """Take one request; raises Refusal `rate` with the seconds until the next one."""
        if not self._per_second:
            return
        wait = self._buckets.take(caller, self._per_second, self._clock())
        if wait:
            message = f"more than {self._per_second:g} requests a second; try again later"
            raise Refusal("rate", message, max(1, ceil(wait)))
