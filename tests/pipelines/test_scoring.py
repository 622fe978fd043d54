from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

import pytest

from pipelines import scoring
from pipelines.errors import BadScores
from pipelines.passages import Passage
from pipelines.plan import Aggregate
from pipelines.words import read_words


def passages_of(*groups_and_numbers: tuple[int, int]) -> list[Passage]:
    return [
        Passage(group, number, "text", "text", read_words("text"), read_words(""))
        for group, number in groups_and_numbers
    ]


def group_scores(
    passages: Sequence[Passage],
    scores: Sequence[float | None],
    aggregate: Aggregate,
    best: int,
    *,
    partly: bool = False,
) -> dict[int, float]:
    return scoring.group_scores(passages, scores, aggregate, best, partly=partly)[0]


@pytest.mark.parametrize(
    ("aggregate", "score"),
    [("max", 4.0), ("mean", 2.5), ("first", 2.0), ("mean_of_best", 3.5)],
)
def test_passage_scores_become_one_score_a_group(aggregate: Aggregate, score: float) -> None:
    # Best first, as they are chosen: the earliest in reading order is the second here.
    passages = passages_of((7, 3), (7, 0), (7, 1), (7, 2), (9, 0))
    scores = [4.0, 2.0, 1.0, 3.0, -1.5]
    assert group_scores(passages, scores, aggregate, best=2) == {7: score, 9: -1.5}


def test_passages_of_a_field_that_is_read_apart_count_with_its_weight() -> None:
    whole, apart = passages_of((0, 0), (0, 1))
    apart = apart._replace(part=1, weight=0.5)
    assert group_scores([whole, apart], [0.3, 0.8], "max", best=3) == {0: 0.4}
    # A lower weight lowers negative scores too.
    assert group_scores([whole, apart], [-3.0, -2.0], "max", best=3) == {0: -3.0}
    assert group_scores([apart], [-2.0], "max", best=3) == {0: -4.0}


def test_more_best_passages_than_there_are_is_their_mean() -> None:
    assert group_scores(passages_of((0, 0), (0, 1)), [1.0, 2.0], "mean_of_best", best=5) == {0: 1.5}


def test_a_group_counts_only_when_all_its_passages_were_reached() -> None:
    passages = passages_of((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))
    assert group_scores(passages, [1, 2, 3, None, None], "max", best=3) == {0: 2.0}


def test_nothing_reached_gives_nothing() -> None:
    assert group_scores(passages_of((0, 0)), [None], "max", best=3) == {}


@pytest.mark.parametrize("scores", [[1.0], [1.0, 2.0, 3.0], [1.0, nan], [inf, 1.0], [-inf, None]])
def test_a_wrong_number_of_scores_or_one_that_is_not_finite_is_refused(
    scores: list[float | None],
) -> None:
    with pytest.raises(BadScores, match="the scorer gave"):
        group_scores(passages_of((0, 0), (0, 1)), scores, "max", best=3)


@pytest.mark.parametrize("aggregate", ["max", "mean", "first"])
def test_the_best_passage_is_the_first_of_those_with_the_highest_score(
    aggregate: Aggregate,
) -> None:
    passages = passages_of((0, 2), (0, 0), (0, 1), (1, 0), (1, 1), (2, 0))
    scores = [1.0, 2.0, 2.0, 5.0, None, -1.0]
    _, best = scoring.group_scores(passages, scores, aggregate, best=2)
    assert best == {0: passages[1], 2: passages[5]}
    _, best = scoring.group_scores(passages, scores, aggregate, best=2, partly=True)
    assert best == {0: passages[1], 1: passages[3], 2: passages[5]}
