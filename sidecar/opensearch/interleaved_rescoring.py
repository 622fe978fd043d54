"""Rescores a window with the two plans of an `interleave`, and mixes their orders.

Both plans order the same hits of one answer. The second plan starts after the first one, with a
deadline of its own, so that neither has less time than it would have alone. If one of them does not
score everything, there are no teams: the comparison would not be fair.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, Rescoring, StageReport
from sidecar.adoption.interleaving import draft_teams
from sidecar.opensearch.window_order import Order
from sidecar.tracing.steps import Step, step

TEAMS_HEADER: Final = b"x-rescore-teams"
"""With `on`, the client asks for the teams of a page's hits."""

Run = Callable[[Plan, ChosenPassages | None], Awaitable[tuple[ChosenPassages, Rescoring]]]
"""Chooses a plan's passages, unless they are given, and rescores with them."""


@dataclass(frozen=True, slots=True)
class Interleave:
    """The two teams of a search: their names, their plans (None is OpenSearch's order), and the
    caller, who gets the same coins again for the same query."""

    names: tuple[str, str]
    plans: tuple[Plan | None, Plan | None]
    caller: bytes


@dataclass(frozen=True, slots=True)
class TeamOrders:
    """What each team found. A team with OpenSearch's order has the other one's passages and
    rescoring, which only explain its hits."""

    plans: tuple[Plan, Plan]
    chosen: tuple[ChosenPassages, ChosenPassages]
    rescorings: tuple[Rescoring, Rescoring]
    orders: tuple[Sequence[int], Sequence[int]]

    @property
    def stages(self) -> tuple[StageReport, ...]:
        """What the stages of both plans did."""
        return tuple(report for one in self.rescorings for report in one.stages)

    def find_shortfall(self) -> str | None:
        """Why a plan has not scored everything that it was given; None if both have."""
        short = (report for report in self.stages if report.scored < report.groups)
        return next((report.reason or "deadline" for report in short), None)

    def mix(self, seed: bytes) -> tuple[Order, str]:
        """The mixed order, and the team of each place; hits have no new scores."""
        draft = draft_teams(*self.orders, seed)
        return [(position, None) for position in draft.order], draft.teams


async def rescore_for_teams(interleave: Interleave, hits: int, run: Run) -> TeamOrders:
    """Rescore a window of `hits` hits for both teams. Raises RescoreError if a plan fails."""
    first, second = interleave.plans
    if first is None or second is None:
        plan = first or second
        assert plan is not None
        with _team(interleave.names[0 if first else 1]):
            chosen, rescoring = await run(plan, None)
        own, ranked = range(hits), _list_positions(rescoring)
        orders: tuple[Sequence[int], Sequence[int]] = (ranked, own) if first else (own, ranked)
        return TeamOrders((plan, plan), (chosen, chosen), (rescoring, rescoring), orders)
    with _team(interleave.names[0]):
        chosen_first, rescoring_first = await run(first, None)
    # The same passages serve both plans if these settings choose them alike.
    alike = first.passages == second.passages and first.fusion == second.fusion
    with _team(interleave.names[1]):
        chosen_second, rescoring_second = await run(second, chosen_first if alike else None)
    rescorings = rescoring_first, rescoring_second
    return TeamOrders(
        (first, second),
        (chosen_first, chosen_second),
        rescorings,
        (_list_positions(rescoring_first), _list_positions(rescoring_second)),
    )


def by_position(order: Order, teams: str) -> Mapping[int, str]:
    """Each hit's team by its position in OpenSearch's order."""
    return {position: team for (position, _), team in zip(order, teams, strict=False)}


def _team(plan_name: str) -> Step:
    team = step("team")
    team.note("plan", plan_name)
    return team


def _list_positions(rescoring: Rescoring) -> Sequence[int]:
    return [one.position for one in rescoring.ranking]
