"""A plan steps back while its limits are exceeded, and returns after a few good searches."""

import pytest
from pydantic import ValidationError

from pipelines.plan import Plan, StepBackGuard
from sidecar.adoption.step_back import LEAST_SEARCHES, PROBES, StepBack, StepBacks, WindowCounts
from sidecar.metrics import Metrics


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def step_back(**guard: float) -> tuple[StepBack, list[bool]]:
    changes: list[bool] = []
    return StepBack(StepBackGuard.model_validate(guard), changes.append), changes


def test_failures_open_it_and_good_probes_close_it() -> None:
    one, changes = step_back(failed_share=0.2, window_s=10)
    for number in range(LEAST_SEARCHES):
        assert one.admits(1000)
        one.record(number % 4 == 0, 1, 1000)
    assert changes == [True]
    assert not one.admits(1009.9)
    assert [one.admits(1010) for _ in range(PROBES + 2)] == [True] * PROBES + [False] * 2
    for _ in range(PROBES):
        one.record(False, 1, 1010.5)
    assert changes == [True, False]
    assert all(one.admits(1010.6) for _ in range(100))


def test_bad_probes_keep_it_open_for_another_window() -> None:
    one, changes = step_back(failed_share=0, window_s=10)
    for _ in range(LEAST_SEARCHES):
        one.record(True, 1, 1000)
    for _ in range(PROBES):
        assert one.admits(1010)
        one.record(True, 1, 1010)
    assert not one.admits(1019)
    assert one.admits(1020)
    assert changes == [True]


def test_probes_that_never_report_do_not_block_it() -> None:
    one, _ = step_back(failed_share=0, window_s=10)
    for _ in range(LEAST_SEARCHES):
        one.record(True, 1, 1000)
    assert sum(one.admits(1010) for _ in range(50)) == PROBES
    assert sum(one.admits(1011) for _ in range(50)) == PROBES


def test_searches_from_before_the_step_back_do_not_count_as_probes() -> None:
    one, changes = step_back(failed_share=0, window_s=10)
    for _ in range(LEAST_SEARCHES + 50):
        one.record(True, 1, 1000)
    assert one.admits(1010)
    for _ in range(PROBES):
        one.record(False, 1, 1010)
    assert changes == [True, False]


def test_one_slow_search_in_twenty_is_the_percentile_itself() -> None:
    one, changes = step_back(added_p95_ms=100, window_s=10)
    for number in range(40):
        one.record(False, 500 if number in (19, 39) else 100, 1000)
    assert changes == []
    one.record(False, 500, 1000)
    assert changes == [True]


def test_few_searches_decide_nothing_and_old_ones_are_forgotten() -> None:
    one, changes = step_back(failed_share=0.5, window_s=10)
    for second in range(100):
        one.record(True, 1, 1000 + second)  # ten in a window
    assert changes == []


@pytest.mark.parametrize("window_s", [1, 7, 60, 3600])
def test_counts_are_bounded_and_cover_the_window(window_s: int) -> None:
    counts = WindowCounts(window_s)
    assert len(counts._counts) <= 60
    counts.add(True, False, 5000.0)
    assert counts.total(5000.0 + 0.9 * window_s) == (1, 1, 0)
    assert counts.total(5000.0 + 1.1 * window_s + 1) == (0, 0, 0)


def test_metrics_and_plans_without_a_guard() -> None:
    stages = {"document": {"body": "t"}, "stages": [{"model": "m"}]}
    plans = {
        "free": Plan.model_validate(stages),
        "guarded": Plan.model_validate({**stages, "guard": {"failed_share": 0}}),
    }
    metrics, clock = Metrics(), Clock()
    both = StepBacks(plans, metrics, clock)
    both.show()
    for _ in range(LEAST_SEARCHES):
        both.record("free", True, 1)
        both.record("guarded", True, 1)
    assert both.admits("free")
    assert not both.admits("guarded")
    value = metrics.registry.get_sample_value
    assert value("rescore_stepped_back", {"plan": "guarded"}) == 1
    assert value("rescore_step_backs_total", {"plan": "guarded"}) == 1
    clock.now += 30
    for _ in range(PROBES):
        both.record("guarded", False, 1)
    assert value("rescore_stepped_back", {"plan": "guarded"}) == 0


def test_a_reload_keeps_the_state_of_plans_that_it_does_not_change() -> None:
    stages = {"document": {"body": "t"}, "stages": [{"model": "m"}]}
    guarded = Plan.model_validate({**stages, "guard": {"failed_share": 0}})
    metrics, clock = Metrics(), Clock()
    old = StepBacks(dict.fromkeys(("kept", "changed", "removed"), guarded), metrics, clock)
    for name in ("kept", "changed", "removed"):
        for _ in range(LEAST_SEARCHES):
            old.record(name, True, 1)
    new = StepBacks(
        dict.fromkeys(("kept", "changed", "added"), guarded), metrics, clock, old, {"kept"}
    )
    # A reload may be refused until its configuration serves, so the metrics are the old ones.
    value = metrics.registry.get_sample_value
    assert value("rescore_stepped_back", {"plan": "changed"}) == 1
    assert [new.admits(name) for name in ("kept", "changed", "added")] == [False, True, True]
    new.show()
    shown = [
        value("rescore_stepped_back", {"plan": plan})
        for plan in ("kept", "changed", "added", "removed")
    ]
    assert shown == [1, 0, 0, None]
    clock.now += 30
    for _ in range(PROBES):
        new.record("kept", False, 1)
    assert value("rescore_stepped_back", {"plan": "kept"}) == 0


def test_a_guard_needs_a_limit() -> None:
    with pytest.raises(ValidationError, match="failed_share, added_p95_ms or both"):
        StepBackGuard.model_validate({"window_s": 5})
