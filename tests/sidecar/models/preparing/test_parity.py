"""The figures of the gate, and where it shuts."""

import numpy as np
import pytest

from sidecar.models.prepared import Parity
from sidecar.models.preparing.parity import (
    bundled_texts,
    calibration_texts,
    compare,
    describe,
    passes,
)

SCORES = np.random.default_rng(5).random((3, 75), np.float32)


def test_the_same_order_is_perfect() -> None:
    assert compare(SCORES, SCORES * 3 - 1) == Parity(3, 75, 1.0, 1.0, 1.0)


def test_the_reverse_order_is_the_worst() -> None:
    parity = compare(SCORES, -SCORES)
    assert (parity.spearman_mean, parity.spearman_min, parity.top_10) == (-1.0, -1.0, 0.0)


def test_the_figures_are_those_of_the_definition() -> None:
    """Spearman of a permutation: 1 - 6 sum(d^2) / (n (n^2 - 1))."""
    one = np.arange(5, dtype=np.float32)[None]
    other = np.array([[1, 0, 2, 4, 3]], np.float32)
    assert compare(one, other).spearman_mean == pytest.approx(1 - 6 * 4 / (5 * 24))


def test_equal_scores_share_a_rank() -> None:
    ties = np.array([[1, 1, 2, 3]], np.float32)
    assert compare(ties, ties).spearman_mean == 1.0
    # Ranks 1.5, 1.5, 3, 4 against 1, 2, 3, 4.
    apart = np.array([[0, 1, 2, 3]], np.float32)
    assert compare(ties, apart).spearman_mean == pytest.approx(0.94868, abs=1e-5)


def test_the_tenth_and_the_eleventh_may_tie() -> None:
    scores = np.arange(75, dtype=np.float32)[None]
    scores[0, 64] = scores[0, 65] - 1e-3
    swapped = scores.copy()
    swapped[0, [64, 65]] = scores[0, [65, 64]]
    assert compare(scores, swapped).top_10 == 1.0
    scores[0, 64] = 64
    assert compare(scores, swapped).top_10 == 0.9


def test_a_model_that_tells_nothing_apart_does_not_pass() -> None:
    assert compare(SCORES, np.zeros_like(SCORES)).spearman_mean == 0.0


def test_the_worst_query_is_told() -> None:
    drifted = SCORES.copy()
    drifted[1] = -drifted[1]
    parity = compare(SCORES, drifted)
    assert parity.spearman_min == -1.0
    assert parity.spearman_mean == pytest.approx(1 / 3, abs=1e-4)
    assert parity.top_10 == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("precision", "near", "far"),
    [
        ("int8-fixed", 0.9975, 0.9965),
        ("int8", 0.996, 0.994),
        ("bf16", 0.9995, 0.998),
        ("f32", 1.0, 0.9998),
    ],
)
def test_the_gate_is_narrower_for_finer_numbers(precision: str, near: float, far: float) -> None:
    assert passes(Parity(12, 75, near, near, 1.0), precision)
    assert not passes(Parity(12, 75, far, far, 1.0), precision)
    assert not passes(Parity(12, 75, near, 0.9, 1.0), precision)
    assert not passes(Parity(12, 75, near, near, 0.8), precision)


@pytest.mark.parametrize("kind", ["bi-encoder", "cross-encoder"])
def test_scales_are_not_measured_on_what_the_gate_reads(kind: str) -> None:
    judged = {text for texts in bundled_texts(kind) for text in texts}
    queries, passages = calibration_texts()
    assert len(queries) == len(passages) >= 40
    assert judged.isdisjoint([*queries, *passages])


def test_the_figures_fit_a_line() -> None:
    assert describe(Parity(12, 75, 0.99879, 0.99795, 1.0)) == (
        "Spearman 0.9988 on average and 0.9980 at worst, 100% of the ten best kept "
        "(12 queries x 75 passages)"
    )


@pytest.mark.parametrize(("kind", "queries"), [("bi-encoder", 12), ("cross-encoder", 4)])
def test_the_texts_are_bundled_and_of_many_lengths(kind: str, queries: int) -> None:
    query_texts, passages = bundled_texts(kind)
    assert (len(query_texts), len(passages)) == (queries, 75)
    assert len(set(passages)) == 75
    assert {len(passage.split()) for passage in passages} == set(range(26, 101))
