"""The seam to the models, and the way from scores of passages to one score per group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import fsum, isfinite
from typing import Literal, Protocol, TypeGuard

from pipelines.errors import BadScores
from pipelines.passages import Passage
from pipelines.plan import Aggregate

Enough = Callable[[Sequence[float | None]], bool]
"""Whether the scores so far, None for unread texts, are all that a search needs. Takes less than a
millisecond and never raises."""


class Scorer(Protocol):
    """Everything that the core knows about models.

    A scorer belongs to one search and knows its deadline; the core does not.
    """

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        """Score each text against the query text; higher is more relevant.

        The answer has one entry per text, in the same order. None marks a text that the model did
        not reach before the deadline; it reads texts from the first to the last.

        Raises a `RescoreError` if it cannot score anything.
        """
        ...

    def score_until(
        self, model: str, query_text: str, texts: Sequence[str], enough: Enough
    ) -> Awaitable[Sequence[float | None]]:
        """Score texts as `score` does, until the scores are enough.

        `enough` is asked before the model reads anything, with the scores that cost nothing, and
        again from time to time. Texts that are left unread get None.
        """
        return self.score(model, query_text, texts)

    async def recall(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """What `score` says, if the model needs to read none of the texts for it; else None.

        Raises a `RescoreError` as `score` does.
        """
        return None

    def highest(self, model: str) -> float | None:
        """The highest score that the model can give any text; None if it has no bound."""
        return None

    def spread(self, model: str) -> float:
        """Standard deviation of the model's scores over unlike texts, above 0; known at once.

        It says how large a difference of two scores of this model is, so that models with scores
        on other scales count alike. 1 where nothing is known, as for a model of a test.
        """
        return 1.0

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """What a student of the model expects `score` to say of each text, on the same scale.

        The answer has one entry per text, in the same order, None where the student does not know.
        The model reads no passage for it, so it comes at once. None if there is no student or it
        is of no use.

        Raises a `RescoreError` as `score` does.
        """
        return None


class Scorers(Protocol):
    """Gives each search its scorer."""

    def scorer(self, deadline: float | None) -> Scorer:
        """The scorer for a search that must end by `deadline` (seconds of the monotonic clock)."""
        ...

    def expect(self, models: Iterable[str], query_text: str) -> None:
        """Announce a search with this query text, so that models begin to read it."""
        ...


def group_scores(
    passages: Sequence[Passage],
    scores: Sequence[float | None],
    aggregate: Aggregate,
    best: int,
    *,
    partly: bool = False,
) -> tuple[dict[int, float], dict[int, Passage]]:
    """Turn a scorer's answer into one score per group, keyed by the group's index.

    Also returns each scored group's passage with the highest score, the first of equal ones.

    `max`, `mean` and `mean_of_best` (the mean of the `best` highest) are over the group's
    passages; `first` is the score of its first passage in reading order (in the literature: MaxP,
    MeanP, KMaxAvg, FirstP). Scores are multiplied by the weights of their passages. A group with
    a passage that the model did not reach (None) has no score, because it could not be compared
    with the others; with `partly`, it has the score of those that were reached. Raises BadScores
    for a wrong number of scores or one that is not finite.
    """
    if len(scores) != len(passages):
        raise BadScores(f"the scorer gave {len(scores)} scores for {len(passages)} texts")
    if not all(map(isfinite, filter(_is_score, scores))):
        raise BadScores("the scorer gave a score that is not a finite number")
    members: dict[int, list[tuple[int, float]]] = {}
    cut_off: set[int] = set()
    highest: dict[int, float] = {}
    best_passages: dict[int, Passage] = {}
    for passage, score in zip(passages, scores, strict=True):
        group = passage.group
        if score is None:
            cut_off.add(group)
            continue
        weighed = score if passage.weight == 1 else weigh(passage, score)
        if aggregate != "max":
            members.setdefault(group, []).append((passage.number, weighed))
        if group not in highest or weighed > highest[group]:
            highest[group] = float(weighed)
            best_passages[group] = passage
    if cut_off and not partly:
        for group in cut_off & highest.keys():
            del highest[group], best_passages[group]
    if aggregate == "max":
        return highest, best_passages
    by_group = {group: _aggregate(members[group], aggregate, best) for group in highest}
    return by_group, best_passages


def weigh(passage: Passage, score: float) -> float:
    """A model's score of a passage, times its field's weight.

    A negative score is divided instead, so that a higher weight always raises it.
    """
    return score * passage.weight if score >= 0 else score / passage.weight


def _is_score(score: float | None) -> TypeGuard[float]:
    return score is not None


def _aggregate(
    numbered: list[tuple[int, float]],
    aggregate: Literal["mean", "first", "mean_of_best"],
    best: int,
) -> float:
    """One score of a group's (passage number, score) pairs."""
    if len(numbered) == 1:
        return float(numbered[0][1])
    if aggregate == "first":
        return float(min(numbered)[1])
    scores = [score for _, score in numbered]
    if aggregate == "mean_of_best":
        scores = sorted(scores, reverse=True)[:best]
    return fsum(scores) / len(scores)
