"""Steps of many searches run in different rounds of the event loop; a lone search does not wait."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.event_loop.loop_turns import next_turn, turn_wait_s


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


async def test_the_wait_is_that_of_the_next_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    assert turn_wait_s() == 0
    searches = [next_turn() for _ in range(3)]
    with pytest.raises(StopIteration):
        searches[0].send(None)
    assert turn_wait_s() == 0  # the turn is taken, but nobody waits for the next one
    searches[1].send(None)
    now += 2
    searches[2].send(None)
    now += 1
    assert turn_wait_s() == 3
    await asyncio.sleep(0)
    assert turn_wait_s() == 1
    await asyncio.sleep(0)
    assert turn_wait_s() == 0
    for search in searches:
        search.close()


def test_each_event_loop_has_turns_of_its_own() -> None:
    async def abandon() -> None:
        tasks = [asyncio.ensure_future(next_turn()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not all(task.done() for task in tasks)

    async def take() -> None:
        await asyncio.wait_for(next_turn(), 20)

    asyncio.run(abandon())
    asyncio.run(take())
