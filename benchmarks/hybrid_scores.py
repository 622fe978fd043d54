"""How much OpenSearch's order and the model's order count for windows of `hybrid` queries.

    python -m benchmarks.hybrid_scores

Normalised scores have another scale than BM25. This builds windows with known relevance, from
score lists shaped like those of `match` (skewed, from 5 up) and of `knn` (a narrow band of
cosines), joins two lists as the normalization processors of neural-search do, and fuses each window
with the same model scores. The result is a row for each kind of scores: Kendall's tau of the fused
order with OpenSearch's and with the model's, under `relative` and under `additive`, and the first
term of the best hit. If the rows agree with that of one `match`, the methods need no setting of
their own for `hybrid` queries. No model is needed; it takes some seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.fusion_methods import AdditiveFusion, RelativeFusion, ScoredGroups
from pipelines.original_scores import read_original_scores

Floats = NDArray[np.float64]
Draw = Callable[[Floats, np.random.Generator], Floats]

HITS: Final = 100
WINDOWS: Final = 400
SHARED: Final = (0.1, 0.5, 0.9)
"""Share of the hits that both lists have."""

RELATIVE: Final = RelativeFusion()
ADDITIVE: Final = AdditiveFusion(lexical=0.0)
"""Without words, so that only the original scores and the model decide."""

_WEIGHT: Final = 0.4
_SPREAD: Final = 0.09
"""The weight of the shipped plan, and the spread of the synthetic model's scores."""


class Agreement(NamedTuple):
    """The mean of many windows: Kendall's tau with OpenSearch's order and with the model's, under
    both methods; the first term of the best hit; the share of windows with a pinned hit."""

    relative: tuple[float, float]
    additive: tuple[float, float]
    best_term: float
    pinned: float


def match_scores(relevance: Floats, random: np.random.Generator) -> Floats:
    """Scores such as BM25 gives: skewed, the best two or three times as high as the last."""
    return np.asarray(5 + np.exp(0.5 * relevance + 0.5 * random.normal(size=len(relevance))))


def knn_scores(relevance: Floats, random: np.random.Generator) -> Floats:
    """Scores of neighbours: (1 + cosine) / 2 in a narrow band."""
    return np.asarray(0.78 + 0.02 * relevance + 0.02 * random.normal(size=len(relevance)))


def min_max(scores: Floats) -> Floats:
    """`min_max` of the normalization processor: the least score becomes 0.001."""
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    return np.asarray(np.maximum(scaled, 0.001))


def l2(scores: Floats) -> Floats:
    """`l2` of the normalization processor."""
    return np.asarray(scores / np.linalg.norm(scores))


def ranks(scores: Floats) -> Floats:
    """`rrf` of the score ranker processor."""
    places = np.empty(len(scores))
    places[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.asarray(1 / (60 + places))


def join(lists: Sequence[Draw], normalise: Callable[[Floats], Floats], shared: float) -> Draw:
    """A function that draws the joined scores of two lists; a hit of one list has half a score."""

    def draw(relevance: Floats, random: np.random.Generator) -> Floats:
        both = random.random(len(relevance)) < shared / (2 - shared)
        first = random.random(len(relevance)) < 0.5
        total = np.zeros(len(relevance))
        for scores, alone in zip(lists, (first, ~first), strict=True):
            has = both | alone
            total[has] += normalise(scores(relevance[has], random)) / len(lists)
        return total

    return draw


def measure(draw: Draw, windows: int = WINDOWS) -> Agreement:
    """The agreement for scores that `draw` gives to hits with some relevance."""
    random = np.random.default_rng(19)
    found = []
    for _ in range(windows):
        relevance = random.normal(size=2 * HITS)
        drawn = draw(relevance, random)
        window = np.argsort(-drawn, kind="stable")[:HITS]
        original = drawn[window]
        model = 0.35 + 0.1 * (relevance[window] + random.normal(size=HITS))
        originals = read_original_scores(original)
        groups = ScoredGroups(original.tolist(), model.tolist(), (), originals, 8)
        added = groups._replace(model=(_WEIGHT * model / _SPREAD).tolist())
        relative, additive = np.array(RELATIVE.fuse(groups)), np.array(ADDITIVE.fuse(added))
        found.append(
            [
                kendall(relative, original),
                kendall(relative, model),
                kendall(additive, original),
                kendall(additive, model),
                groups.terms()[0],
                float(original[0] > originals.high),
            ]
        )
    means = np.mean(found, axis=0).tolist()
    return Agreement((means[0], means[1]), (means[2], means[3]), means[4], means[5])


def kendall(one: Floats, other: Floats) -> float:
    """Kendall's tau-a of two lists of scores of the same hits."""
    upper = np.triu_indices(len(one), 1)
    agree = np.sign(one[:, None] - one)[upper] * np.sign(other[:, None] - other)[upper]
    return float(agree.mean())


KINDS: Final[Sequence[tuple[str, Sequence[Draw], Callable[[Floats], Floats]]]] = (
    ("`match` + `match`, `min_max`", (match_scores, match_scores), min_max),
    ("`match` + `knn`, `min_max`", (match_scores, knn_scores), min_max),
    ("`match` + `knn`, `l2`", (match_scores, knn_scores), l2),
    ("`match` + `knn`, ranks (`rrf`)", (match_scores, knn_scores), ranks),
)


def measure_all(windows: int = WINDOWS) -> dict[str, list[Agreement]]:
    """The agreements of each kind of scores: one for each of SHARED, or one for a single list."""
    rows = {"one `match` (BM25)": [measure(match_scores, windows)]}
    for name, lists, normalise in KINDS:
        rows[name] = [measure(join(lists, normalise, one), windows) for one in SHARED]
    return rows


def _span(values: Sequence[float], digits: int = 2) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def main() -> None:
    print(
        "| scores | relative: OpenSearch | model | additive: OpenSearch | model | best | pinned |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, rows in measure_all().items():
        cells = [
            _span([row.relative[0] for row in rows]),
            _span([row.relative[1] for row in rows]),
            _span([row.additive[0] for row in rows]),
            _span([row.additive[1] for row in rows]),
            _span([row.best_term for row in rows], 1),
            _span([row.pinned for row in rows]),
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
