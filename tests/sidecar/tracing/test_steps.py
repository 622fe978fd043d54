"""The record of steps: a tree that follows tasks, with a bound."""

from __future__ import annotations

import asyncio

from sidecar.tracing.steps import MOST_CHILDREN, RequestSteps, current_step, note, record_step, step


async def test_a_task_records_below_the_step_that_started_it() -> None:
    async def work(name: str) -> None:
        with step(name):
            await asyncio.sleep(0)
            with step("inner"):
                await asyncio.sleep(0)

    with RequestSteps("request") as steps:
        with step("outer"):
            await asyncio.gather(work("a"), work("b"))
        note("query_text", "kept")
    (outer,) = steps.children
    assert [one.name for one in outer.children] == ["a", "b"]
    assert [[below.name for below in one.children] for one in outer.children] == [["inner"]] * 2
    assert [one.name for one in steps.finished()] == ["outer", "a", "inner", "b", "inner"]
    assert steps.facts == {"query_text": "kept"}
    assert current_step() is None


def test_nothing_is_recorded_outside_a_request() -> None:
    with step("alone") as alone:
        alone.note("fact", 1)
        note("fact", 1)
        record_step(current_step(), "done", 0, 1)
    assert not alone.facts
    assert not alone.children


def test_the_number_of_steps_is_bounded() -> None:
    with RequestSteps("request") as steps:
        for _ in range(MOST_CHILDREN + 10):
            with step("one"):
                pass
            record_step(current_step(), "two", 0, 1)
    assert len(steps.children) == MOST_CHILDREN


def test_the_error_of_a_step_is_its_class_and_no_text() -> None:
    with RequestSteps("request") as steps:
        try:
            with step("failing"):
                raise ValueError("a secret")
        except ValueError:
            pass
    assert steps.children[0].error == "ValueError"
