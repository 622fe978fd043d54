"""Shows what users' clicks say of the plans: as tables for people, or as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from sidecar.evaluation.live_comparison import (
    FEW_SEARCHES,
    ArmResult,
    InterleaveResult,
    MeasuredValue,
)
from sidecar.evaluation.ubi import UbiRecords
from sidecar.screen import new_table


def print_live(
    console: Console,
    records: UbiRecords,
    pairs: Sequence[InterleaveResult],
    arms: Sequence[ArmResult],
) -> None:
    """Print interleaved pairs with their winners, arms with their differences, and lost clicks."""
    if pairs:
        table = new_table(console)
        for column in ("interleaved", "clicked", "a wins", "b wins", "for b", "95 % interval"):
            table.add_column(column)
        for one in pairs:
            table.add_row(
                f"a {one.pair.a}, b {one.pair.b}",
                f"{one.clicked} of {one.searches}",
                str(one.wins_a),
                str(one.wins_b),
                *_cells(one.preference),
            )
        console.print(table)
        for one in pairs:
            console.print(_verdict(one), highlight=False)
    if arms:
        table = new_table(console)
        for column in ("arm", "searches", "users", "clicked", "95 % interval", "1/rank", "95 %"):
            table.add_column(column)
        for arm in arms:
            table.add_row(
                arm.plan,
                str(arm.searches),
                str(arm.users),
                *_cells(arm.click_through),
                *_cells(arm.first_click),
            )
        console.print(table)
        for arm in arms[1:]:
            for name, gain in (
                ("share of searches with a click", arm.click_through_gain),
                ("1/rank of the first click", arm.first_click_gain),
            ):
                if gain is not None:
                    value, interval = _cells(gain)
                    state = "" if gain.is_certain else "; not certain"
                    console.print(
                        f"{arm.plan} against {arms[0].plan}, {name}: {value}, 95 % interval"
                        f" {interval}{state}.",
                        highlight=False,
                    )
    console.print(
        f"{records.clicks:,} clicks, {records.lost_clicks:,} of them on no hit that was stored.",
        highlight=False,
    )


def live_json(
    records: UbiRecords, pairs: Sequence[InterleaveResult], arms: Sequence[ArmResult]
) -> dict[str, Any]:
    """The whole result; differences are to the first arm."""
    return {
        "searches": len(records.searches),
        "clicks": records.clicks,
        "lost_clicks": records.lost_clicks,
        "interleave": [
            {
                "a": one.pair.a,
                "b": one.pair.b,
                "searches": one.searches,
                "clicked": one.clicked,
                "wins_a": one.wins_a,
                "wins_b": one.wins_b,
                "preference_for_b": _json(one.preference),
                "winner": one.winner,
            }
            for one in pairs
        ],
        "split": [
            {
                "plan": arm.plan,
                "searches": arm.searches,
                "users": arm.users,
                "click_through": _json(arm.click_through),
                "first_click": _json(arm.first_click),
                "click_through_gain": _json(arm.click_through_gain),
                "first_click_gain": _json(arm.first_click_gain),
            }
            for arm in arms
        ],
    }


def _verdict(one: InterleaveResult) -> str:
    if one.winner is not None:
        return f"{one.winner} wins."
    if one.clicked < FEW_SEARCHES:
        return f"Too few searches with clicks for a winner; collect at least {FEW_SEARCHES}."
    return f"No winner: {one.pair.a} and {one.pair.b} cannot be told apart yet."


def _cells(estimate: MeasuredValue | None) -> tuple[str, str]:
    if estimate is None:
        return "", ""
    interval = estimate.interval
    return f"{estimate.value:+.4f}", f"{interval.low:+.4f} to {interval.high:+.4f}"


def _json(estimate: MeasuredValue | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    return {
        "value": estimate.value,
        "low": estimate.interval.low,
        "high": estimate.interval.high,
    }
