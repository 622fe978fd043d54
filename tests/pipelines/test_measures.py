from __future__ import annotations

from math import log2

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.measures import Measure, mean_over_queries, ndcg, recall, reciprocal_rank

GRADES = {"a": 3, "b": 2, "c": 1, "d": 0, "e": -1}


@pytest.mark.parametrize(
    ("ranked", "k", "value"),
    [
        (["a", "b", "c"], 10, 1.0),
        (["c", "b", "a"], 10, (1 + 2 / log2(3) + 3 / 2) / (3 + 2 / log2(3) + 1 / 2)),
        (["e", "x", "a"], 10, (3 / 2) / (3 + 2 / log2(3) + 1 / 2)),
        (["b", "a"], 1, 2 / 3),
        (["d", "x"], 10, 0.0),
        ([], 10, 0.0),
    ],
)
def test_ndcg_by_hand(ranked: list[str], k: int, value: float) -> None:
    assert ndcg(GRADES, ranked, k) == pytest.approx(value)


@pytest.mark.parametrize(
    ("ranked", "k", "value"),
    [(["x", "d", "c", "a"], 10, 1 / 3), (["x", "a"], 1, 0.0), (["a"], 1, 1.0), ([], 5, 0.0)],
)
def test_reciprocal_rank_by_hand(ranked: list[str], k: int, value: float) -> None:
    assert reciprocal_rank(GRADES, ranked, k) == value


@pytest.mark.parametrize(
    ("ranked", "k", "value"),
    [(["a", "x", "c"], 10, 2 / 3), (["a", "x", "c"], 2, 1 / 3), (["d", "e"], 10, 0.0)],
)
def test_recall_by_hand(ranked: list[str], k: int, value: float) -> None:
    assert recall(GRADES, ranked, k) == value


@pytest.mark.parametrize("measure", [ndcg, reciprocal_rank, recall])
def test_a_query_without_a_relevant_document_scores_zero(measure: Measure) -> None:
    assert measure({"d": 0, "e": -1}, ["d", "e"], 10) == 0.0


@pytest.mark.parametrize("measure", [ndcg, reciprocal_rank, recall])
def test_wrong_input_is_refused(measure: Measure) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        measure(GRADES, ["a"], 0)
    with pytest.raises(ValueError, match="ranked twice"):
        measure(GRADES, ["a", "a"], 10)


def test_the_mean_is_over_every_judged_query() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 0}, "q4": {"d": 1}}
    run = {"q1": ["a"], "q2": ["x", "b"], "unjudged": ["a"]}
    assert mean_over_queries(reciprocal_rank, qrels, run, 10) == (1 + 1 / 2 + 0 + 0) / 4


def test_a_mean_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no judged queries"):
        mean_over_queries(ndcg, {}, {}, 10)


ids = st.sampled_from([f"d{number}" for number in range(12)])


@given(st.dictionaries(ids, st.integers(-2, 4)), st.lists(ids, unique=True), st.integers(1, 15))
def test_no_order_beats_the_one_by_grade(grades: dict[str, int], ranked: list[str], k: int) -> None:
    best = sorted(grades, key=lambda id_: -grades[id_])
    for measure in (ndcg, reciprocal_rank, recall):
        assert 0.0 <= measure(grades, ranked, k) <= measure(grades, best, k) <= 1.0


@given(st.dictionaries(ids, st.integers(-1, 4)), st.lists(ids, unique=True), st.integers(1, 15))
def test_the_numbers_are_trec_evals(grades: dict[str, int], ranked: list[str], k: int) -> None:
    judged = {"beside": 1, **grades}
    names = {
        ndcg: ir_measures.nDCG @ k,
        recall: ir_measures.R @ k,
        reciprocal_rank: ir_measures.RR @ k,
    }
    # trec_eval sorts by score, so that the order given is told by falling scores.
    scored = {"q": {id_: float(-rank) for rank, id_ in enumerate(["unjudged", *ranked])}}

    theirs = ir_measures.calc_aggregate(names.values(), {"q": judged}, scored)

    for measure, name in names.items():
        assert measure(judged, ["unjudged", *ranked], k) == pytest.approx(theirs[name])


def test_a_grade_may_be_a_fraction() -> None:
    assert ndcg({"a": 0.5, "b": 0.25}, ["b", "a"], 10) == pytest.approx(
        (0.25 + 0.5 / log2(3)) / (0.5 + 0.25 / log2(3))
    )
    assert reciprocal_rank({"a": 0.5}, ["a"], 10) == recall({"a": 0.5}, ["a"], 10) == 1.0
