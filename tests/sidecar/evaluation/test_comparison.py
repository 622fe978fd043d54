from math import log2

import pytest

from sidecar.evaluation.bootstrap import bootstrap_interval
from sidecar.evaluation.comparison import Change, compare
from sidecar.evaluation.searching import RankedAnswer


def answer(ids: str, seconds: float = 0.001, outcome: str | None = None) -> RankedAnswer:
    return RankedAnswer(tuple(ids), seconds, outcome)


def test_both_sides_are_judged_over_every_judged_query() -> None:
    qrels = {"1": {"b": 1}, "2": {"a": 1}, "3": {"c": 1}, "4": {"x": 1}}
    direct = {"1": answer("ab"), "2": answer("ab"), "3": answer("abc"), "4": answer("ab")}
    # The second is harmed; the fourth is missing, where neither side has found anything.
    rescored = {"1": answer("ba"), "2": answer("ba"), "3": answer("bac")}

    comparison = compare(qrels, direct, rescored)

    second, third = 1 / log2(3), 1 / log2(4)
    assert comparison.direct.ndcg == pytest.approx((second + 1 + third) / 4)
    assert comparison.rescored.ndcg == pytest.approx((1 + second + third) / 4)
    assert comparison.direct.reciprocal_rank == pytest.approx((1 / 2 + 1 + 1 / 3) / 4)
    assert comparison.gains == pytest.approx({"1": 1 - second, "2": second - 1, "3": 0.0, "4": 0.0})
    assert (comparison.helped, comparison.harmed) == (1, 1)


def test_only_the_first_ten_hits_count() -> None:
    comparison = compare(
        {"1": {"k": 1}}, {"1": answer("abcdefghijk")}, {"1": answer("kabcdefghij")}
    )

    assert comparison.direct.ndcg == 0
    assert comparison.rescored.ndcg == 1


def test_times_are_in_milliseconds() -> None:
    times = {"1": answer("a", 0.001), "2": answer("a", 0.002), "3": answer("a", 0.009)}

    comparison = compare({"1": {"a": 1}}, times, times)

    assert comparison.direct.median_ms == pytest.approx(2)
    assert comparison.direct.mean_ms == pytest.approx(4)
    assert comparison.direct.p95_ms == pytest.approx(8.3)


def test_outcomes_are_counted_by_status_and_reason() -> None:
    headers = [
        "applied; plan=p; window=50; scored=50; model=m; ms=3.4",
        "applied; plan=p; window=50; scored=50; model=m; ms=3.9",
        "partial; plan=p; reason=deadline; scored=8",
        None,
    ]
    rescored = {str(n): answer("a", outcome=header) for n, header in enumerate(headers)}

    assert compare({"1": {"a": 1}}, rescored, rescored).outcomes == {
        "applied": 2,
        "partial reason=deadline": 1,
        "not routed": 1,
    }


def test_the_cut_can_be_chosen() -> None:
    comparison = compare({"1": {"c": 1}}, {"1": answer("abc")}, {"1": answer("acb")}, k=2)

    assert comparison.changes == {"1": Change(0.0, 1 / log2(3))}
    assert (comparison.direct.recall, comparison.rescored.recall) == (0, 1)


def test_small_changes_count_apart_from_notable_ones() -> None:
    qrels = {str(n): {"a": 20, "b": 19, "c": 1} for n in range(2)} | {"2": {"a": 1}}
    direct = {"0": answer("abc"), "1": answer("bac"), "2": answer("a")}
    rescored = {"0": answer("bac"), "1": answer("abc"), "2": answer("xa")}

    comparison = compare(qrels, direct, rescored)

    assert (comparison.helped, comparison.harmed) == (1, 2)
    assert (comparison.helped_by_more_than(0.05), comparison.harmed_by_more_than(0.05)) == (0, 1)


def test_the_interval_is_that_of_the_gains() -> None:
    qrels = {str(n): {"a": 1} for n in range(8)}
    direct = {query: answer("xa") for query in qrels}
    rescored = {query: answer("ax" if int(query) % 2 else "xya") for query in qrels}

    comparison = compare(qrels, direct, rescored)

    assert comparison.interval == bootstrap_interval(list(comparison.gains.values()))
    assert comparison.interval.low < comparison.gain < comparison.interval.high


def test_nothing_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="no judged queries"):
        compare({}, {}, {})
