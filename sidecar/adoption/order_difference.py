"""How far two orders of the same hits differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PERSISTENCE: Final = 0.9
"""`p` of rank-biased overlap: how probable it is that a reader goes on to the next hit. With 0.9,
the first ten hits have 86 % of the weight (Webber et al. 2010, section 4.3)."""


def overlap(first: Sequence[int], second: Sequence[int], k: int) -> float:
    """The share of the first `k` hits that both orders have there; 1 for no hits."""
    k = min(k, max(len(first), len(second)))
    return len(set(first[:k]) & set(second[:k])) / k if k else 1.0


def rank_biased_overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Rank-biased overlap of two orders of the same length, from 0 to 1; linear.

    It is the extrapolated value, RBO_EXT, which is 1 for equal orders: W. Webber, A. Moffat,
    J. Zobel, A Similarity Measure for Indefinite Rankings, ACM TOIS 28(4), 2010, equation 32.
    """
    if not first:
        return 1.0
    seen_first: set[int] = set()
    seen_second: set[int] = set()
    common, weight, total = 0, 1.0, 0.0
    for depth, (one, other) in enumerate(zip(first, second, strict=True), start=1):
        seen_first.add(one)
        seen_second.add(other)
        common += (one in seen_second) + (other in seen_first and other != one)
        weight *= PERSISTENCE
        total += common / depth * weight
    agreement = common / len(first)
    return agreement * weight + (1 - PERSISTENCE) / PERSISTENCE * total
