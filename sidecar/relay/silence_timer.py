"""A time-out on silence; each event costs only one reading of the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SilenceTimer:
    """Calls `passed` when `seconds` have passed since the last `restart`, unless stopped.

    The event loop has at most one timer for it. When that timer fires, it checks how long the
    silence has really lasted, and starts another if necessary. So a connection that carries
    thousands of requests a second needs only one timer in `seconds`.
    """

    __slots__ = ("_handle", "_loop", "_passed", "_seconds", "_since")

    def __init__(self, seconds: float | None, passed: Callable[[], None]) -> None:
        """Create it within the event loop that it runs in. `seconds` None: no time-out."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._passed = passed
        self._since: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def restart(self) -> None:
        """Measure silence from now on."""
        if self._seconds is None:
            return
        self._since = self._loop.time()
        if self._handle is None:
            self._handle = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Ignore silence until the next `restart`."""
        self._since = None

    def close(self) -> None:
        """Stop for good, and cancel the event loop's timer."""
        self._since = None
        # It refers to the connection, so the two would be kept until a full garbage collection.
        self._passed = _nothing
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._since is None or self._seconds is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._since = None
            self._passed()


def _nothing() -> None:
    pass
