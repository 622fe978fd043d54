"""Prints the figures of a plan, as a table of at most 80 columns."""

from __future__ import annotations

from rich.console import Console

from sidecar.bench.measuring import ModelSpeed, PlanFigures, SearchFigures
from sidecar.screen import new_table

_PASSAGES = 100_000


def print_plan(console: Console, plan: PlanFigures) -> None:
    """Print the table of one plan, and remarks on it."""
    console.print(
        f"\nplan {plan.plan}: {plan.window} hits, up to {plan.per_group} passages each, "
        f"deadline {plan.deadline_ms} ms",
        style="bold",
        highlight=False,
        markup=False,
    )
    table = new_table(console)
    table.add_column("searches", no_wrap=True)
    for name in ("number", "a second", "p50 ms", "p95 ms", "p99 ms", "scored"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in plan.searches:
        table.add_row(
            one.kind,
            str(one.searches),
            f"{one.per_second:.1f}",
            *(f"{value:.1f}" for value in (one.p50, one.p95, one.p99)),
            f"{one.scored:.0%}",
        )
    console.print(table)
    for one in plan.searches:
        if others := _others(one):
            console.print(f"{one.kind}: {others}", highlight=False, markup=False)
    for model in plan.models:
        console.print(_speed(model), highlight=False, markup=False)
    console.print(
        f"memory: {plan.memory_at_start:.0f} MB after the start, {plan.memory_at_end:.0f} MB at"
        f" the end with {plan.stored:,} passages stored",
        highlight=False,
    )


def print_what_is_included(console: Console) -> None:
    """Print what the figures include, for comparison with other figures."""
    console.print(
        "\nWhole searches over HTTP, with texts of the bundled sample: the time that the sidecar"
        " adds. OpenSearch's own time is not included: a second process answers at once, and its"
        " time is subtracted. cold: no passage was read before. warm: all passages were read"
        " before, but the query text was not. scored: hits that a model read before the deadline.",
        highlight=False,
    )


def _others(measured: SearchFigures) -> str:
    """The number of searches that were not rescored in full, by status."""
    return ", ".join(
        f"{count} {status}" for status, count in measured.statuses.items() if status != "applied"
    )


def _speed(model: ModelSpeed) -> str:
    if not model.texts:
        return f"model {model.name}: read nothing"
    if model.kind == "cross-encoder":
        return f"model {model.name}: {model.per_second:,.0f} pairs a second"
    minutes = _PASSAGES / model.per_second / 60
    return (
        f"model {model.name}: {model.per_second:,.0f} passages a second, so {_PASSAGES:,} take "
        f"`sidecar warm` {minutes:,.0f} min"
    )
