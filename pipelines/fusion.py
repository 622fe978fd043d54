"""Original order and model scores become one fused order, with its scores.

A group's index is its place in the original order. Groups whose original score stands apart are not
fused: pinned ones stay above all scored groups, sunk ones below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from pipelines.documents import Document
from pipelines.errors import BadScores
from pipelines.fusion_methods import FusionMethod, ScoredGroups
from pipelines.groups import Group
from pipelines.lexical import Evidence
from pipelines.original_scores import OriginalScores
from pipelines.plan import Scores

LARGEST = 1e300
"""Beyond this, the difference of two values could overflow. No model gives such numbers."""


class Ranked(NamedTuple):
    """One hit of the fused order: its position in the original order, and its new score.

    None: the hit keeps its score.
    """

    position: int
    score: float | None


def fuse(
    groups: Sequence[Group],
    originals: OriginalScores,
    scores: Mapping[int, float],
    fusion: FusionMethod,
    evidence: Evidence,
) -> dict[int, float]:
    """One value for each scored group, by the plan's fusion method: higher is better.

    Groups that stand apart in `originals` are not fused. Pinned ones get the highest value of the
    others and sunk ones the lowest: ties keep the original order, and so do these groups. Ranges
    and ranks are those of the fused groups.

    Raises BadScores if the values leave the range that can be computed with.
    """
    indices = sorted(index for index in scores if originals.hold(groups[index].original_score))
    reads_words = fusion.reads_words and evidence.groups
    values = fusion.fuse(
        ScoredGroups(
            original=[groups[index].original_score for index in indices],
            model=[scores[index] for index in indices],
            evidence=[evidence.groups[index] for index in indices] if reads_words else [],
            originals=originals,
            query_words=evidence.query_words,
        )
    )
    check_range(values)
    fused = dict(zip(indices, values, strict=True))
    return place_apart(fused, scores.keys() - fused.keys(), groups, originals)


def check_range(values: Iterable[float]) -> None:
    """Raise BadScores for values that leave the range that can be computed with."""
    if not all(abs(value) <= LARGEST for value in values):
        raise BadScores("the model's scores are too large to be fused")


def place_apart(
    fused: Mapping[int, float],
    apart: Iterable[int],
    groups: Sequence[Group],
    originals: OriginalScores,
) -> dict[int, float]:
    """The fused values, with those of groups that stand apart: the highest, or the lowest."""
    values = dict(fused)
    highest, lowest = max(fused.values(), default=0.0), min(fused.values(), default=0.0)
    for index in apart:
        pinned = groups[index].original_score > originals.high
        values[index] = highest if pinned else lowest
    return values


def reorder(order: Sequence[int], fused: Mapping[int, float]) -> list[int]:
    """Permute the groups that have a fused value among the places that they have in `order`.

    All others keep their places. Ties keep the original order.
    """
    best_first = iter(sorted(fused, key=lambda index: (-fused[index], index)))
    return [next(best_first) if index in fused else index for index in order]


def lay_on(values: Sequence[float], scale: Sequence[float]) -> list[float]:
    """Move values linearly to the range of `scale`; the ends become exactly those of `scale`.

    `values` are in their final order. If all are equal, they become the numbers of `scale` itself,
    from high to low.
    """
    if not values:
        return []
    bottom, top = min(values), max(values)
    if bottom == top:
        return sorted(scale, reverse=True)
    low, high = min(scale), max(scale)
    return [
        high if value == top else low + (high - low) * ((value - bottom) / (top - bottom))
        for value in values
    ]


def rank_hits(
    groups: Sequence[Group],
    originals: OriginalScores,
    order: Iterable[int],
    fused: Mapping[int, float],
    scores: Mapping[int, float],
    show: Scores,
) -> tuple[Ranked, ...]:
    """Turn an order of groups into an order of hits; a group's hits stay together.

    The new scores depend on `show` (a plan's `scores`):

    - `fused`: fused values, moved to the range of the original scores of the scored hits. Hits that
      were not scored, or that stand apart, keep their scores. Then no score is higher than the one
      before it. The first is exactly the window's highest original score. The last is exactly the
      lowest, if all hits were scored and none stands apart.
    - `model`: the group's score in `scores`; None for the others.
    - `positional`: the i-th hit gets the i-th original score.
    """
    places = list(order)
    documents = [groups[index].documents for index in places]
    placed = [
        (index, document) for index, own in zip(places, documents, strict=True) for document in own
    ]
    new_scores: Sequence[float | None]
    if show == "model":
        new_scores = [scores.get(index) for index, _ in placed]
    elif show == "positional":
        by_position = sorted((document.position, document.original_score) for _, document in placed)
        new_scores = [score for _, score in by_position]
    else:
        new_scores = _on_original_scale(groups, originals, placed, fused)
    positions = [document.position for _, document in placed]
    return tuple(map(Ranked, positions, new_scores))


def _on_original_scale(
    groups: Sequence[Group],
    originals: OriginalScores,
    placed: Sequence[tuple[int, Document]],
    fused: Mapping[int, float],
) -> list[float]:
    """The new scores of `fused`, for (group index, document) pairs in their final order."""
    if not placed:
        return []
    moved = {index for index in fused if originals.hold(groups[index].original_score)}
    values = [fused[index] for index, _ in placed if index in moved]
    scale = [hit.original_score for index, hit in placed if index in moved]
    laid = iter(lay_on(values, scale))
    own = [
        next(laid)
        if index in moved
        # If a group stands apart, all its hits do.
        else (groups[index] if index in fused else hit).original_score
        for index, hit in placed
    ]
    highest = max(hit.original_score for _, hit in placed)
    return list(accumulate([highest, *own[1:]], min))
