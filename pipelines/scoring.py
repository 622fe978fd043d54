"""The seam to the models, and the way from passage scores to one score a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, isfinite
from typing import Protocol

from pipelines.errors import BadScores
from pipelines.passages import Passage
from pipelines.plan import Aggregate


class Scorer(Protocol):
    """Everything the core knows of models.

    A scorer is handed out for one search and knows that search's deadline; the core does not.
    """

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        """Score each text against the query text; higher is more relevant.

        The answer has one entry a text, in the same order. `None` marks a text that was not
        reached before the deadline; texts are worked through from the first to the last.

        Raises a `RescoreError` when nothing can be scored at all.
        """
        ...


class Scorers(Protocol):
    """Where each search gets its scorer from."""

    def scorer(self, deadline: float | None) -> Scorer:
        """One for a search that must end by `deadline`, in seconds of the monotonic clock."""
        ...

    def expect(self, models: Iterable[str], query_text: str) -> None:
        """Say that a search with this query text is under way, so that models begin to read it."""
        ...


def group_scores(
    passages: Sequence[Passage],
    scores: Sequence[float | None],
    aggregate: Aggregate,
    best: int,
) -> dict[int, float]:
    """Turn a scorer's answer into one score a group, keyed by the group's index.

    `max`, `mean` and `mean_of_best` (the mean of the `best` highest) are over the group's
    passages; `first` is the score of its earliest passage in reading order (in the field: MaxP,
    MeanP, KMaxAvg, FirstP). Passages of a field that is read apart count with its weight. A group
    with a passage that was not reached (None) has no score: it could not be compared with the
    others. Raises BadScores for a wrong number of scores or one that is not finite.
    """
    if len(scores) != len(passages):
        raise BadScores(f"the scorer gave {len(scores)} scores for {len(passages)} texts")
    if not all(score is None or isfinite(score) for score in scores):
        raise BadScores("the scorer gave a score that is not a finite number")
    members: dict[int, list[tuple[int, float]]] = {}
    cut_off: set[int] = set()
    for passage, score in zip(passages, scores, strict=True):
        if score is None:
            cut_off.add(passage.group)
        else:
            members.setdefault(passage.group, []).append((passage.number, weigh(passage, score)))
    return {
        group: _aggregate(found, aggregate, best)
        for group, found in members.items()
        if group not in cut_off
    }


def weigh(passage: Passage, score: float) -> float:
    """A model's score of a passage, times its field's weight.

    A negative score is divided instead, so that a higher weight always raises it.
    """
    return score * passage.weight if score >= 0 else score / passage.weight


def _aggregate(numbered: list[tuple[int, float]], aggregate: Aggregate, best: int) -> float:
    """One score of a group's (passage number, score) pairs."""
    if len(numbered) == 1:
        return float(numbered[0][1])
    if aggregate == "first":
        return float(min(numbered)[1])
    scores = [score for _, score in numbered]
    match aggregate:
        case "max":
            return float(max(scores))
        case "mean":
            return fsum(scores) / len(scores)
        case "mean_of_best":
            highest = sorted(scores, reverse=True)[:best]
            return fsum(highest) / len(highest)
