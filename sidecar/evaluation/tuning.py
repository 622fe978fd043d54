"""Chooses among variants of a plan by cross-validation over queries.

With few judgments, some variant always looks good by chance. So among the variants within one
standard error of the best, the one nearest to the base plan is chosen (Breiman et al.,
"Classification and Regression Trees", 1984, section 3.4.3: the 1 SE rule). The gain that is
reported is measured on queries that had no part in the choice.

A small grid of settings is judged whole. Of a larger one, each fold and the whole set search their
own part by coordinate descent: from the base plan, all plans that differ in one setting are judged,
then those that differ in one setting from the best of them, and so on.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import log, prod, sqrt
from statistics import fmean, stdev

from pipelines.fusion_methods import AdditiveFusion
from pipelines.plan import Plan, Stage
from sidecar.evaluation.bootstrap import Interval, bootstrap_interval

FEW_QUERIES = 30
"""With fewer judged queries than this, even a large gain is a guess."""

_WINDOWS = (25, 50, 100)
# Of the base plan's weight of a stage.
_STAGE_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
_GUARD: Mapping[str, tuple[float | None, ...]] = {
    "short_query_words": (1, 3, 6, 10),
    "long_query_words": (None, 30, 60),
    "identifiers": (0.0, 0.25, 0.5, 1.0),
}
# Grids of at most this size are judged whole.
_SMALL_GRID = 256
MOST_ROUNDS = 4
"""Steps of a descent; a plan differs from the base in at most this number of settings."""

_SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class Variant:
    """A plan with some settings changed; `changes` counts those that differ from the base plan's.

    `steps` is how far they differ; it decides between variants with equal `changes`.
    """

    plan: Plan
    changes: int
    steps: float


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that may be changed, by its dotted name in the plan's file, and its values."""

    name: str
    values: tuple[float | None, ...]

    def read(self, plan: Plan) -> float | None:
        """The plan's value."""
        match self.name.split("."):
            case ["rescore_window"]:
                return plan.rescore_window
            case ["stages"]:
                return len(plan.stages)
            case ["stages", number, "weight"]:
                # A plan without the stage has the value that the base plan would give it.
                place = int(number)
                return plan.stages[place].added if place < len(plan.stages) else None
            case ["fusion", "guard", name]:
                assert isinstance(plan.fusion, AdditiveFusion)
                value: float | None = getattr(plan.fusion.guard, name)
                return value
            case _:
                fitted: float | None = getattr(plan.fusion, self.name.removeprefix("fusion."))
                return fitted

    def write(self, plan: Plan, base: Plan, value: float | None) -> Plan:
        """The plan with this value."""
        match self.name.split("."):
            case ["rescore_window"]:
                return plan.model_copy(update={"rescore_window": value})
            case ["stages"]:
                assert value is not None
                added = base.stages[len(plan.stages) : int(value)]
                stages = (*plan.stages[: int(value)], *added)
                return plan.model_copy(update={"stages": stages})
            case ["stages", number, "weight"]:
                stages = tuple(
                    stage.model_copy(update={"weight": value}) if place == int(number) else stage
                    for place, stage in enumerate(plan.stages)
                )
                return plan.model_copy(update={"stages": stages})
            case ["fusion", "guard", name]:
                assert isinstance(plan.fusion, AdditiveFusion)
                guard = plan.fusion.guard.model_copy(update={name: value})
                fusion = plan.fusion.model_copy(update={"guard": guard})
                return plan.model_copy(update={"fusion": fusion})
            case _:
                changed = {self.name.removeprefix("fusion."): value}
                return plan.model_copy(update={"fusion": plan.fusion.model_copy(update=changed)})


def settings_to_try(base: Plan) -> list[Setting]:
    """What is tried for each setting; the base plan's own value is always among the values."""
    tried: list[tuple[str, Iterable[float | None]]] = [
        ("rescore_window", _WINDOWS),
        ("stages", range(1, len(base.stages) + 1)),
    ]
    if isinstance(base.fusion, AdditiveFusion):
        tried += [
            (f"stages.{place}.weight", _stage_weights(stage))
            for place, stage in enumerate(base.stages)
        ]
        tried += [(f"fusion.guard.{name}", values) for name, values in _GUARD.items()]
    tried += [(f"fusion.{name}", values) for name, values in base.fusion.candidates.items()]
    settings = []
    for name, values in tried:
        own = Setting(name, ()).read(base)
        settings.append(Setting(name, tuple(sorted({own, *values}, key=_number))))
    return settings


def _stage_weights(stage: Stage) -> list[float]:
    return [round(stage.added * factor, 3) for factor in _STAGE_FACTORS]


def _number(value: float | None) -> float:
    """None, for no limit, is beyond every number."""
    return float("inf") if value is None else value


def first_plans(base: Plan) -> list[Plan]:
    """The plans to judge first, the base plan before all others."""
    settings = settings_to_try(base)
    if prod(len(setting.values) for setting in settings) > _SMALL_GRID:
        return [base, *neighbours_of(base, base)]
    plans = []
    for values in product(*(setting.values for setting in settings)):
        plan = base
        for setting, value in zip(settings, values, strict=True):
            if setting.read(plan) != value:
                plan = setting.write(plan, base, value)
        plans.append(plan)
    return sorted(plans, key=lambda plan: plan != base)


def is_small(base: Plan) -> bool:
    """Whether `first_plans` has all plans of the grid."""
    return prod(len(setting.values) for setting in settings_to_try(base)) <= _SMALL_GRID


def neighbours_of(plan: Plan, base: Plan) -> list[Plan]:
    """All plans of the grid that differ from `plan` in one setting."""
    return [
        setting.write(plan, base, value)
        for setting in settings_to_try(base)
        for value in setting.values
        if (own := setting.read(plan)) != value
        # A stage that the plan does not have has no weight to change.
        and (own is not None or not setting.name.endswith(".weight"))
    ]


def variants_of(base: Plan, plans: Iterable[Plan] | None = None) -> list[Variant]:
    """Plans as variants, the nearest to the base plan first; `first_plans` if none are given."""
    settings = settings_to_try(base)
    given = first_plans(base) if plans is None else plans
    variants = [Variant(plan, *_distance(plan, base, settings)) for plan in given]
    return sorted(variants, key=lambda variant: (variant.changes, variant.steps))


def _distance(plan: Plan, base: Plan, settings: Sequence[Setting]) -> tuple[int, float]:
    """How many settings differ, and by how much: the sum of the logarithms of their ratios."""
    pairs = [
        (own, its)
        for setting in settings
        if (own := setting.read(plan)) != (its := setting.read(base))
        # The stage is missing, which counts once.
        and (own is not None or not setting.name.endswith(".weight"))
    ]
    return len(pairs), sum(abs(_logarithm(own) - _logarithm(its)) for own, its in pairs)


def _logarithm(value: float | None) -> float:
    """Weight and share may be 0, which has no logarithm; 0.1 replaces it. No limit is 1000."""
    return log(1000 if value is None else max(value, 0.1))


@dataclass(frozen=True, slots=True)
class Fold:
    """One part of the queries, judged with the variant that the others chose (its position)."""

    queries: int
    chosen: int
    gain: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant chosen with all queries, and what such a choice gains on unseen queries.

    `unseen_gains` has one gain per query: its nDCG with the variant that the other folds chose,
    minus that of OpenSearch's own order.
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
        """Why the plan should not be enabled; None if the interval of its gain is above zero."""
        if self.interval.low > 0:
            return None
        count = len(self.unseen_gains)
        if self.gain <= 0:
            return f"it gains nothing on unseen queries ({self.gain:+.4f})"
        if count < FEW_QUERIES:
            return (
                f"{count} judged queries are too few to distinguish a gain of {self.gain:+.4f} from"
                f" chance; judge at least {FEW_QUERIES}"
            )
        return (
            f"a gain of {self.gain:+.4f} is too small to distinguish from chance with {count}"
            " judged queries"
        )


def draw_folds(count: int, folds: int) -> list[list[int]]:
    """Parts of the queries, drawn with a fixed seed.

    Raises ValueError if a fold would have fewer than two queries.
    """
    if count < 2 * folds:
        raise ValueError(
            f"{count} judged queries are too few for {folds} folds; judge more, or set a"
            " smaller --folds"
        )
    shuffled = list(range(count))
    random.Random(_SEED).shuffle(shuffled)  # noqa: S311  the same folds every time
    return [sorted(shuffled[start::folds]) for start in range(folds)]


class Descents:
    """The descents of all folds and of the whole set, each with the plans that it has seen.

    A fold's descent looks at the values of the other folds' queries only, so its own queries have
    no part in which plans are tried for them.
    """

    def __init__(self, base: Plan, count: int, folds: int) -> None:
        self._base = base
        everything = list(range(count))
        parts = draw_folds(count, folds)
        self._queries = [
            *([query for query in everything if query not in set(part)] for part in parts),
            everything,
        ]
        # Dictionaries, because they find a plan by its hash and keep the order.
        self._seen: list[dict[Plan, None]] = [{} for _ in self._queries]
        self._centres: list[Plan | None] = [None for _ in self._queries]

    def next_plans(self, values: Mapping[Plan, Sequence[float]]) -> list[Plan]:
        """The plans to judge next; none when every descent has ended.

        `values` has, for each plan judged so far, its value for each query.
        """
        if not values:
            first = dict.fromkeys(first_plans(self._base))
            self._seen = [dict(first) for _ in self._queries]
        elif not is_small(self._base):
            for number in range(len(self._queries)):
                self._go_on(number, values)
        wanted = dict.fromkeys(plan for seen in self._seen for plan in seen)
        return [plan for plan in wanted if plan not in values]

    def seen(self, plans: Sequence[Plan]) -> list[list[int]]:
        """By descent, those of folds first: the places in `plans` of the plans that it has seen."""
        return [[place for place, plan in enumerate(plans) if plan in own] for own in self._seen]

    def _go_on(self, number: int, values: Mapping[Plan, Sequence[float]]) -> None:
        seen, queries = self._seen[number], self._queries[number]
        best = max(seen, key=lambda plan: fmean(values[plan][query] for query in queries))
        if best != self._centres[number]:
            self._centres[number] = best
            seen |= dict.fromkeys(neighbours_of(best, self._base))


def tune_variants(
    direct: Sequence[float],
    rescored: Sequence[Sequence[float]],
    folds: int,
    seen: Sequence[Sequence[int]] | None = None,
) -> Choice:
    """Choose a variant, and judge such a choice on unseen queries.

    `direct`: nDCG of each query in OpenSearch's order. `rescored`: the same for each variant, the
    preferred variants first. `seen`: the variants that each fold may choose from, then those for
    the whole set; all if it is None. The folds are those of `draw_folds`, which also raises.
    """
    everything = range(len(rescored))
    unseen: dict[int, float] = {}
    judged = []
    for number, part in enumerate(draw_folds(len(direct), folds)):
        others = sorted(set(range(len(direct))) - set(part))
        allowed = everything if seen is None else seen[number]
        chosen = allowed[choose([[rescored[v][query] for query in others] for v in allowed])]
        gains = {query: rescored[chosen][query] - direct[query] for query in part}
        unseen |= gains
        judged.append(Fold(len(part), chosen, fmean(gains.values())))
    ordered = tuple(unseen[query] for query in range(len(direct)))
    allowed = everything if seen is None else seen[-1]
    final = allowed[choose([rescored[variant] for variant in allowed])]
    return Choice(final, tuple(judged), ordered, bootstrap_interval(ordered))


def choose(values: Sequence[Sequence[float]]) -> int:
    """The first variant within one standard error of the best; `values` are by variant."""
    best = max(range(len(values)), key=lambda variant: (fmean(values[variant]), -variant))
    for variant, own in enumerate(values):
        lost = [theirs - mine for theirs, mine in zip(values[best], own, strict=True)]
        if fmean(lost) <= (stdev(lost) / sqrt(len(lost)) if len(lost) > 1 else 0.0):
            return variant
    return best
