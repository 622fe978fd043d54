"""Shows the result of `tune`: a table for people, a JSON object, and remarks for the plan file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.console import Console

from pipelines.fusion_methods import AdditiveFusion
from pipelines.plan import Plan, RelevanceLevels
from sidecar.evaluation.bootstrap import bootstrap_interval
from sidecar.evaluation.comparison import CUT, Comparison
from sidecar.evaluation.tuning import Choice, Variant
from sidecar.screen import new_table

# A larger difference means that the proxy did not do what was computed.
_AGREE = 0.005


@dataclass(frozen=True, slots=True)
class TuningOutcome:
    """The result of `tune`. `direct` is nDCG by query, `rescored` nDCG by variant and query.

    The first variant is the base plan. `verified` is the chosen plan measured through the real
    proxy, on all queries.
    """

    variants: Sequence[Variant]
    direct: Sequence[float]
    rescored: Sequence[Sequence[float]]
    choice: Choice
    verified: Comparison
    levels: RelevanceLevels | None = None
    notes: tuple[str, ...] = ()
    """Sentences on the judgments and the levels, for the plan's file and the screen."""

    @property
    def chosen(self) -> Variant:
        return self.variants[self.choice.chosen]

    @property
    def disagreement(self) -> str | None:
        """A sentence if the proxy's order is better or worse than computed."""
        computed = fmean(self.rescored[self.choice.chosen])
        measured = self.verified.rescored.ndcg
        if abs(computed - measured) <= _AGREE:
            return None
        parts = ", ".join(f"{status}: {n}" for status, n in sorted(self.verified.outcomes.items()))
        return (
            f"Through the proxy nDCG@{CUT} was {measured:.4f}, not {computed:.4f} as computed"
            f" ({parts})."
        )


def settings_of(plan: Plan) -> dict[str, Any]:
    """The settings of a plan that `tune` may change."""
    settings: dict[str, Any] = {
        "rescore_window": plan.rescore_window,
        "stages": [stage.model for stage in plan.stages],
        "fusion": plan.fusion.model_dump(),
    }
    if isinstance(plan.fusion, AdditiveFusion):
        settings["weights"] = [stage.added for stage in plan.stages]
    return settings


def in_words(plan: Plan) -> str:
    """The same settings as a line for people."""
    adds = isinstance(plan.fusion, AdditiveFusion)
    models = "+".join(
        f"{stage.model} {stage.added:g}" if adds else stage.model for stage in plan.stages
    )
    fitted = [f", {name} {getattr(plan.fusion, name):g}" for name in plan.fusion.candidates]
    if isinstance(plan.fusion, AdditiveFusion):
        guard = plan.fusion.guard.model_dump(exclude_defaults=True)
        fitted += [f", {name} {value}" for name, value in guard.items()]
    return f"window {plan.rescore_window}, {models}" + "".join(fitted)


def remarks_of(outcome: TuningOutcome, index: str, base_name: str) -> list[str]:
    """What the plan's file says about its origin."""
    choice = outcome.choice
    remarks = [
        f"Fitted by `sidecar tune` to {len(outcome.direct)} judged queries of {index}, from the"
        f" plan {base_name}.",
        f"nDCG@{CUT} on unseen queries ({len(choice.folds)}-fold cross-validation):"
        f" {choice.gain:+.4f} over OpenSearch's own order, 95 % interval"
        f" {choice.interval.low:+.4f} to {choice.interval.high:+.4f}.",
    ]
    remarks += outcome.notes
    if choice.objection is not None:
        remarks.append(f"Not enabled: {choice.objection}.")
    return remarks


def print_tuning(console: Console, outcome: TuningOutcome, base_name: str) -> None:
    """Print the choice, its gain on unseen queries, and how stable the choice is."""
    choice = outcome.choice
    table = new_table(console)
    table.add_column(f"{len(outcome.direct)} judged queries")
    table.add_column("settings", ratio=1)
    table.add_column(f"nDCG@{CUT}", justify="right")
    table.add_row("OpenSearch alone", "", f"{fmean(outcome.direct):.4f}")
    for name, place in ((f"plan {base_name}", 0), ("chosen", choice.chosen)):
        table.add_row(
            name, in_words(outcome.variants[place].plan), f"{fmean(outcome.rescored[place]):.4f}"
        )
    console.print(table)
    same = sum(fold.chosen == choice.chosen for fold in choice.folds)
    for line in (
        f"nDCG@{CUT} on unseen queries {choice.gain:+.4f}, 95 % interval"
        f" {choice.interval.low:+.4f} to {choice.interval.high:+.4f}.",
        f"Of {len(choice.folds)} folds {same} chose the same of {len(outcome.variants)} variants.",
        outcome.disagreement
        or f"Through the proxy: {outcome.verified.rescored.ndcg:.4f}, as computed.",
        *outcome.notes,
    ):
        console.print(line, highlight=False)


def tuning_json(outcome: TuningOutcome) -> dict[str, Any]:
    """The whole result: the choice, the folds, and every variant, the preferred ones first."""
    choice, verified = outcome.choice, outcome.verified
    base_gains = [own - its for own, its in zip(outcome.rescored[0], outcome.direct, strict=True)]
    base_interval = bootstrap_interval(base_gains)
    return {
        "judged_queries": len(outcome.direct),
        "enabled": choice.objection is None,
        "objection": choice.objection,
        "chosen": settings_of(outcome.chosen.plan),
        "relevance_levels": outcome.levels.model_dump() if outcome.levels else None,
        "notes": list(outcome.notes),
        "unseen": {
            f"ndcg@{CUT}_gain": choice.gain,
            "low": choice.interval.low,
            "high": choice.interval.high,
        },
        "base": {
            **settings_of(outcome.variants[0].plan),
            f"ndcg@{CUT}_gain": fmean(base_gains),
            "low": base_interval.low,
            "high": base_interval.high,
        },
        "folds": [
            {
                "queries": fold.queries,
                "chosen": settings_of(outcome.variants[fold.chosen].plan),
                f"ndcg@{CUT}_gain": fold.gain,
            }
            for fold in choice.folds
        ],
        "proxy": {
            f"ndcg@{CUT}": verified.rescored.ndcg,
            "computed": fmean(outcome.rescored[choice.chosen]),
            "p50_ms": verified.rescored.median_ms,
            "p95_ms": verified.rescored.p95_ms,
            "outcomes": dict(verified.outcomes),
        },
        f"direct_ndcg@{CUT}": fmean(outcome.direct),
        "variants": [
            {**settings_of(variant.plan), f"ndcg@{CUT}": fmean(values)}
            for variant, values in zip(outcome.variants, outcome.rescored, strict=True)
        ],
    }
