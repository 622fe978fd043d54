"""Many requests at once, many one after the other, and large ones: nobody waits, memory is flat.

The figures are printed: `pytest -s tests/traps/test_load.py`.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.raw_http import read_response
from tests.running import running_sidecar
from tests.sidecar.relay.wire import ScriptedUpstream, Wire
from tests.traps.busy_node import running_busy_node
from tests.traps.pair import WORDS_FIRST, raw_request
from tests.traps.scripted import (
    OTHER,
    SEARCH,
    before,
    json_answer,
    read_answer,
    read_request,
    search_answer,
)

BULK = raw_request(
    *("POST", "/_bulk", b'{"index":{"_index":"docs"}}\n{"body":"red"}\n' * 20),
    "Content-Type: application/x-ndjson",
)
BODY_BYTES = 100_000_000
PIECE = b"0123456789abcdef" * 6250


def memory_mib() -> float:
    """Resident memory of this process, which the sidecar is a part of."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


async def test_200_slow_searches_hold_up_nobody(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    unrouted = raw_request("POST", "/other/_search", b'{"query":{"match_all":{}}}')
    async with before(upstream, tmp_path) as sidecar:
        waiting = []
        for number in range(200):
            client = await sidecar.ask(SEARCH if number % 2 else unrouted)
            node = await sidecar.next_node()
            await read_request(node)
            waiting.append((client, node))
        latencies = []
        for raw in (BULK, OTHER) * 25:
            asked = time.monotonic()
            client = await sidecar.ask(raw)
            node = await sidecar.next_node()
            assert await read_request(node) == raw
            await node.send(json_answer(b"{}"))
            await read_answer(client)
            client.close()
            node.close()
            latencies.append((time.monotonic() - asked) * 1000)
        latencies.sort()
        print(f"\nbeside 200 waiting searches: median {latencies[25]:.1f} ms, worst", end=" ")
        print(f"{latencies[-1]:.1f} ms of 50 requests")
        # Without the searches it takes about as long; with them in its way, for ever.
        assert latencies[25] < 250
        for number, (client, node) in enumerate(waiting):
            await node.send(search_answer() if number % 2 else json_answer(b"{}"))
            head, _ = await read_answer(client)
            assert (b"\r\nX-Rescore: applied; " in head) is bool(number % 2)


@dataclass(frozen=True, slots=True)
class MixedLoad:
    """What 10,000 mixed requests left behind."""

    seconds: float
    applied: float
    memory_mib: float
    growth_mib: float


def test_memory_is_flat_over_10_000_mixed_requests(tmp_path: Path) -> None:
    # In a process of its own: this one holds gigabytes of other tests, and moves by many MiB.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        load = process.submit(send_mixed_requests, tmp_path).result()
    print(f"\n10,000 mixed requests in {load.seconds:.1f} s, {load.applied:.0f} rescored", end=" ")
    print(f"in all; memory {load.memory_mib:.0f} MiB, {load.growth_mib:+.1f} MiB after them")
    assert load.applied > 1000
    assert load.growth_mib < 12


def send_mixed_requests(folder: Path) -> MixedLoad:
    """Send 3,000 requests through a sidecar of this process, then the 10,000 that are measured."""
    # Of eleven, one is rescored, one is skipped, two write; the last of 111 is refused.
    skipped = raw_request("POST", "/docs/_search", b'{"query":{"match_all":{}}}')
    refused = b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"
    mixed = [SEARCH, skipped, BULK, BULK, *[OTHER] * 7]
    with (
        running_busy_node() as url,
        running_sidecar(folder, url, {"docs": WORDS_FIRST}, {"docs": "docs"}) as sidecar,
    ):

        def round_of(count: int) -> None:
            for _ in range(count // 111):
                with (
                    socket.create_connection(sidecar.proxy, 20) as connection,
                    connection.makefile("rb") as stream,
                ):
                    for _ in range(10):
                        connection.sendall(b"".join(mixed))
                        for _ in mixed:
                            assert read_response(stream).status == 200
                    connection.sendall(refused)
                    assert read_response(stream).status == 400

        round_of(3000)
        gc.collect()
        start, memory = time.monotonic(), memory_mib()
        round_of(10_000)
        seconds = time.monotonic() - start
        gc.collect()
        growth = memory_mib() - memory
        applied = sidecar.metric("rescore_searches_total", plan="docs", status="applied", reason="")
    return MixedLoad(seconds, applied, memory, growth)


async def _sent_until_stuck(wire: Wire) -> int:
    """Bytes that go in before nothing moves for half a second."""
    sent = 0
    while sent < BODY_BYTES:
        wire.writer.write(PIECE)
        sent += len(PIECE)
        try:
            async with asyncio.timeout(0.5):
                await wire.writer.drain()
        except TimeoutError:
            break
    return sent


@pytest.mark.parametrize("way", ["answer", "request"])
async def test_100_mb_to_a_slow_reader_stay_out_of_memory(
    upstream: ScriptedUpstream, tmp_path: Path, way: str
) -> None:
    async with before(upstream, tmp_path) as sidecar:
        head = b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES
        client = await sidecar.ask(OTHER if way == "answer" else head)
        node = await sidecar.next_node()
        await node.head()
        if way == "answer":
            await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES)
            await client.head()
        sender, reader = (node, client) if way == "answer" else (client, node)
        memory = memory_mib()
        reader.read_nothing()
        sent = await _sent_until_stuck(sender)
        stuck = memory_mib() - memory

        async def send_the_rest() -> None:
            for _ in range((BODY_BYTES - sent) // len(PIECE)):
                sender.writer.write(PIECE)
                await sender.writer.drain()

        cast(asyncio.Transport, reader.writer.transport).resume_reading()
        async with asyncio.TaskGroup() as group:
            group.create_task(send_the_rest())
            for _ in range(BODY_BYTES // len(PIECE)):
                assert await reader.exactly(len(PIECE)) == PIECE
        grown = memory_mib() - memory
    print(
        f"\n100 MB {way}: {sent / 1e6:.0f} MB on their way to a reader that does not read;", end=" "
    )
    print(f"memory {stuck:+.0f} MiB then, {grown:+.0f} MiB at the end")
    assert sent < 30_000_000
    assert max(stuck, grown) < 40
