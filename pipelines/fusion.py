"""Original order and model scores to one fused order, and the scores that go with it.

Groups are named by their index, which is their place in the original order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import fsum
from typing import Literal, NamedTuple

from pipelines.documents import Document
from pipelines.errors import BadScores
from pipelines.groups import Group
from pipelines.lexical import Evidence
from pipelines.plan import Fusion

_RRF_K = 60
# Beyond this a difference of two values could overflow. No model gives such numbers.
_LARGEST = 1e300


class Ranked(NamedTuple):
    """One hit of the fused order: its position in the original one, and its new score.

    None leaves the hit the score it has.
    """

    position: int
    score: float | None


def fuse(
    groups: Sequence[Group],
    scores: Mapping[int, float],
    fusion: Fusion,
    evidence: Evidence,
) -> dict[int, float]:
    """Join each scored group's original score or rank with its score: higher is better.

    Means, ranges and ranks are taken over the scored groups alone.

    - `relative`: original / mean(original) + weight x score; a mean of 0 leaves weight x score.
      A share `fusion.lexical` of the first term gives way to the groups' lexical evidence, if
      there is any, and short query texts lower the weight (`fusion.short_query_words`).
    - `weighted`: (1 - weight) x original + weight x score, both min-max scaled to 0..1; where all
      are equal they scale to 0.
    - `rrf`: 1 / (60 + original rank) + weight / (60 + rank by score), ranks from 1, ties in the
      original order (Cormack, Clarke and Buettcher, SIGIR 2009, with a weight).
    - `replace`: score.

    Raises BadScores when the values leave the range that can be computed with.
    """
    indices = sorted(scores)
    original = [groups[index].original_score for index in indices]
    model = [scores[index] for index in indices]
    weight = fusion.weight
    match fusion.method:
        case "relative":
            terms = _over_mean(original)
            if fusion.lexical and evidence.groups:
                terms = [
                    (1 - fusion.lexical) * term + fusion.lexical * evidence.groups[index]
                    for term, index in zip(terms, indices, strict=True)
                ]
            weight *= min(1.0, evidence.query_words / fusion.short_query_words)
            values = [term + weight * m for term, m in zip(terms, model, strict=True)]
        case "weighted":
            pairs = zip(_min_max(original), _min_max(model), strict=True)
            values = [(1 - weight) * o + weight * m for o, m in pairs]
        case "rrf":
            ranks = enumerate(_ranks(model), start=1)
            values = [1 / (_RRF_K + o) + weight / (_RRF_K + m) for o, m in ranks]
        case "replace":
            values = model
    if not all(abs(value) <= _LARGEST for value in values):
        raise BadScores("the model's scores are too large to be fused")
    return dict(zip(indices, values, strict=True))


def reorder(order: Sequence[int], fused: Mapping[int, float]) -> list[int]:
    """Permute the groups that have a fused value among the places that they hold in `order`.

    All others keep their place. Ties keep the original order.
    """
    best_first = iter(sorted(fused, key=lambda index: (-fused[index], index)))
    return [next(best_first) if index in fused else index for index in order]


def lay_on(values: Sequence[float], scale: Sequence[float]) -> list[float]:
    """Move values linearly onto the range of `scale`: the ends are met exactly.

    `values` are in their final order; if all are equal, they get the numbers of `scale` itself,
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
    order: Iterable[int],
    fused: Mapping[int, float],
    scores: Mapping[int, float],
    show: Literal["fused", "model", "positional"],
) -> tuple[Ranked, ...]:
    """Spell an order of groups out as hits; a group's hits stay together, in original order.

    The new scores, by `show` (a plan's `scores`):

    - `fused`: the fused values laid on the range of the original scores of the scored hits, others
      keep their own; then none is higher than the one before it. The first is exactly the
      window's highest original score, the last, if all were scored, exactly its lowest.
    - `model`: the group's score in `scores`; None for the others.
    - `positional`: the i-th hit gets the i-th original score.
    """
    placed = [(index, document) for index in order for document in groups[index].documents]
    new_scores: Sequence[float | None]
    if show == "model":
        new_scores = [scores.get(index) for index, _ in placed]
    elif show == "positional":
        by_position = sorted((document.position, document.original_score) for _, document in placed)
        new_scores = [score for _, score in by_position]
    else:
        new_scores = _on_original_scale(placed, fused)
    positions = [document.position for _, document in placed]
    return tuple(map(Ranked, positions, new_scores))


def _on_original_scale(
    placed: Sequence[tuple[int, Document]], fused: Mapping[int, float]
) -> list[float]:
    """The new scores of `fused`, for (group index, document) pairs in their final order."""
    if not placed:
        return []
    scored = [(fused[index], hit.original_score) for index, hit in placed if index in fused]
    laid = iter(lay_on([value for value, _ in scored], [original for _, original in scored]))
    own = [next(laid) if index in fused else hit.original_score for index, hit in placed]
    highest = max(hit.original_score for _, hit in placed)
    return list(accumulate([highest, *own[1:]], min))


def _over_mean(values: Sequence[float]) -> list[float]:
    # A mean of absolute values cannot be turned around by negative scores.
    mean = fsum(map(abs, values)) / max(1, len(values))
    return [value / mean if mean else 0.0 for value in values]


def _min_max(values: Sequence[float]) -> list[float]:
    return [0.0] * len(values) if len(set(values)) < 2 else lay_on(values, (0.0, 1.0))


def _ranks(values: Sequence[float]) -> list[int]:
    """The rank of each value, the highest 1; ties in the order given."""
    ranks = [0] * len(values)
    for rank, index in enumerate(sorted(range(len(values)), key=lambda i: -values[i]), start=1):
        ranks[index] = rank
    return ranks
