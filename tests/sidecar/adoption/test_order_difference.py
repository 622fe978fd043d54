"""Measures of how far two orders differ, against hand-made and published values."""

from itertools import pairwise

import pytest

from sidecar.adoption.order_difference import PERSISTENCE, overlap, rank_biased_overlap


def test_overlap_counts_the_first_hits() -> None:
    assert overlap([1, 2, 3, 4], [4, 1, 2, 3], 2) == 0.5
    assert overlap([1, 2], [2, 1], 10) == 1
    assert overlap([], [], 10) == 1


def by_definition(first: list[int], second: list[int]) -> float:
    """Equation 32 of Webber et al., word for word."""
    k = len(first)
    shared = [len(set(first[:depth]) & set(second[:depth])) for depth in range(1, k + 1)]
    p = PERSISTENCE
    rest = sum(x / d * p**d for d, x in enumerate(shared, start=1))
    return shared[-1] / k * p**k + (1 - p) / p * rest


@pytest.mark.parametrize(
    "second", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 2, 3, 4], [0, 1, 2, 4, 3], [9, 8, 7, 6, 5]]
)
def test_rank_biased_overlap_is_that_of_its_definition(second: list[int]) -> None:
    first = [0, 1, 2, 3, 4]
    assert rank_biased_overlap(first, second) == pytest.approx(by_definition(first, second))


def test_a_change_counts_more_at_the_top() -> None:
    own = list(range(20))
    values = []
    for place in range(0, 18, 3):
        new = own.copy()
        new[place], new[place + 1] = new[place + 1], new[place]
        values.append(rank_biased_overlap(own, new))
    assert all(one < other for one, other in pairwise(values))
    assert rank_biased_overlap(own, own) == pytest.approx(1)
