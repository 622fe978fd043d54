import numpy as np
import pytest
from scipy import stats

from sidecar.evaluation.bootstrap import Interval, bootstrap_interval


def test_it_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(7).normal(0.03, 0.2, 180).tolist()

    ours = bootstrap_interval(values)

    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=3
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.1, -0.2, 0.0, 0.4, 0.3]
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_queries_that_agree_leave_no_doubt() -> None:
    assert bootstrap_interval([0.25] * 9) == Interval(0.25, 0.25)
    assert bootstrap_interval([0.25]) == Interval(0.25, 0.25)


def test_more_queries_make_it_narrower() -> None:
    few, many = (bootstrap_interval([0.3, -0.1, 0.2, 0.0] * times) for times in (3, 48))
    assert few.low < many.low < 0.1 < many.high < few.high


def test_resampling_in_parts_is_no_different(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0.1, -0.2, 0.0, 0.4, 0.3]
    whole = bootstrap_interval(values, 100)
    monkeypatch.setattr("sidecar.evaluation.bootstrap._PICKS", 35)
    assert bootstrap_interval(values, 100) == whole


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="no query"):
        bootstrap_interval([])
