"""Lets one search at a time compute on the event loop, so that other clients need not wait for all.

Each step of a search on the event loop is short. But many searches may be ready for a step in the
same round of the loop, and the loop would run all of these steps before it serves any other client.
So a search takes a turn before each step, and one turn is granted in each round.

The search that began first gets the next turn. If all took their steps in turn, all would end at
about the same time, which is the time of the last: under load, each would miss its deadline.

If searches come faster than they can be served, the queue grows without end. The number of steps
in it, and the time that each takes, tell how far the event loop is behind. New searches had better
keep OpenSearch's order then, since each would delay all that wait.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from contextvars import ContextVar
from itertools import count
from typing import Final
from weakref import WeakKeyDictionary

_NEWEST_SHARE: Final = 0.1
_LONGEST_TURN_S: Final = 0.02
"""A longer turn is counted as this: the machine, and not the searches, held up the event loop."""


class _Turns:
    """The turns of one event loop. It holds no reference to the loop, so that both can be freed."""

    def __init__(self) -> None:
        self._taken = False
        # By when the search began, and in the order of their coming if it is the same.
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._turn_s = 0.0
        # When the current turn was granted to a step that had waited; None if none had.
        self._granted: float | None = None

    @property
    def behind_s(self) -> float:
        """Seconds until all steps that wait have had their turns, as far as known."""
        return len(self._waiting) * self._turn_s

    def enter(
        self, loop: asyncio.AbstractEventLoop, began: float | None
    ) -> asyncio.Future[None] | None:
        """Take the turn of this round if it is free, and return None; else join the queue."""
        if not self._taken:
            self._taken = True
            loop.call_soon(self._grant, loop)
            return None
        turn: asyncio.Future[None] = loop.create_future()
        order = time.monotonic() if began is None else began
        heapq.heappush(self._waiting, (order, next(self._numbers), turn))
        return turn

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = False
        now = time.monotonic()
        if self._granted is not None:
            seconds = min(now - self._granted, _LONGEST_TURN_S)
            self._turn_s += _NEWEST_SHARE * (seconds - self._turn_s)
            self._granted = None
        while self._waiting and not self._taken:
            _, _, turn = heapq.heappop(self._waiting)
            # A search whose client has left gives its turn to the next one.
            if not turn.done():
                turn.set_result(None)
                self._taken = True
                self._granted = now
                loop.call_soon(self._grant, loop)


_turns_by_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()
_began: Final[ContextVar[float | None]] = ContextVar("search_began", default=None)


def begin_search() -> None:
    """The search of this task begins: its steps go before those of searches that begin later."""
    _began.set(time.monotonic())


def search_age_s() -> float:
    """Seconds since the search of this task began; 0 without `begin_search`."""
    began = _began.get()
    return 0.0 if began is None else time.monotonic() - began


async def next_turn() -> None:
    """Wait until no other step runs in this round of the event loop; return at once if none does.

    The caller may then compute for some milliseconds, until its next `await`. Without
    `begin_search`, each step counts as a search of its own.
    """
    loop = asyncio.get_running_loop()
    turns = _turns_by_loop.get(loop)
    if turns is None:
        turns = _turns_by_loop[loop] = _Turns()
    turn = turns.enter(loop, _began.get())
    if turn is not None:
        await turn


def turns_behind_s() -> float:
    """Seconds until all steps of searches that wait now have had their turns; 0 if none waits.

    Call it in the event loop.
    """
    loop = asyncio.get_running_loop()
    turns = _turns_by_loop.get(loop)
    return 0.0 if turns is None else turns.behind_s
