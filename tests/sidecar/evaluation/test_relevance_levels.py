from __future__ import annotations

import random
from math import exp

import pytest

from sidecar.evaluation.relevance_levels import NoLevels, fit_levels, judged_pairs


def draw_pairs(count: int, slope: float, middle: float, seed: int = 2) -> list[tuple[float, bool]]:
    draw = random.Random(seed)
    values = [draw.uniform(-0.2, 1.0) for _ in range(count)]
    return [(v, draw.random() < 1 / (1 + exp(-slope * (v - middle)))) for v in values]


def test_levels_are_where_the_chance_reaches_them() -> None:
    levels = fit_levels(draw_pairs(6000, slope=8, middle=0.5))
    # Chances of 0.2, 0.4, 0.6 and 0.8: 0.5 + log(p / (1 - p)) / 8.
    assert [levels.low, levels.medium, levels.high, levels.very_high] == pytest.approx(
        [0.327, 0.449, 0.551, 0.673], abs=0.03
    )


def test_hits_that_are_told_apart_without_fault_have_finite_levels() -> None:
    levels = fit_levels([(value / 100, value > 50) for value in range(101)])
    assert 0.3 < levels.low <= levels.very_high < 0.7


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (draw_pairs(40, 8, 0.5), "are too few; 30 of each are needed"),
        (draw_pairs(400, 0, 0.5), "do not tell relevant hits from others"),
        (draw_pairs(400, -8, 0.5), "do not tell relevant hits from others"),
        ([(1.0, n % 2 == 0) for n in range(90)], "equally relevant to the models"),
    ],
)
def test_judgments_that_say_too_little_are_refused(
    pairs: list[tuple[float, bool]], message: str
) -> None:
    with pytest.raises(NoLevels, match=message):
        fit_levels(pairs)


def test_unjudged_hits_count_only_where_nothing_is_judged_irrelevant() -> None:
    rated = {"q": [(f"d{n}", n / 100) for n in range(100)]}
    only_relevant = {"q": {"d3": 1.0, "d7": 2.0, "gone": 1.0}}
    pairs, unjudged = judged_pairs(rated, only_relevant)
    assert (len(pairs), sum(relevant for _, relevant in pairs), unjudged) == (100, 2, True)
    graded = {"q": {f"d{n}": float(n > 40) for n in range(80)}}
    pairs, unjudged = judged_pairs(rated, graded)
    assert (len(pairs), unjudged) == (80, False)
