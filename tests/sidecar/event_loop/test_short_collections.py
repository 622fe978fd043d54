"""Short garbage collections: each object is looked at once, and all of them once in a while."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from sidecar.event_loop import short_collections
from sidecar.event_loop.short_collections import ShortCollections

LOOK_S = 0.005
DUE_S = 0.02
NEVER_S = 3600.0


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the process is idle is asked more often than once a second."""
    monkeypatch.setattr(short_collections, "_LOOK_S", LOOK_S)


@contextmanager
def started(
    is_idle: Callable[[], bool] = lambda: False, due_s: float = NEVER_S, latest_s: float = NEVER_S
) -> Iterator[ShortCollections]:
    collections = ShortCollections(is_idle, due_s, latest_s)
    collections.start()
    try:
        yield collections
    finally:
        collections.stop()


@contextmanager
def no_collections() -> Iterator[None]:
    """None but those that a test asks for."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def looked_at(things: Sequence[object]) -> int:
    """How many of these would be looked at by a full collection."""
    ids = set(map(id, gc.get_objects()))
    return sum(id(thing) in ids for thing in things)


class Ring:
    """Refers to itself, so only a collection finds it."""

    def __init__(self) -> None:
        self.itself = self


def lost_ring() -> weakref.ref[Ring]:
    """A cycle that was frozen before its last use."""
    ring = Ring()
    gc.collect()
    gone = weakref.ref(ring)
    del ring
    gc.collect()
    assert gone() is not None, "a collection looks at what was frozen"
    return gone


class Asked:
    """Says whether the process is idle, and notes what had happened when it was asked."""

    def __init__(self, *answers: bool, then: bool = False) -> None:
        self.ring: weakref.ref[Ring] | None = None
        self.there: list[bool] = []
        self.times: list[float] = []
        self._answers = list(answers)
        self._then = then

    def __call__(self) -> bool:
        self.times.append(time.monotonic())
        self.there.append(self.ring is not None and self.ring() is not None)
        return self._answers.pop(0) if self._answers else self._then

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not enough():  # noqa: ASYNC110 - a timer of the loop is watched
                await asyncio.sleep(LOOK_S)


async def test_what_a_collection_leaves_is_not_looked_at_again() -> None:
    with no_collections(), started():
        kept = [[number] for number in range(10_000)]
        assert looked_at(kept) == len(kept)
        gc.collect()
        assert looked_at(kept) == 0
        new = [[number] for number in range(100)]
        assert looked_at(new) == len(new)
        assert looked_at(kept) == 0


async def test_a_young_collection_is_enough() -> None:
    with no_collections(), started():
        kept = [[number] for number in range(10_000)]
        gc.collect(0)
        assert looked_at(kept) == 0
        gc.enable()
        later = [[number] for number in range(5 * gc.get_threshold()[0])]
        gc.disable()
        assert looked_at(later) < len(later)


async def test_what_stands_at_the_start_is_not_looked_at() -> None:
    kept = [[number] for number in range(10_000)]
    with started():
        assert looked_at(kept) == 0
    assert looked_at(kept) == len(kept)


async def test_a_frozen_object_is_freed_with_its_last_use() -> None:
    class Value:
        """Something that a cache holds."""

    with no_collections(), started():
        held = {"a": Value()}
        gone = weakref.ref(held["a"])
        gc.collect()
        assert looked_at([held["a"]]) == 0
        del held["a"]
        assert gone() is None


async def test_frozen_cycles_are_found_when_it_is_idle_twice_in_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = Asked(True, False, True, True)
    began = time.monotonic()
    with (
        caplog.at_level(logging.INFO, "sidecar.event_loop.short_collections"),
        started(asked, due_s=DUE_S),
    ):
        asked.ring = lost_ring()
        await asked.until(lambda: len(asked.there) > 4)
    assert asked.there[:5] == [True, True, True, True, False]
    assert asked.times[0] - began >= DUE_S
    # After it found them, it is due anew.
    assert asked.times[4] - asked.times[3] >= DUE_S
    assert caplog.messages[0].startswith("looked for garbage in everything: ")


async def test_after_it_looked_at_everything_collections_are_short_again() -> None:
    asked = Asked(then=True)
    with started(asked, due_s=DUE_S):
        kept = [[number] for number in range(10_000)]
        asked.ring = lost_ring()
        await asked.until(lambda: not asked.there[-1] if asked.there else False)
        assert looked_at(kept) == 0
        asked.ring = lost_ring()
        later = len(asked.there)
        await asked.until(lambda: False in asked.there[later:])


async def test_while_requests_come_nothing_is_looked_for() -> None:
    asked = Asked()
    with started(asked, due_s=DUE_S):
        asked.ring = lost_ring()
        await asked.until(lambda: len(asked.there) > 10)
        assert all(asked.there)
        assert asked.ring() is not None


async def test_it_is_looked_for_at_last_although_requests_come() -> None:
    asked = Asked()
    latest_s = 0.5  # longer than it takes to look at everything
    began = time.monotonic()
    with started(asked, due_s=DUE_S, latest_s=latest_s):
        asked.ring = lost_ring()
        await asked.until(lambda: False in asked.there)
        first = asked.times[asked.there.index(False) - 1]
        assert first - began >= latest_s
        asked.ring = lost_ring()
        again = len(asked.there)
        await asked.until(lambda: False in asked.there[again:])
        assert asked.times[asked.there.index(False, again) - 1] - first >= latest_s


async def test_after_the_stop_collections_look_at_everything() -> None:
    callbacks = list(gc.callbacks)
    asked = Asked(then=True)
    with no_collections(), started(asked, due_s=0.0) as collections:
        kept = [[number] for number in range(10_000)]
        ring = lost_ring()
        assert gc.callbacks != callbacks
        assert looked_at(kept) == 0
        collections.stop()
        assert gc.callbacks == callbacks
        assert gc.get_freeze_count() == 0
        assert looked_at(kept) == len(kept)
        gc.collect()
        assert ring() is None
        assert gc.get_freeze_count() == 0
        collections.stop()
        assert gc.callbacks == callbacks


async def test_after_the_stop_its_timer_is_silent() -> None:
    async def turns() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    asked = Asked()
    with started(asked, due_s=0.0):
        await turns()
        assert len(asked.there) == 1
    asked = Asked()
    with started(asked, due_s=0.0) as collections:
        collections.stop()
        await turns()
        assert asked.there == []


def test_a_stop_before_the_start_changes_nothing() -> None:
    callbacks = list(gc.callbacks)
    kept = [[number] for number in range(100)]
    gc.freeze()
    try:
        ShortCollections(lambda: True).stop()
        assert gc.callbacks == callbacks
        assert looked_at(kept) == 0, "it thawed what another one froze"
    finally:
        gc.unfreeze()
