import random

import pytest

from pipelines.fusion_methods import (
    AdditiveFusion,
    RelativeFusion,
    ReplaceFusion,
    RrfFusion,
    WeightedFusion,
)
from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.evaluation.tuning import (
    MOST_ROUNDS,
    Descents,
    choose,
    draw_folds,
    tune_variants,
    variants_of,
)

BASE = Plan(
    document=DocumentFields(body=("body",)),
    rescore_window=40,
    stages=(Stage(model="first"), Stage(model="second", take=5)),
    fusion=RelativeFusion(weight=5),
)


def noise(count: int, spread: float, mean: float = 0.0, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [mean + draw.uniform(-spread, spread) for _ in range(count)]


def test_the_base_plan_comes_first_and_its_neighbours_next() -> None:
    variants = variants_of(BASE)
    assert variants[0].plan == BASE
    assert [variant.changes for variant in variants] == sorted(v.changes for v in variants)
    # The nearest change of all is that of the weight by the least factor.
    assert variants[1].plan == BASE.model_copy(update={"fusion": RelativeFusion(weight=6)})
    settings = set()
    for plan in (variant.plan for variant in variants):
        assert isinstance(plan.fusion, RelativeFusion)
        fusion = (plan.fusion.weight, plan.fusion.lexical, plan.fusion.short_query_words)
        settings.add((plan.rescore_window, len(plan.stages), *fusion))
    assert len(settings) == len(variants) == 4 * 2 * 8 * 2 * 2
    assert {window for window, *_ in settings} == {25, 40, 50, 100}


def test_a_share_stays_a_share_and_replaced_scores_have_no_weight_to_fit() -> None:
    weighted = BASE.model_copy(update={"fusion": WeightedFusion(weight=0.45)})
    fusions = [variant.plan.fusion for variant in variants_of(weighted)]
    assert {fusion.weight for fusion in fusions if isinstance(fusion, WeightedFusion)} == {
        *(0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
    }
    replace = BASE.model_copy(update={"fusion": ReplaceFusion()})
    assert {v.plan.fusion for v in variants_of(replace)} == {ReplaceFusion()}


def test_every_variant_is_a_plan_that_can_be_written() -> None:
    weighed = (RelativeFusion(weight=0.7), WeightedFusion(weight=0.7), RrfFusion(weight=0.7))
    for fusion in (*weighed, ReplaceFusion()):
        base = BASE.model_copy(update={"fusion": fusion})
        for variant in variants_of(base):
            assert Plan.model_validate(variant.plan.model_dump()) == variant.plan


def test_a_variant_has_to_be_better_by_more_than_chance() -> None:
    base = noise(40, 0.3, 0.5)
    luckier = [value + delta for value, delta in zip(base, noise(40, 0.3, 0.005, 2), strict=True)]
    better = [value + delta for value, delta in zip(base, noise(40, 0.1, 0.1, 3), strict=True)]
    assert choose([base, luckier]) == 0
    assert choose([base, luckier, better]) == 2
    assert choose([base, base]) == 0


def test_the_gain_is_that_on_unseen_queries() -> None:
    # Each variant helps one query alone, so whatever is chosen helps none that was not seen.
    direct = [0.5] * 20
    lucky = [[0.5 + (query == own) * 0.5 for query in range(20)] for own in range(20)]
    tuning = tune_variants(direct, [[0.4] * 20, *lucky], folds=5)
    best_seen = max(sum(values) / 20 - 0.5 for values in lucky)
    assert best_seen == pytest.approx(0.025)
    assert tuning.gain < best_seen
    assert len(tuning.unseen_gains) == 20
    assert sum(fold.queries for fold in tuning.folds) == 20


def test_a_sure_gain_has_no_objection() -> None:
    direct = noise(60, 0.2, 0.4)
    better = [value + delta for value, delta in zip(direct, noise(60, 0.1, 0.1, 3), strict=True)]
    tuning = tune_variants(direct, [direct, better], folds=5)
    assert (tuning.chosen, tuning.objection) == (1, None)
    assert tuning.interval.low > 0
    assert [fold.chosen for fold in tuning.folds] == [1] * 5


@pytest.mark.parametrize(
    ("count", "mean", "spread", "objection"),
    [
        (60, -0.1, 0.1, "it gains nothing on unseen queries (-0."),
        (20, 0.02, 0.3, "20 judged queries are too few to distinguish a gain of +0."),
        (60, 0.01, 0.5, "is too small to distinguish from chance with 60 judged queries"),
    ],
)
def test_a_gain_in_doubt_is_objected_to(
    count: int, mean: float, spread: float, objection: str
) -> None:
    direct = noise(count, 0.2, 0.4)
    changes = noise(count, spread, seed=3)
    middle = sum(changes) / count
    rescored = [
        value + change - middle + mean for value, change in zip(direct, changes, strict=True)
    ]
    tuning = tune_variants(direct, [rescored], folds=5)
    assert tuning.gain == pytest.approx(mean)
    assert objection in (tuning.objection or "")


def test_too_few_queries_for_the_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="9 judged queries are too few for 5 folds"):
        tune_variants([0.5] * 9, [[0.5] * 9], folds=5)


ADDED = Plan(
    document=DocumentFields(body=("body",)),
    stages=(Stage(model="first", weight=0.4), Stage(model="second", take=30)),
    fusion=AdditiveFusion(),
)


def value_of(plan: Plan, query: int) -> float:
    """Made up: best with little weight for the first stage, much lexical share and a guard."""
    assert isinstance(plan.fusion, AdditiveFusion)
    lost = abs(plan.stages[0].added - 0.2) + abs(plan.fusion.lexical - 0.5)
    lost += plan.fusion.guard.long_query_words != 30
    return 0.9 - lost / 4 + query % 3 / 100


def descend(folds: int = 4, count: int = 40) -> tuple[dict[Plan, list[float]], Descents]:
    descents = Descents(ADDED, count, folds)
    values: dict[Plan, list[float]] = {}
    for _ in range(MOST_ROUNDS + 1):
        for plan in descents.next_plans(values):
            values[plan] = [value_of(plan, query) for query in range(count)]
    return values, descents


def test_a_descent_finds_the_best_settings_without_the_whole_grid() -> None:
    values, descents = descend()
    variants = variants_of(ADDED, values)
    assert variants[0].plan == ADDED
    plans = [variant.plan for variant in variants]
    rescored = [values[plan] for plan in plans]
    choice = tune_variants([0.3] * 40, rescored, 4, descents.seen(plans))
    best = plans[choice.chosen]
    assert isinstance(best.fusion, AdditiveFusion)
    assert (best.stages[0].weight, best.fusion.lexical) == (0.2, 0.5)
    assert best.fusion.guard.long_query_words == 30
    assert len(best.stages) == 2
    # The grid has 3 x 2 x 5 x 5 x 3 x 4 x 3 x 4 plans.
    assert len(variants) < 200
    for plan in plans:
        assert Plan.model_validate(plan.model_dump()) == plan


def test_a_fold_tries_what_its_own_queries_have_no_part_in() -> None:
    descents = Descents(ADDED, 8, 2)
    part = draw_folds(8, 2)[0]
    first = descents.next_plans({})
    values = {plan: [0.5] * 8 for plan in first}
    # Only the queries of the first fold like a small window.
    small = next(plan for plan in first if plan.rescore_window == 25)
    values[small] = [1.0 if query in part else 0.0 for query in range(8)]
    new = descents.next_plans(values)
    assert any(plan.rescore_window == 25 for plan in new)
    plans = [*values, *new]
    [own, other, _] = descents.seen(plans)
    tried = [[plans[place] for place in seen] for seen in (own, other)]
    assert [sum(plan.rescore_window == 25 for plan in seen) for seen in tried][0] == 1
    assert [sum(plan.rescore_window == 25 for plan in seen) for seen in tried][1] > 1
