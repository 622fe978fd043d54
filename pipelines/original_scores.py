"""What the original scores of a window show: which hits stand apart, and how far the others lie
from one another.

Shops and editors put hits on top with boosts of a thousand and more, which no text reaches. A model
should not move such a hit, and its score says nothing about the others. The same holds for a
constant that all scores share. So the results here stay the same if a number is added to all
scores, or if all scores are multiplied by one number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Curated levels are powers of ten, so the gap between two is nine times everything below.
_APART = 8.0
# If all others have equal scores, this many times that score is the gap: no text reaches it.
_FAR = 100.0
# Curated hits fill at most one page.
_MOST = 10


class OriginalScores(NamedTuple):
    """The scores of a window, without the hits that stand apart.

    `low` and `high` are the least and the highest of them; hits above are pinned, hits below are
    sunk. `distance` is the average distance of two of them (Gini's mean difference), 0 if all are
    equal.
    """

    low: float
    high: float
    distance: float

    def hold(self, score: float) -> bool:
        """Whether a hit with this score is neither pinned nor sunk."""
        return self.low <= score <= self.high


def read_original_scores(scores: Iterable[float]) -> OriginalScores:
    """Read the scores of all groups of a window, in any order.

    A gap divides the window in two parts; the smaller part stands apart (the upper one, if they are
    equal) if the gap is at least eight times the range of the larger part. At most ten hits stand
    apart, and they are on levels: a level is at most half as wide as that gap, and at least three
    quarters of it away from the next. The rest is examined again, so that levels of very different
    heights are found. If the larger part has no range, the gap must be a hundred times its score.
    Of fewer than three hits, none stands apart.
    """
    ordered = np.sort(np.fromiter(scores, np.float64))
    while (cut := _find_cut(ordered)) is not None:
        lower, upper = ordered[:cut], ordered[cut:]
        ordered = lower if len(lower) >= len(upper) else upper
    if not len(ordered):
        return OriginalScores(0.0, 0.0, 0.0)
    low, high = float(ordered[0]), float(ordered[-1])
    return OriginalScores(low, high, _mean_difference(ordered))


def _find_cut(ordered: NDArray[np.float64]) -> int | None:
    """The place at which to divide ascending scores; None if no hit stands apart."""
    count = len(ordered)
    if count < 3:
        return None
    places = np.arange(1, count)
    gaps = np.diff(ordered)
    lower_is_larger = 2 * places >= count
    ranges = np.where(
        lower_is_larger, ordered[:-1] - ordered[0], ordered[-1] - ordered[1:]
    )  # of the larger part, for a cut at each place
    alike = np.abs(np.where(lower_is_larger, ordered[:-1], ordered[1:]))
    least = np.where(ranges > 0, _APART * ranges, _FAR * alike)
    wide = np.flatnonzero((least > 0) & (gaps >= least))
    # There are only a few: the range of each is eight times that of the one before.
    for index in wide[np.argsort(-gaps[wide])]:
        apart = gaps[index + 1 :] if lower_is_larger[index] else gaps[:index]
        if len(apart) < _MOST and _are_levels(apart.tolist(), float(gaps[index])):
            return int(places[index])
    return None


def _are_levels(gaps: Iterable[float], gap: float) -> bool:
    """Whether hits beyond a gap, with these gaps between them, can have been put there by boosts.

    Boosted hits are on levels: close together, or about as far apart as they are from the rest.
    Hits with a word that the rest of the window lacks, for example because the rest matches only a
    stop word, are spread between the two.
    """
    width = 0.0
    for one in gaps:
        width = 0.0 if one >= 0.75 * gap else width + one
        if width > gap / 2:
            return False
    return True


def _mean_difference(ordered: NDArray[np.float64]) -> float:
    count = len(ordered)
    if count < 2:
        return 0.0
    # Each gap lies between this number of pairs.
    below = np.arange(1, count)
    pairs = below * (count - below)
    return float((np.diff(ordered) * pairs).sum() / (count * (count - 1) / 2))
