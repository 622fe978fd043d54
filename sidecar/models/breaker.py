"""A circuit breaker: after some failures in a row, a server gets no call for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Says whether a call may be made. After a pause, one call probes the server.

    Each failed probe doubles the pause, up to the longest. May be called from any thread.
    """

    def __init__(
        self,
        failures: int = 3,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failures`: in a row, after which calls pause."""
        self._most_failures = failures
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_s = first_pause_s
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are stopped."""
        return self._until is not None

    def allow(self) -> bool:
        """Whether to make a call now; report its outcome with one of the other methods."""
        with self._lock:
            if self._until is None:
                return True
            now = self._clock()
            if now < self._until:
                return False
            self._until = now + self._pause_s  # this call is the probe; no second one meanwhile
            return True

    def succeed(self) -> None:
        """The call succeeded, so calls pass again."""
        with self._lock:
            self._failures, self._pause_s, self._until = 0, self._first_pause_s, None

    def fail(self) -> None:
        """The call failed."""
        with self._lock:
            self._failures += 1
            if self._until is not None:
                self._pause_s = min(self._pause_s * 2, self._longest_pause_s)
            if self._until is not None or self._failures >= self._most_failures:
                self._until = self._clock() + self._pause_s

    def give_up(self) -> None:
        """The call had so little time that it says nothing about the server; the next may probe."""
        with self._lock:
            if self._until is not None:
                self._until = self._clock()
