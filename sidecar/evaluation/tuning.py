"""Chooses among variants of a plan by cross-validation over queries.

Few judgments fit anything, so a variant has to earn its place: of all variants that are within
one standard error of the best, the one nearest to the base plan is taken (Breiman et al.,
"Classification and Regression Trees", 1984, section 3.4.3: the 1 SE rule). What is promised is
measured on queries that had no part in the choice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import log, sqrt
from statistics import fmean, stdev

from pipelines.plan import Fusion, Plan
from sidecar.evaluation.bootstrap import Interval, bootstrap_interval

FEW_QUERIES = 30
"""With fewer judged queries than this even a large gain is a guess."""

_WINDOWS = (25, 50, 100)
_WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "relative": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0),
    "weighted": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "rrf": (0.25, 0.5, 1.0, 2.0, 4.0),
    "replace": (),
}
_LEXICAL = (0.0, 0.3)
_SHORT = (1, 6)
_SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class Variant:
    """A plan with some settings of its own; `changes` counts how many differ from the base's.

    `steps`: how far those are from the base's, for choosing among variants of equal `changes`.
    """

    plan: Plan
    changes: int
    steps: float


def variants_of(base: Plan) -> list[Variant]:
    """The base plan first, then every other that is tried, the nearest to it first."""
    windows = sorted({base.rescore_window, *_WINDOWS})
    plans = [
        base.model_copy(
            update={"rescore_window": window, "stages": base.stages[:count], "fusion": fusion}
        )
        for window, count, fusion in product(
            windows, range(1, len(base.stages) + 1), _fusions(base.fusion)
        )
    ]
    variants = [Variant(plan, *_distance(plan, base)) for plan in plans]
    return sorted(variants, key=lambda variant: (variant.changes, variant.steps))


def _fusions(base: Fusion) -> list[Fusion]:
    """The base's method with other settings of its own."""
    weights = sorted({base.weight, *_WEIGHTS[base.method]})
    if base.method != "relative":
        return [base.model_copy(update={"weight": weight}) for weight in weights]
    return [
        base.model_copy(update={"weight": weight, "lexical": lexical, "short_query_words": short})
        for weight, lexical, short in product(
            weights, sorted({base.lexical, *_LEXICAL}), sorted({base.short_query_words, *_SHORT})
        )
    ]


def _distance(plan: Plan, base: Plan) -> tuple[int, float]:
    """How many settings differ, and by how much: each ratio counts by its logarithm."""
    own, its = plan.fusion, base.fusion
    pairs = (
        (plan.rescore_window, base.rescore_window),
        (len(plan.stages), len(base.stages)),
        (own.weight, its.weight),
        (own.lexical, its.lexical),
        (own.short_query_words, its.short_query_words),
    )
    # Weight and share may be 0; a tenth stands in for it.
    steps = [abs(log(max(one, 0.1) / max(other, 0.1))) for one, other in pairs]
    return sum(one != other for one, other in pairs), sum(steps)


@dataclass(frozen=True, slots=True)
class Fold:
    """One part of the queries, judged by what the other parts chose. Positions of variants."""

    queries: int
    chosen: int
    gain: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was chosen with all queries, and what such a choice gained on unseen ones.

    `unseen_gains`: one a query, nDCG less OpenSearch's own, under the choice of the other folds.
    """

    chosen: int
    folds: tuple[Fold, ...]
    unseen_gains: tuple[float, ...]
    interval: Interval

    @property
    def gain(self) -> float:
        """The mean gain on unseen queries."""
        return fmean(self.unseen_gains)

    @property
    def objection(self) -> str | None:
        """Why the plan is not to be enabled; None when its gain is above zero for certain."""
        if self.interval.low > 0:
            return None
        count = len(self.unseen_gains)
        if self.gain <= 0:
            return f"it gains nothing on unseen queries ({self.gain:+.4f})"
        if count < FEW_QUERIES:
            return (
                f"{count} judged queries are too few to tell a gain of {self.gain:+.4f} from"
                f" chance; judge at least {FEW_QUERIES}"
            )
        return (
            f"a gain of {self.gain:+.4f} is too small for {count} judged queries to tell it from"
            " chance"
        )


def tune_variants(
    direct: Sequence[float], rescored: Sequence[Sequence[float]], folds: int
) -> Tuning:
    """Choose a variant, and judge such a choice on unseen queries.

    `direct`: nDCG of each query in OpenSearch's order. `rescored`: the same under each variant,
    the most preferred variant first. The folds are drawn with a fixed seed. Raises ValueError for
    fewer queries than two a fold.
    """
    if len(direct) < 2 * folds:
        raise ValueError(
            f"{len(direct)} judged queries are too few for {folds} folds; judge more, or give a"
            " smaller --folds"
        )
    shuffled = list(range(len(direct)))
    random.Random(_SEED).shuffle(shuffled)  # noqa: S311  the same folds every time
    parts = [sorted(shuffled[start::folds]) for start in range(folds)]
    unseen: dict[int, float] = {}
    judged = []
    for part in parts:
        others = sorted(set(shuffled) - set(part))
        chosen = choose([[values[query] for query in others] for values in rescored])
        gains = {query: rescored[chosen][query] - direct[query] for query in part}
        unseen |= gains
        judged.append(Fold(len(part), chosen, fmean(gains.values())))
    ordered = tuple(unseen[query] for query in range(len(direct)))
    return Tuning(choose(rescored), tuple(judged), ordered, bootstrap_interval(ordered))


def choose(values: Sequence[Sequence[float]]) -> int:
    """The first variant that is within one standard error of the best; `values` by variant."""
    best = max(range(len(values)), key=lambda variant: (fmean(values[variant]), -variant))
    for variant, own in enumerate(values):
        lost = [theirs - mine for theirs, mine in zip(values[best], own, strict=True)]
        if fmean(lost) <= (stdev(lost) / sqrt(len(lost)) if len(lost) > 1 else 0.0):
            return variant
    return best
