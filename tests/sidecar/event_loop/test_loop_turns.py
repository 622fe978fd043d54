"""Steps of many searches run in different rounds of the event loop; a lone search does not wait."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.event_loop.loop_turns import begin_search, next_turn, turns_behind_s


class Rounds:
    """Counts the rounds of the running event loop."""

    def __init__(self) -> None:
        self.number = 0
        self._count()

    def _count(self) -> None:
        self.number += 1
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> None:
        self._handle.cancel()


async def test_steps_that_are_ready_together_run_in_different_rounds_in_order() -> None:
    rounds = Rounds()
    steps: list[tuple[int, int]] = []

    async def search(number: int) -> None:
        for _ in range(3):
            await next_turn()
            steps.append((rounds.number, number))

    await asyncio.gather(*(search(number) for number in range(20)))
    rounds.stop()
    times = [at for at, _ in steps]
    assert len(steps) == 60
    assert len(set(times)) == 60
    order = [number for _, number in steps]
    assert list(dict.fromkeys(order)) == list(range(20))
    # Nobody has a third step before everybody has had the first.
    assert len(set(order[:21])) == 20


async def test_a_search_alone_does_not_wait_but_between_its_own_steps() -> None:
    rounds = Rounds()
    before = rounds.number
    await next_turn()
    assert rounds.number == before
    await next_turn()
    assert before < rounds.number <= before + 2
    rounds.stop()


async def test_who_left_holds_up_nobody() -> None:
    done: list[int] = []

    async def search(number: int) -> None:
        await next_turn()
        done.append(number)

    searches = [asyncio.ensure_future(search(number)) for number in range(4)]
    await asyncio.sleep(0)
    searches[1].cancel()
    searches[2].cancel()
    await asyncio.wait(searches)
    assert done == [0, 3]
    await asyncio.wait_for(next_turn(), 20)


async def test_the_steps_of_the_search_that_began_first_go_first() -> None:
    steps: list[str] = []
    go = asyncio.Event()

    async def search(name: str) -> None:
        begin_search()
        if name == "first":
            await go.wait()
        for _ in range(3):
            await next_turn()
            steps.append(name)

    first = asyncio.ensure_future(search("first"))
    await asyncio.sleep(0)
    later = [asyncio.ensure_future(search(name)) for name in ("second", "third")]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *later)
    assert steps[0] == "second"  # nobody else was ready then
    assert steps[-4:] == ["second", "third", "third", "third"]
    assert steps.index("first") < steps.index("third")


async def test_the_steps_that_wait_and_the_time_of_each_tell_how_far_the_loop_is_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("sidecar.event_loop.loop_turns.time.monotonic", lambda: now)
    assert turns_behind_s() == 0
    steps = [next_turn() for _ in range(103)]
    with pytest.raises(StopIteration):
        steps[0].send(None)  # it need not wait
    for step in steps[1:]:
        step.send(None)
    assert turns_behind_s() == 0  # nothing is known of the time that they take
    for _ in range(52):
        now += 0.004
        await asyncio.sleep(0)
    assert turns_behind_s() == pytest.approx(50 * 0.004, rel=0.02)
    for _ in range(50):
        now += 0.004
        await asyncio.sleep(0)
    assert turns_behind_s() == 0
    for step in steps:
        step.close()


async def test_a_machine_that_stood_still_is_not_taken_for_long_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("sidecar.event_loop.loop_turns.time.monotonic", lambda: now)
    steps = [next_turn() for _ in range(12)]
    with pytest.raises(StopIteration):
        steps[0].send(None)
    for step in steps[1:]:
        step.send(None)
    await asyncio.sleep(0)
    now += 60
    await asyncio.sleep(0)
    assert 0 < turns_behind_s() < 0.02
    for step in steps:
        step.close()


def test_each_event_loop_has_turns_of_its_own() -> None:
    async def abandon() -> None:
        tasks = [asyncio.ensure_future(next_turn()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not all(task.done() for task in tasks)

    async def take() -> None:
        await asyncio.wait_for(next_turn(), 20)

    asyncio.run(abandon())
    asyncio.run(take())
