"""How good an order is: nDCG, reciprocal rank and recall, as trec_eval computes them.

Conventions of TREC: an id without a judgment counts as not relevant, and so does a grade of 0 or
less; only the first `k` ids of a run count; a query without any relevant document scores 0.
There are two differences from trec_eval, which sorts a run again by its scores and knows only whole
grades: here the given order is judged, and a grade may be a fraction. No id may be ranked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum, log2

Measure = Callable[[Mapping[str, float], Sequence[str], int], float]


def ndcg(grades_by_id: Mapping[str, float], ranked_ids: Sequence[str], k: int) -> float:
    """Normalised discounted cumulative gain at `k`, from 0 to 1.

    The gain is the grade itself, the discount log2(rank + 1); the ideal order contains all judged
    documents (Järvelin and Kekäläinen 2002; trec_eval's `ndcg_cut`).
    """
    gains = [max(0.0, grades_by_id.get(id_, 0)) for id_ in _first(ranked_ids, k)]
    ideal = sorted((grade for grade in grades_by_id.values() if grade > 0), reverse=True)[:k]
    return _discounted(gains) / _discounted(ideal) if ideal else 0.0


def reciprocal_rank(grades_by_id: Mapping[str, float], ranked_ids: Sequence[str], k: int) -> float:
    """1 / rank of the first relevant document within the first `k`; 0 if there is none."""
    for rank, id_ in enumerate(_first(ranked_ids, k), start=1):
        if grades_by_id.get(id_, 0) > 0:
            return 1 / rank
    return 0.0


def recall(grades_by_id: Mapping[str, float], ranked_ids: Sequence[str], k: int) -> float:
    """The share of all relevant documents that are within the first `k`."""
    relevant = {id_ for id_, grade in grades_by_id.items() if grade > 0}
    return len(relevant.intersection(_first(ranked_ids, k))) / len(relevant) if relevant else 0.0


def mean_over_queries(
    measure: Measure,
    qrels: Mapping[str, Mapping[str, float]],
    run: Mapping[str, Sequence[str]],
    k: int,
) -> float:
    """The mean of a measure over every judged query; a query that the run lacks counts 0.

    This is trec_eval with `-c`: omitting hard queries cannot raise the mean. Raises ValueError if
    there are no judged queries.
    """
    if not qrels:
        raise ValueError("there are no judged queries; check the qrels file")
    return fsum(measure(grades, run.get(query, ()), k) for query, grades in qrels.items()) / len(
        qrels
    )


def _first(ranked_ids: Sequence[str], k: int) -> list[str]:
    if k < 1:
        raise ValueError(f"k counts ranks and is at least 1, not {k}")
    if len(set(ranked_ids)) != len(ranked_ids):
        raise ValueError("a document is ranked twice for one query; remove the repetition")
    return list(ranked_ids[:k])


def _discounted(gains: Sequence[float]) -> float:
    return fsum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
