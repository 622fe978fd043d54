"""Workers find each other's cached values, and answer nothing to strangers' questions."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sidecar.expiring_cache import CachedValue, ExpiringCache
from sidecar.workers.sharing import WorkerPart
from sidecar.workers.siblings import Siblings


async def _ready() -> bool:
    return True


class Value(str):
    size = 10

    def __reduce__(self) -> tuple[type[Value], tuple[str]]:
        return Value, (str(self),)


def make(folder: Path, number: int, count: int = 3) -> Siblings:
    part = WorkerPart(number, count, [], [], 0, str(folder))
    return Siblings(part, CollectorRegistry(), _ready)


def cache() -> ExpiringCache[Value]:
    return ExpiringCache[Value](60, 1000)


async def test_the_newest_value_of_all_is_taken_over(tmp_path: Path) -> None:
    workers = [make(tmp_path, number) for number in range(3)]
    caches = [cache() for _ in workers]
    for worker, one in zip(workers, caches, strict=True):
        await worker.start()
        worker.offer("orders", one.find_entry)
    now = time.monotonic()
    caches[1].put(b"k", b"owner", Value("old"), 10, now + 10)
    caches[2].put(b"k", b"owner", Value("new"), 10, now + 20)
    try:
        await caches[0].catch_up(workers[0], "orders", b"k")
        assert caches[0].find(b"k") == "new"
        assert caches[0].find_entry(b"k") == CachedValue("new", b"owner", now + 20)
        caches[0].put(b"k", b"owner", Value("mine"), 10, now + 30)
        await caches[0].catch_up(workers[0], "orders", b"k")
        assert caches[0].find(b"k") == "mine"
        await caches[0].catch_up(workers[0], "orders", b"other")
        assert caches[0].find(b"other") is None
        assert await workers[0].find("another kind", b"k") is None
    finally:
        for worker in workers:
            worker.stop()


async def test_a_worker_that_does_not_answer_is_left_out(tmp_path: Path) -> None:
    asking, answering = make(tmp_path, 0), make(tmp_path, 1)
    one = cache()
    one.put(b"k", b"", Value("there"), 10)
    await answering.start()
    answering.offer("orders", one.find_entry)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "2.sock"))
        silent.listen()
        found = await asking.find("orders", b"k")
    answering.stop()
    assert found is not None
    assert found.value == "there"


@pytest.mark.parametrize("question", [b"\n", b"cached\n", b"cached orders zz\n", b"x" * 100_000])
async def test_odd_questions_harm_nothing(tmp_path: Path, question: bytes) -> None:
    worker, other = make(tmp_path, 0, 2), make(tmp_path, 1, 2)
    await worker.start()
    try:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "0.sock")
        writer.write(question)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        assert answer in (b"", b"null\n")
        assert await other.report() == {"0": "ready"}
    finally:
        worker.stop()
