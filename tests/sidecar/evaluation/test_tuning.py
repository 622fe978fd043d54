import random

import pytest

from pipelines.plan import DocumentFields, Fusion, Plan, Stage
from sidecar.evaluation.tuning import choose, tune_variants, variants_of

BASE = Plan(
    document=DocumentFields(body=("body",)),
    rescore_window=40,
    stages=(Stage(model="first"), Stage(model="second", take=5)),
    fusion=Fusion(weight=5, method="relative"),
)


def noise(count: int, spread: float, mean: float = 0.0, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [mean + draw.uniform(-spread, spread) for _ in range(count)]


def test_the_base_plan_comes_first_and_its_neighbours_next() -> None:
    variants = variants_of(BASE)
    assert variants[0].plan == BASE
    assert [variant.changes for variant in variants] == sorted(v.changes for v in variants)
    # The nearest change of all is that of the weight by the least factor.
    assert variants[1].plan == BASE.model_copy(
        update={"fusion": Fusion(weight=6, method="relative")}
    )
    settings = {
        (
            v.plan.rescore_window,
            len(v.plan.stages),
            v.plan.fusion.weight,
            v.plan.fusion.lexical,
            v.plan.fusion.short_query_words,
        )
        for v in variants
    }
    assert len(settings) == len(variants) == 4 * 2 * 8 * 2 * 2
    assert {window for window, *_ in settings} == {25, 40, 50, 100}


def test_a_share_stays_a_share_and_replaced_scores_have_no_weight_to_fit() -> None:
    weighted = BASE.model_copy(update={"fusion": Fusion(method="weighted", weight=0.45)})
    assert {v.plan.fusion.weight for v in variants_of(weighted)} == {
        *(0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
    }
    replace = BASE.model_copy(update={"fusion": Fusion(method="replace")})
    assert {v.plan.fusion.weight for v in variants_of(replace)} == {5.0}


def test_every_variant_is_a_plan_that_can_be_written() -> None:
    for method in ("relative", "weighted", "rrf", "replace"):
        base = BASE.model_copy(update={"fusion": Fusion(method=method, weight=0.7)})
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
        (20, 0.02, 0.3, "20 judged queries are too few to tell a gain of +0."),
        (60, 0.01, 0.5, "is too small for 60 judged queries to tell it from chance"),
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
