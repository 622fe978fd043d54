"""Shows what `tune` found: a table for people, one object for machines, remarks for the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.console import Console

from pipelines.plan import Plan
from sidecar.evaluation.bootstrap import bootstrap_interval
from sidecar.evaluation.comparison import CUT, Comparison
from sidecar.evaluation.tuning import Tuning, Variant
from sidecar.screen import new_table

# Farther apart than this, the proxy did something else than was computed.
_AGREE = 0.005


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished tuning. `direct` and `rescored` are nDCG by query, and by variant and query.

    The first variant is the base plan. `verified`: the chosen plan through the real proxy, on
    all queries.
    """

    variants: Sequence[Variant]
    direct: Sequence[float]
    rescored: Sequence[Sequence[float]]
    tuning: Tuning
    verified: Comparison

    @property
    def chosen(self) -> Variant:
        return self.variants[self.tuning.chosen]

    @property
    def disagreement(self) -> str | None:
        """A sentence when the proxy's order is not as good as computed, or better."""
        computed = fmean(self.rescored[self.tuning.chosen])
        measured = self.verified.rescored.ndcg
        if abs(computed - measured) <= _AGREE:
            return None
        parts = ", ".join(f"{status}: {n}" for status, n in sorted(self.verified.outcomes.items()))
        return (
            f"Through the proxy nDCG@{CUT} was {measured:.4f}, not {computed:.4f} as computed"
            f" ({parts})."
        )


def settings_of(plan: Plan) -> dict[str, Any]:
    """What is tuned of a plan."""
    return {
        "rescore_window": plan.rescore_window,
        "stages": [stage.model for stage in plan.stages],
        "fusion": plan.fusion.model_dump(),
    }


def in_words(plan: Plan) -> str:
    """The same for people."""
    models = "+".join(stage.model for stage in plan.stages)
    text = f"window {plan.rescore_window}, {models}, weight {plan.fusion.weight:g}"
    if plan.fusion.method == "relative":
        text += f", lexical {plan.fusion.lexical:g}"
        text += f", short_query_words {plan.fusion.short_query_words}"
    return text


def remarks_of(tuned: Tuned, index: str, base_name: str) -> list[str]:
    """What the plan's file says of its origin."""
    tuning = tuned.tuning
    remarks = [
        f"Fitted by `sidecar tune` to {len(tuned.direct)} judged queries of {index}, from the plan"
        f" {base_name}.",
        f"nDCG@{CUT} on unseen queries ({len(tuning.folds)}-fold cross-validation):"
        f" {tuning.gain:+.4f} over OpenSearch's own order, 95 % interval"
        f" {tuning.interval.low:+.4f} to {tuning.interval.high:+.4f}.",
    ]
    if tuning.objection is not None:
        remarks.append(f"Not enabled: {tuning.objection}.")
    return remarks


def print_tuning(console: Console, tuned: Tuned, base_name: str) -> None:
    """Print the choice, its gain on unseen queries, and how stable the choice is."""
    tuning = tuned.tuning
    table = new_table(console)
    table.add_column(f"{len(tuned.direct)} judged queries")
    table.add_column("settings", ratio=1)
    table.add_column(f"nDCG@{CUT}", justify="right")
    table.add_row("OpenSearch alone", "", f"{fmean(tuned.direct):.4f}")
    for name, place in ((f"plan {base_name}", 0), ("chosen", tuning.chosen)):
        table.add_row(
            name, in_words(tuned.variants[place].plan), f"{fmean(tuned.rescored[place]):.4f}"
        )
    console.print(table)
    same = sum(fold.chosen == tuning.chosen for fold in tuning.folds)
    for line in (
        f"nDCG@{CUT} on unseen queries {tuning.gain:+.4f}, 95 % interval"
        f" {tuning.interval.low:+.4f} to {tuning.interval.high:+.4f}.",
        f"Of {len(tuning.folds)} folds {same} chose the same of {len(tuned.variants)} variants.",
        tuned.disagreement
        or f"Through the proxy: {tuned.verified.rescored.ndcg:.4f}, as computed.",
    ):
        console.print(line, highlight=False)


def tuning_json(tuned: Tuned) -> dict[str, Any]:
    """All of it: the choice, the folds, and every variant, the most preferred one first."""
    tuning, verified = tuned.tuning, tuned.verified
    base_gains = [own - its for own, its in zip(tuned.rescored[0], tuned.direct, strict=True)]
    base_interval = bootstrap_interval(base_gains)
    return {
        "judged_queries": len(tuned.direct),
        "enabled": tuning.objection is None,
        "objection": tuning.objection,
        "chosen": settings_of(tuned.chosen.plan),
        "unseen": {
            f"ndcg@{CUT}_gain": tuning.gain,
            "low": tuning.interval.low,
            "high": tuning.interval.high,
        },
        "base": {
            **settings_of(tuned.variants[0].plan),
            f"ndcg@{CUT}_gain": fmean(base_gains),
            "low": base_interval.low,
            "high": base_interval.high,
        },
        "folds": [
            {
                "queries": fold.queries,
                "chosen": settings_of(tuned.variants[fold.chosen].plan),
                f"ndcg@{CUT}_gain": fold.gain,
            }
            for fold in tuning.folds
        ],
        "proxy": {
            f"ndcg@{CUT}": verified.rescored.ndcg,
            "computed": fmean(tuned.rescored[tuning.chosen]),
            "p50_ms": verified.rescored.median_ms,
            "p95_ms": verified.rescored.p95_ms,
            "outcomes": dict(verified.outcomes),
        },
        f"direct_ndcg@{CUT}": fmean(tuned.direct),
        "variants": [
            {**settings_of(variant.plan), f"ndcg@{CUT}": fmean(values)}
            for variant, values in zip(tuned.variants, tuned.rescored, strict=True)
        ],
    }
