"""Scores to probabilities to buckets, which never rise down a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.kendra import Confidence
from sidecar.kendra.answering.confidence import bucket, calibrate, never_rising

SETTINGS = Confidence()
probabilities = st.lists(st.none() | st.floats(0, 1))


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (1.0, "VERY_HIGH"),
        (0.9, "VERY_HIGH"),
        (0.89, "HIGH"),
        (0.7, "HIGH"),
        (0.69, "MEDIUM"),
        (0.4, "MEDIUM"),
        (0.39, "LOW"),
        (0.0, "LOW"),
        (None, "NOT_AVAILABLE"),
    ],
)
def test_score_confidence_buckets(probability: float | None, expected: str) -> None:
    assert bucket(probability, SETTINGS) == expected


def test_a_cosine_and_a_logit_are_calibrated() -> None:
    assert calibrate(0.49, True, SETTINGS) == pytest.approx(0.5)
    assert calibrate(0.0, False, SETTINGS) == pytest.approx(0.5)
    assert calibrate(0.7, True, SETTINGS) > 0.8


def test_the_wrong_way_round_becomes_the_mean() -> None:
    assert never_rising([0.2, 0.8, None, 0.1]) == [0.5, 0.5, None, 0.1]


@given(probabilities)
def test_the_list_never_rises_and_keeps_its_mean(values: list[float | None]) -> None:
    smoothed = never_rising(values)
    before = [value for value in values if value is not None]
    after = [value for value in smoothed if value is not None]
    assert [value is None for value in values] == [value is None for value in smoothed]
    assert all(one >= other - 1e-12 for one, other in zip(after, after[1:], strict=False))
    assert sum(after) == pytest.approx(sum(before))
    if before == sorted(before, reverse=True):
        assert after == pytest.approx(before)
