"""Lets one search at a time compute on the event loop, so that other clients need not wait for all.

Each step of a search on the event loop is short. But many searches may be ready for a step in the
same round of the loop, and the loop would run all of these steps before it serves any other client.
So a search takes a turn before each step. Turns are granted in order, one in each round.

How long the next search in the queue has waited tells how far the event loop is behind. If searches
come faster than they can be served, that time grows without end; new searches had better keep
OpenSearch's order then, since each would delay all that wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary


class _Turns:
    """The turns of one event loop. It holds no reference to the loop, so that both can be freed."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()

    def waits_s(self, loop: asyncio.AbstractEventLoop) -> float:
        """Seconds that the next search in the queue has waited; 0 if there is none."""
        return loop.time() - self._waiting[0][1] if self._waiting else 0.0

    def enter(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """Take the turn of this round if it is free, and return None; else join the queue."""
        if not self._taken:
            self._taken = True
            loop.call_soon(self._grant, loop)
            return None
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((turn, loop.time()))
        return turn

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = False
        while self._waiting and not self._taken:
            turn, _ = self._waiting.popleft()
            # A search whose client has left gives its turn to the next one.
            if not turn.done():
                turn.set_result(None)
                self._taken = True
                loop.call_soon(self._grant, loop)


_turns_by_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()


async def next_turn() -> None:
    """Wait until no other step runs in this round of the event loop; return at once if none does.

    The caller may then compute for some milliseconds, until its next `await`.
    """
    loop = asyncio.get_running_loop()
    turns = _turns_by_loop.get(loop)
    if turns is None:
        turns = _turns_by_loop[loop] = _Turns()
    turn = turns.enter(loop)
    if turn is not None:
        await turn


def turn_wait_s() -> float:
    """Seconds for which the next search has waited for its turn; 0 if none waits.

    Call it in the event loop.
    """
    loop = asyncio.get_running_loop()
    turns = _turns_by_loop.get(loop)
    return 0.0 if turns is None else turns.waits_s(loop)
