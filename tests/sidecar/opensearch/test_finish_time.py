"""The models end early enough for what follows, which few searches exceed and no hiccup sets."""

from __future__ import annotations

import pytest

from sidecar.opensearch.finish_time import FinishTime

STARTED = 0.0
DEADLINE_MS = 200.0


def reserve_ms(finish_time: FinishTime, deadline_ms: float = DEADLINE_MS) -> float:
    """How long before the deadline the models end."""
    end = finish_time.models_deadline(STARTED, deadline_ms)
    return deadline_ms - (end - STARTED) * 1000


def record(finish_time: FinishTime, took_ms: float, times: int = 1) -> None:
    for _ in range(times):
        finish_time.record(STARTED, STARTED + took_ms / 1000, DEADLINE_MS)


def test_the_models_have_the_whole_time_while_nothing_is_known() -> None:
    assert reserve_ms(FinishTime()) == pytest.approx(0)


def test_the_models_leave_what_searches_take_after_them() -> None:
    finish_time = FinishTime()
    record(finish_time, 4, times=50)
    assert reserve_ms(finish_time) == pytest.approx(4, abs=0.1)


def test_most_searches_take_less_than_is_left() -> None:
    finish_time = FinishTime()
    for _ in range(100):
        record(finish_time, 2, times=9)
        record(finish_time, 12)
    assert 5 < reserve_ms(finish_time) < 12


def test_one_hiccup_costs_little_and_is_forgotten() -> None:
    finish_time = FinishTime()
    record(finish_time, 2, times=50)
    record(finish_time, 5000)
    assert reserve_ms(finish_time) < 10
    record(finish_time, 2, times=200)
    assert reserve_ms(finish_time) == pytest.approx(2, abs=0.2)


def test_the_models_keep_most_of_any_deadline() -> None:
    finish_time = FinishTime()
    record(finish_time, 5000, times=100)
    assert reserve_ms(finish_time) == pytest.approx(30)
    assert reserve_ms(finish_time, 20) == pytest.approx(3)


def test_an_answer_that_is_ready_before_the_deadline_needs_no_time() -> None:
    finish_time = FinishTime()
    record(finish_time, -50)
    assert reserve_ms(finish_time) == pytest.approx(0)
