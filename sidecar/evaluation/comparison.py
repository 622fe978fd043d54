"""Compares two orders, for each query and over all queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from pipelines.measures import mean_over_queries, ndcg, recall, reciprocal_rank
from sidecar.evaluation.bootstrap import Interval, bootstrap_interval
from sidecar.evaluation.searching import RankedAnswer

CUT = 10
"""The default cut of measures: the first page, which is what users see."""

NOTABLE = 0.05
"""A change of nDCG that a user would notice."""

Qrels = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Quality:
    """The measures of one order: means over all judged queries, and times over all searches."""

    ndcg: float
    reciprocal_rank: float
    recall: float
    median_ms: float
    mean_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Change:
    """One query's nDCG in both orders."""

    direct: float
    rescored: float

    @property
    def gain(self) -> float:
        return self.rescored - self.direct


@dataclass(frozen=True)
class Comparison:
    """Two runs over the same judged queries, their first `k` hits.

    `changes` is by query. `outcomes` counts searches by status, such as `applied` or
    `partial reason=deadline`.
    """

    k: int
    direct: Quality
    rescored: Quality
    changes: Mapping[str, Change]
    outcomes: Mapping[str, int]

    @property
    def gains(self) -> dict[str, float]:
        """By query: nDCG of the rescored order minus that of the direct order."""
        return {query: change.gain for query, change in self.changes.items()}

    @property
    def gain(self) -> float:
        """The mean gain of nDCG."""
        return fmean(self.gains.values())

    @cached_property
    def interval(self) -> Interval:
        """The paired bootstrap's 95 % interval of the mean gain."""
        return bootstrap_interval(list(self.gains.values()))

    @property
    def helped(self) -> int:
        """Queries that rescoring made better."""
        return self.helped_by_more_than(0)

    @property
    def harmed(self) -> int:
        """Queries that rescoring made worse."""
        return self.harmed_by_more_than(0)

    def helped_by_more_than(self, least: float) -> int:
        """Queries whose nDCG rose by more than `least`."""
        return sum(gain > least for gain in self.gains.values())

    def harmed_by_more_than(self, least: float) -> int:
        """Queries whose nDCG fell by more than `least`."""
        return sum(gain < -least for gain in self.gains.values())


def compare(
    qrels: Qrels,
    direct: Mapping[str, RankedAnswer],
    rescored: Mapping[str, RankedAnswer],
    k: int = CUT,
) -> Comparison:
    """Compare both runs; a judged query that is missing from a run counts 0 there.

    This is trec_eval with `-c`. Raises ValueError when there are no judged queries.
    """
    if not qrels:
        raise ValueError("there are no judged queries; check the qrels file")
    changes = {
        query: Change(
            ndcg(grades, _ids(direct, query), k),
            ndcg(grades, _ids(rescored, query), k),
        )
        for query, grades in qrels.items()
    }
    return Comparison(
        k=k,
        direct=_judge(qrels, direct, [change.direct for change in changes.values()], k),
        rescored=_judge(qrels, rescored, [change.rescored for change in changes.values()], k),
        changes=changes,
        outcomes=Counter(answer.status for answer in rescored.values()),
    )


def _judge(
    qrels: Qrels, run: Mapping[str, RankedAnswer], ndcgs: Sequence[float], k: int
) -> Quality:
    ranked = {query: answer.ranked_ids for query, answer in run.items()}
    milliseconds = [answer.seconds * 1000 for answer in run.values()]
    median, p95 = np.percentile(milliseconds, (50, 95))
    return Quality(
        ndcg=fmean(ndcgs),
        reciprocal_rank=mean_over_queries(reciprocal_rank, qrels, ranked, k),
        recall=mean_over_queries(recall, qrels, ranked, k),
        median_ms=float(median),
        mean_ms=fmean(milliseconds),
        p95_ms=float(p95),
    )


def _ids(run: Mapping[str, RankedAnswer], query: str) -> tuple[str, ...]:
    return run[query].ranked_ids if query in run else ()
