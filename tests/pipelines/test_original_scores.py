"""Which scores stand apart, and how far the others lie from one another."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.original_scores import read_original_scores

TEXTS = [9.1, 8.0, 7.7, 6.2, 6.2, 5.0, 4.4, 4.4, 4.1, 3.0, 2.9, 2.5]


def pinned(scores: list[float]) -> list[float]:
    originals = read_original_scores(scores)
    return [score for score in scores if score > originals.high]


def sunk(scores: list[float]) -> list[float]:
    originals = read_original_scores(scores)
    return [score for score in scores if score < originals.low]


@pytest.mark.parametrize(
    "pins",
    [
        [1e6, 1e5, 1e4, 1e3],
        [1e3],
        [1e38],
        [1e6] * 10,
        [1e4 + 8, 1e4 + 3, 1e4],
        [1003.0, 1002, 1001, 1000],
        [5000.0, 4000, 3000, 2000, 1000],
        [1000.0, 900, 800, 700],
        [3000.0, 2000, 1000],
        [1e6, 1e6, 1e3, 1e3, 1e3, 1e3],
    ],
)
def test_boosts_that_no_text_reaches_are_pinned(pins: list[float]) -> None:
    assert pinned([*pins, *TEXTS]) == pins
    assert sunk([*pins, *TEXTS]) == []


@pytest.mark.parametrize("pins", [[1e3], [1e3, 1e3], [1e6, 1e5, 1e4, 1e3], [500.0, 400.0]])
def test_boosts_are_pinned_above_texts_that_score_alike(pins: list[float]) -> None:
    assert pinned([*pins, *[3.0] * 20]) == pins


def test_texts_that_score_alike_but_for_one_word_are_no_pins() -> None:
    assert pinned([*[4.5] * 5, *[0.05] * 20]) == []


def test_more_pins_than_texts_are_seen_one_level_after_the_other() -> None:
    pins = [1e6, 1e5, 1e4, 1e3]
    assert pinned([*pins, *TEXTS[:3]]) == pins


@pytest.mark.parametrize(
    "scores",
    [
        TEXTS,
        [30.0, *TEXTS],  # one very good hit
        [30.0, 29.0, *TEXTS],
        [],
        [3.0],
        [1e6, 3.0],  # of two hits nothing can be said
        [3.0] * 20,
        [2.0] * 5 + [1.0] * 50,  # levels of two words and of one
        [3.0] * 2 + [2.0] * 5 + [1.0] * 50,
        # Hits with a word, above many with a stop word.
        [1.414, 1.250, 1.157, 0.945, 0.891, 0.122, 0.110, 0.088, 0.081, *[0.060] * 11],
        [3.815, 2.258, 2.226, 2.131, 1.916, 1.414, 1.250, 1.179, 1.034, 0.122, *[0.060] * 10],
        [4.555, 2.793, 2.655, 2.315, 1.795, 0.094, 0.064, *[0.049] * 13],
        [1.15] * 24 + [0.105] * 60 + [0.002] * 4,
        [*(score + 1 for score in TEXTS), *np.linspace(0.02, 0.01, 80).tolist()],
    ],
)
def test_nothing_stands_apart_in_ordinary_windows(scores: list[float]) -> None:
    assert pinned(scores) == []
    assert sunk(scores) == []


def test_what_lacks_a_boost_that_most_hits_have_is_sunk() -> None:
    assert sunk([*(score + 1000 for score in TEXTS), *TEXTS[:5]]) == TEXTS[:5]
    assert sunk([*(score + 1000 for score in TEXTS * 2), *TEXTS]) == []  # more than ten
    both = [1e6, *(score + 1000 for score in TEXTS), *TEXTS[:5]]
    assert (pinned(both), sunk(both)) == ([1e6], TEXTS[:5])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_the_distance_is_the_mean_over_all_pairs_of_those_left(scores: list[float]) -> None:
    originals = read_original_scores(scores)
    left = [score for score in scores if originals.hold(score)]
    pairs = [abs(a - b) for a, b in combinations(left, 2)]
    assert originals.distance == pytest.approx(np.mean(pairs) if pairs else 0.0, abs=1e-6)


# Sums and products of these are exact, so that equal is equal.
whole = st.integers(0, 2**20).map(float)


# Beside ties a hit stands apart by how many times their score it has; a constant changes that.
different = st.lists(whole, max_size=40, unique=True)


@given(different, st.integers(-(2**20), 2**20), st.sampled_from([0.25, 1, 8]))
def test_a_constant_and_a_factor_change_nothing(
    scores: list[float], constant: int, factor: float
) -> None:
    plain = read_original_scores(scores)
    moved = read_original_scores([score * factor + constant for score in scores])
    if scores:
        assert moved.low == plain.low * factor + constant
        assert moved.high == plain.high * factor + constant
    assert moved.distance == pytest.approx(plain.distance * factor)


@given(st.lists(st.floats(-1e300, 1e300), max_size=60))
def test_more_than_half_are_left_of_any_window(scores: list[float]) -> None:
    originals = read_original_scores(scores)
    assert np.isfinite(originals.distance)
    assert not scores or originals.low <= originals.high
    assert len(pinned(scores)) + len(sunk(scores)) + 2 <= max(2, len(scores))


@given(
    st.lists(st.floats(0, 20), min_size=12, max_size=60),
    st.lists(st.sampled_from([1e3, 1e4, 1e5, 1e6]), min_size=1, max_size=6),
    st.floats(0, 1e4),
)
def test_any_mixture_of_levels_is_pinned(
    texts: list[float], levels: list[float], constant: float
) -> None:
    texts = [*texts, 0.0, 7.0]  # so that there is a range
    scores = [score + constant for score in [*levels, *texts]]
    assert len(pinned(scores)) >= len(levels)
    assert set(pinned(scores)) >= {level + constant for level in levels}


def test_ten_thousand_scores_with_hundreds_of_levels_are_soon_read() -> None:
    levels = 10.0 ** -np.arange(0, 300)
    scores = np.concatenate([levels, np.linspace(0, 1e-305, 9_700)]).tolist()
    started = time.process_time()
    assert len(pinned(scores)) == 300
    assert time.process_time() - started < 2
