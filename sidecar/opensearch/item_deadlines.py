"""The time that each item of an `_msearch` has for its rescoring.

The deadline of a plan is for all items of the request together. Each item gets the same share of
what is left: the time until its plan's deadline, divided by the number of items that still wait for
a model, itself included. Time that an item does not use goes to the items behind it. So no item can
use up the time of the others, and an item whose passages are already read costs them nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from pipelines.plan import Plan
from sidecar.opensearch.answer_rescoring import SearchContext


class ItemDeadlines:
    """Divides the time among the items of one request.

    `contexts` has the context of each item, by position. `waiting` has the positions of those that
    want a model; the others need no time. `order` is the order in which the items are rescored: by
    their plans' deadlines, the earliest first, then by position. So an item with a late deadline
    does not use up an early one.
    """

    def __init__(self, contexts: Mapping[int, SearchContext], waiting: Set[int]) -> None:
        self._contexts = contexts
        self._waiting = set(waiting)
        self.order = sorted(contexts, key=lambda position: (self._whole_ms(position), position))

    def take(self, position: int, elapsed_ms: float) -> SearchContext | None:
        """The item's context, with its share of the time as its deadline; each item takes once.

        `elapsed_ms` is the time since the deadlines began. None if less than a millisecond is left
        until the plan's deadline.
        """
        context = self._contexts[position]
        least_ms = len(_list_plans(context))
        left_ms = self._whole_ms(position) - elapsed_ms
        shares = len(self._waiting | {position})
        self._waiting.discard(position)
        if left_ms < least_ms:
            return None
        return _shorten(context, max(least_ms, left_ms / shares) / self._whole_ms(position))

    def _whole_ms(self, position: int) -> int:
        return sum(plan.deadline_ms for plan in _list_plans(self._contexts[position]))


def _list_plans(context: SearchContext) -> list[Plan]:
    """The plans that run one after the other: an `interleave` has the deadlines of both."""
    if context.interleave is None:
        return [context.plan]
    return [plan for plan in context.interleave.plans if plan]


def _shorten(context: SearchContext, share: float) -> SearchContext:
    """The context with this share of its deadline; each plan of an `interleave` loses the same."""

    def shorten(plan: Plan) -> Plan:
        return plan.model_copy(update={"deadline_ms": max(1, int(plan.deadline_ms * share))})

    interleave = context.interleave
    if interleave is not None:
        first, second = (shorten(plan) if plan else None for plan in interleave.plans)
        interleave = replace(interleave, plans=(first, second))
    return replace(context, plan=shorten(context.plan), interleave=interleave)
