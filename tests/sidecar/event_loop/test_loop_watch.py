"""The watch over the event loop: what it counts, what it names, and what it does not mistake."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import uvloop

from sidecar.event_loop import loop_watch, stacks
from sidecar.event_loop.loop_watch import BEAT_S, LOG_S, LoopWatch, Stall, StallLog, describe_stall
from sidecar.event_loop.stacks import describe_stack, other_stacks, read_frames
from tests.running import running_sidecar

SECRET = "what a user typed"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Each kind of event loop."""
    with asyncio.Runner(loop_factory=request.param) as made:
        yield made


def burn(seconds: float, text: str = SECRET) -> None:
    """Use CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        text.upper()


def stalls_during(runner: asyncio.Runner, work: Callable[[], Awaitable[object]]) -> list[Stall]:
    """What is reported while the loop does this."""
    stalls: list[Stall] = []

    async def watched() -> None:
        watch = LoopWatch(stalls.append)
        watch.start()
        await asyncio.sleep(2 * BEAT_S)
        await work()
        await asyncio.sleep(2 * BEAT_S)
        watch.stop()

    runner.run(watched())
    return stalls


def stalls_of(runner: asyncio.Runner, work: Callable[[], object]) -> list[Stall]:
    """What is reported when the loop does this work in one turn."""

    async def turn() -> None:
        work()

    return stalls_during(runner, turn)


def longest(stalls: list[Stall]) -> Stall:
    return max(stalls, key=lambda stall: stall.lasted)


def test_computing_is_measured_and_named(runner: asyncio.Runner) -> None:
    stall = longest(stalls_of(runner, lambda: burn(0.2)))
    assert 0.2 - 2 * BEAT_S < stall.computing < 0.2 + 2 * BEAT_S
    assert stall.waiting < stall.computing
    assert stall.ran.startswith("burn (event_loop/test_loop_watch.py:")
    line = describe_stall(stall)
    assert "ms computing" in line
    assert SECRET not in line


def test_a_blocking_call_is_waiting(runner: asyncio.Runner) -> None:
    stall = longest(stalls_of(runner, lambda: time.sleep(0.2)))
    assert stall.waiting > 0.15
    assert stall.computing < 0.05
    assert "test_a_blocking_call_is_waiting.<locals>.<lambda>" in stall.ran


def test_a_thread_that_holds_the_interpreter_is_named(runner: asyncio.Runner) -> None:
    numbers = json.dumps(list(range(1_000_000)))

    def hold() -> None:
        # The watcher needs the interpreter too, and may get it when a call has just ended.
        for _ in range(10):
            json.loads(numbers)

    # The watcher may get the interpreter only when the thread has just let it go, so once in a few
    # times is what it can promise.
    for _ in range(5):
        stalls = stalls_during(runner, lambda: asyncio.to_thread(hold))
        held = [stall for stall in stalls if stall.waiting > stall.computing]
        assert held
        if any("json/decoder.py" in describe_stall(stall) for stall in held):
            return
    pytest.fail("no stall named what held the interpreter")


def test_many_short_turns_are_no_stall(runner: asyncio.Runner) -> None:
    async def turns() -> None:
        for _ in range(600):
            burn(0.0005)
            await asyncio.sleep(0)

    # Garbage may be collected in one of these turns, and a virtual machine that does not run counts
    # as CPU time; what is no stall is none in one of three runs.
    for _ in range(3):
        stalls = stalls_during(runner, turns)
        if not [s for s in stalls if s.computing > 2 * BEAT_S and not s.collected]:
            return
    pytest.fail(f"stalls in each of three runs: {stalls}")


def test_a_stall_without_end_is_logged_while_it_lasts(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop_watch, "_STILL_S", 0.1)
    said = threading.Event()
    name = "test_a_stall_without_end_is_logged_while_it_lasts"

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # A watch that another test left running may log a stall of its own.
            if name in record.getMessage():
                said.set()

    handler = Handler()
    logging.getLogger("sidecar.event_loop.loop_watch").addHandler(handler)
    try:
        stalls_of(runner, lambda: said.wait(10))
    finally:
        logging.getLogger("sidecar.event_loop.loop_watch").removeHandler(handler)
    assert said.is_set()
    own = [line for line in caplog.messages if name in line]
    assert "has not turned for" in own[0]


def test_the_log_gets_long_stalls_and_not_too_many(caplog: pytest.LogCaptureFixture) -> None:
    log = StallLog()
    for lasted in (LOG_S / 2, LOG_S, LOG_S):
        log.write(Stall(lasted, lasted, 0.0, "f (a/b.py:1)", "", False))
    assert caplog.messages == [
        "the event loop stood still for 50 ms: 50 ms computing, 0 ms waiting; it ran f (a/b.py:1)"
    ]
    log._next = 0.0
    log.write(Stall(1.0, 0.1, 0.9, "f (a/b.py:1)", "t in g (a/b.py:2)", True))
    assert caplog.messages[1] == (
        "the event loop stood still for 1000 ms: 100 ms computing, 900 ms waiting, including a "
        "full garbage collection; it ran f (a/b.py:1); other threads: t in g (a/b.py:2) "
        "(1 more since the last such line)"
    )


def test_a_stack_without_frames_is_the_loops_own() -> None:
    assert describe_stack(None) == "the event loop's own code"


def test_no_garbage_is_collected_while_frames_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    collections: list[str] = []
    during: list[list[str]] = []
    frames = sys._current_frames

    # A watcher that another test left running reads frames too, and switches collections off.
    own_thread = threading.get_ident()

    def allocate() -> dict[int, FrameType]:
        if threading.get_ident() != own_thread:
            return frames()
        before = len(collections)
        garbage = [[number] for number in range(5 * gc.get_threshold()[0])]
        during.append(collections[before:])
        return frames() if garbage else {}

    monkeypatch.setattr(sys, "_current_frames", allocate)
    gc.callbacks.append(lambda phase, _: collections.append(phase))
    try:
        assert threading.get_ident() not in read_frames()
        assert during == [[]]
        assert gc.isenabled()
        with stacks._reading:
            allocate()
        assert during[1]
        gc.disable()
        read_frames()
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.callbacks.pop()


def test_the_callers_own_frame_is_left_out_so_it_leaves_no_cycle() -> None:
    class Whole:
        """What a thread works on."""

    def read() -> tuple[set[int], weakref.ref[Whole]]:
        # A cycle of this frame and its variables would keep all that the frames work on.
        whole = Whole()
        frames = read_frames()
        return set(frames), weakref.ref(whole)

    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    gc.disable()
    try:
        idents, gone = read()
        assert threading.get_ident() not in idents
        assert other.ident in idents
        assert gone() is None
    finally:
        gc.enable()
        end.set()
        other.join()


def test_idle_threads_are_left_out() -> None:
    end = threading.Event()
    idle = threading.Thread(target=end.wait, name="idle-one")
    idle.start()
    try:
        named = other_stacks(read_frames(), but=0)
    finally:
        end.set()
        idle.join()
    assert "idle-one" not in named


def test_a_running_sidecar_counts_and_logs_its_stalls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def stall() -> None:
        burn(0.2)
        await asyncio.sleep(2 * BEAT_S)

    with running_sidecar(tmp_path, "http://127.0.0.1:1", {}, {}, longest_callback_s=10) as sidecar:
        sidecar.call(stall())
    assert sidecar.metric("loop_stall_seconds_sum", kind="computing") > 0.15
    assert any("it ran burn (" in message for message in caplog.messages)
