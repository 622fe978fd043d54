"""How long a search takes after its models have ended, so that they end early enough.

A plan's deadline is for the answer, not for the models. After these, a search waits for its turns
on the event loop, joins the scores, and writes the page. That takes two milliseconds where nothing
else runs, and more under load, so it is measured, and the models get that much less.
"""

from __future__ import annotations

from typing import Final

_MOST_SHARE: Final = 0.15
"""The share of the deadline that the models always leave; what takes longer makes a search late."""

_RISE: Final = 0.25
_FALL: Final = 0.02
"""Shares of a new measurement above and below the estimate. They differ, so that few searches
exceed the estimate; with the mean, half of the searches would be late."""


class FinishTime:
    """An estimate of this time, from the searches whose models ended at their deadline."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def models_deadline(self, started: float, deadline_ms: float) -> float:
        """When the models must end, in seconds of the monotonic clock.

        `started`: when the deadline's time began. `deadline_ms`: the plan's.
        """
        whole = deadline_ms / 1000
        return started + whole - min(self._seconds, _MOST_SHARE * whole)

    def record(self, models_deadline: float, ready: float, deadline_ms: float) -> None:
        """A search's models ended at `models_deadline`, and its answer was `ready` then."""
        # What no estimate can make up for does not count in full: one hiccup is no rule.
        seconds = min(max(0.0, ready - models_deadline), _MOST_SHARE * deadline_ms / 1000)
        difference = seconds - self._seconds
        self._seconds += (_RISE if difference > 0 else _FALL) * difference
