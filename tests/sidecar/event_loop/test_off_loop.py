"""Work off the event loop: a bounded line, and nothing is done for clients that have left."""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref

import pytest

from sidecar.event_loop.off_loop import NEW, Busy, OffLoop, off_loop, share_the_interpreter


class Gate:
    """Work that waits until it may go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.opened.wait(20)


async def test_small_work_is_done_on_the_loop_and_large_work_is_not() -> None:
    here = threading.get_ident()
    assert await off_loop(10, threading.get_ident, most=10) == here
    assert await off_loop(11, threading.get_ident, most=10) != here


async def test_errors_come_back() -> None:
    def fail() -> None:
        raise ValueError("from the thread")

    with pytest.raises(ValueError, match="from the thread"):
        await OffLoop().run(fail)


async def test_a_full_line_refuses() -> None:
    gate = Gate()
    pool = OffLoop(threads=1, line=3)
    jobs = [asyncio.ensure_future(pool.run(gate)) for _ in range(3)]
    await asyncio.to_thread(gate.entered.wait, 20)
    with pytest.raises(Busy):
        await pool.run(gate)
    gate.opened.set()
    await asyncio.gather(*jobs)
    await pool.run(gate)


async def test_a_request_that_begins_finds_the_line_full_earlier() -> None:
    gate = Gate()
    pool = OffLoop(threads=1)
    jobs = [asyncio.ensure_future(pool.run(gate)) for _ in range(NEW)]
    await asyncio.to_thread(gate.entered.wait, 20)
    with pytest.raises(Busy):
        await pool.run(gate, line=NEW)
    under_way = asyncio.ensure_future(pool.run(gate))
    gate.opened.set()
    await asyncio.gather(*jobs, under_way)


class Whole:
    """Something large."""


async def test_what_waits_for_a_client_that_leaves_is_never_done() -> None:
    gate = Gate()
    pool = OffLoop(threads=1)
    running = asyncio.ensure_future(pool.run(gate))
    await asyncio.to_thread(gate.entered.wait, 20)
    done: list[Whole] = []
    whole = Whole()
    gone = weakref.ref(whole)

    def work(held: Whole = whole) -> None:
        done.append(held)

    waiting = asyncio.ensure_future(pool.run(work))
    await asyncio.sleep(0)
    assert pool.jobs == 2
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    del work, whole, waiting
    await asyncio.sleep(0)
    assert pool.jobs == 1
    assert gone() is None  # its memory is free before its turn would have come
    gate.opened.set()
    await running
    await pool.run(lambda: None)
    assert done == []


async def test_a_running_job_counts_until_it_ends() -> None:
    gate = Gate()
    pool = OffLoop(threads=1, line=1)
    running = asyncio.ensure_future(pool.run(gate))
    await asyncio.to_thread(gate.entered.wait, 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(Busy):
        await pool.run(lambda: None)
    gate.opened.set()
    async with asyncio.timeout(20):
        while pool.jobs:  # noqa: ASYNC110 - the job ends in its thread
            await asyncio.sleep(0)


def test_threads_take_short_turns() -> None:
    before = sys.getswitchinterval(), sys.get_int_max_str_digits()
    try:
        share_the_interpreter()
        assert sys.getswitchinterval() == pytest.approx(0.0005)
        with pytest.raises(ValueError, match="1000 digits"):
            int("1" * 1001)
    finally:
        sys.setswitchinterval(before[0])
        sys.set_int_max_str_digits(before[1])
