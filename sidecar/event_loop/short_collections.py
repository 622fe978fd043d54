"""Keeps garbage collections short, however much the caches hold.

CPython's collector stops the whole process while it looks at containers: now and then at those that
are new, and less often at all. Nearly all that live long are in caches, and are needed: with the
texts of a few thousand documents, a full collection took 30 to 60 ms, several times a minute. So
what a collection leaves is frozen (`gc.freeze`): each object is looked at once.

Counting references frees a frozen object like any other. Only cycles are not found any more, if
they were frozen before their last use, so searches and connections should leave none. For the rest,
everything is thawed and looked at once in a while, at a moment when no request is being answered,
if there is one.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

_log: Final = logging.getLogger(__name__)

DUE_S: Final = 3600.0
LATEST_S: Final = 24 * 3600.0
"""Where requests come without any pause, one wait of about 0.1 s a day is better than a leak."""

_LOOK_S: Final = 1.0


class ShortCollections:
    """From `start` to `stop`, collections are short; both are called in one event loop.

    `is_idle` says whether no request is being answered. If that is so twice, a second apart,
    `due_s` after the last time, everything is looked at; after `latest_s` in any case.
    """

    def __init__(
        self, is_idle: Callable[[], bool], due_s: float = DUE_S, latest_s: float = LATEST_S
    ) -> None:
        self._is_idle = is_idle
        self._due_s = due_s
        self._latest_s = latest_s
        self._was_idle = False
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Freeze what stands now, and what each collection leaves."""
        self._wait(self._due_s)
        self._last = time.monotonic()
        gc.freeze()
        gc.callbacks.append(_freeze_the_rest)

    def stop(self) -> None:
        """Let collections look at everything again. May be called more than once."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        gc.callbacks.remove(_freeze_the_rest)
        gc.unfreeze()

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        age = time.monotonic() - self._last
        idle = self._is_idle()
        if not (idle and self._was_idle) and age < self._latest_s:
            self._was_idle = idle
            self._wait(_LOOK_S)
            return
        self._was_idle = False
        began = time.monotonic()
        # Otherwise another thread's collection could freeze everything again before this one.
        gc.callbacks.remove(_freeze_the_rest)
        gc.unfreeze()
        found = gc.collect()
        gc.freeze()
        gc.callbacks.append(_freeze_the_rest)
        self._last = time.monotonic()
        ms = (self._last - began) * 1000
        _log.info("looked for garbage in everything: %d objects in %.0f ms", found, ms)
        self._wait(self._due_s)


def _freeze_the_rest(phase: str, info: Mapping[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
