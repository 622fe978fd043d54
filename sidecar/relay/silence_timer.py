"""A time-out on silence that costs nothing per event but a look at the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SilenceTimer:
    """Calls `passed` once `seconds` have gone by since the last `restart`, unless stopped.

    Restarting makes no timer of the event loop while one is waiting: that one looks, when its
    time has come, how long the silence has really lasted. So a connection that carries thousands
    of requests a second makes one timer in `seconds`.
    """

    __slots__ = ("_handle", "_loop", "_passed", "_seconds", "_since")

    def __init__(self, seconds: float, passed: Callable[[], None]) -> None:
        """To be made within the event loop that it will run in."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._passed = passed
        self._since: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def restart(self) -> None:
        """Something happened: the silence begins now."""
        self._since = self._loop.time()
        if self._handle is None:
            self._handle = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Silence is no matter until the next `restart`."""
        self._since = None

    def close(self) -> None:
        """Stop for good, and let go of the event loop's timer."""
        self._since = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._since = None
            self._passed()
