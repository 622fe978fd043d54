"""Scores to logits to relevance: the order stays."""

from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.rerank import CosineLogits
from sidecar.logits import LARGEST, NO_TEXT, relevance, rounded, write_logits

scores = st.floats(-1e30, 1e30)


def test_a_cross_encoder_gives_logits_itself() -> None:
    assert write_logits([-9.006162, 2.8577538], None) == [-9.006162, 2.8577538]


def test_a_cosine_is_moved_and_stretched() -> None:
    logits = write_logits([1.0, 0.4, -1.0], CosineLogits(scale=10, middle=0.4))
    assert [round(logit, 6) for logit in logits] == [6.0, 0.0, -14.0]
    assert relevance(logits[1]) == 0.5


@given(st.lists(scores, min_size=2, max_size=2), st.sampled_from([None, CosineLogits()]))
def test_the_order_stays(pair: list[float], cosine: CosineLogits | None) -> None:
    low, high = write_logits(sorted(pair), cosine)
    assert NO_TEXT <= low <= high <= LARGEST
    assert 0 <= relevance(low) <= relevance(high) <= 1


@given(scores)
def test_relevance_is_symmetric(score: float) -> None:
    [logit] = write_logits([score], None)
    assert isclose(relevance(logit) + relevance(-logit), 1)


def test_there_is_no_negative_zero() -> None:
    assert str(rounded(-1e-9)) == "0.0"
