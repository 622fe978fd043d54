"""The clients of the endurance run: ordinary ones that keep a pace, and four hostile kinds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.amounts.attacks import JSON, SEARCH_PATH, bomb, post, query, zipped
from tests.amounts.process import query_texts

PATIENCE_S = 30.0
"""An ordinary search that takes longer counts as unanswered."""

_HALF_BODY = 256 << 10
_BOMB = (b'{"query":{"match":{"body":"cells"}}', b" ", b"", 32 << 20, b"}")
_LARGE_PAGE = b'{"query":{"match":{"body":"the of and in"}},"size":1000}'


@dataclass
class Searches:
    """How the ordinary searches of one phase fared; `seconds` of each that was answered."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


async def search_at_pace(address: tuple[str, int], rate: float, duration: float) -> Searches:
    """`rate` rescored searches a second, begun in time however slow the answers are."""
    results = Searches()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    bodies = itertools.cycle([post(SEARCH_PATH, query(text)) for text in query_texts()])
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * duration)):
            due = began + number / rate
            await asyncio.sleep(due - time.monotonic())
            group.create_task(_search(address, next(bodies), due, idle, results))
    for _, writer in idle:
        writer.close()
    return results


async def _search(
    address: tuple[str, int],
    raw: bytes,
    due: float,
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
    results: Searches,
) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            streams = idle.pop() if idle else await asyncio.open_connection(*address)
            reader, writer = streams
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
        idle.append(streams)
        results.outcomes[_outcome(head)] += 1
        if head[9:12] == b"200":
            results.seconds.append(time.monotonic() - due)
    except (OSError, EOFError, ValueError, TimeoutError) as error:
        results.outcomes[type(error).__name__] += 1


def _outcome(head: bytes) -> str:
    """The word of X-Rescore with its reason, or the status where it is not 200."""
    if head[9:12] != b"200":
        return head[9:12].decode()
    value = head.lower().partition(b"x-rescore: ")[2].partition(b"\r")[0].decode()
    word, *parts = value.split("; ")
    return " ".join([word, *(part for part in parts if part.startswith("reason="))])


async def warm_up(address: tuple[str, int]) -> None:
    """Search each text until the models have read all that it finds."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    for text in query_texts():
        for _ in range(10):
            results = Searches()
            await _search(address, post(SEARCH_PATH, query(text)), time.monotonic(), idle, results)
            if "applied" in results.outcomes:
                break
    for _, writer in idle:
        writer.close()


@dataclass
class Hostile:
    """All hostile clients together; `events` counts what they met."""

    proxy: tuple[str, int]
    slow: int
    halves: int
    bombs_a_second: float
    events: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.slow):
                client = self._slow_reader if number % 2 else self._slow_sender
                group.create_task(self._again(client, number))
            for number in range(self.halves):
                group.create_task(self._again(self._half_body, number))
            group.create_task(self._bombs())

    async def _again(self, client: Any, number: int) -> None:
        """Whoever is thrown out comes back."""
        chance = random.Random(number)
        await asyncio.sleep(chance.random() * 5)
        while True:
            streams = None
            try:
                streams = await asyncio.open_connection(*self.proxy, limit=4096)
                await client(*streams)
                self.events[f"{client.__name__.strip('_')}: closed by the sidecar"] += 1
            except OSError as error:
                self.events[f"{client.__name__.strip('_')}: {type(error).__name__}"] += 1
            finally:
                if streams is not None:
                    streams[1].close()
            await asyncio.sleep(1)

    async def _slow_sender(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A request of one byte a second."""
        for byte in itertools.chain(post(SEARCH_PATH, query("cells")), itertools.repeat(32)):
            writer.write(bytes((byte,)))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    if not await reader.read(4096):
                        return

    async def _slow_reader(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A page of a thousand hits, read at 4 KB a second."""
        writer.write(post(SEARCH_PATH, _LARGE_PAGE))
        async for _ in _pieces(reader):
            await asyncio.sleep(1)

    async def _half_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A search whose second half never comes."""
        head = f"POST {SEARCH_PATH} HTTP/1.1\r\nHost: x\r\n{JSON}\r\n"
        writer.write(f"{head}Content-Length: {_HALF_BODY}\r\n\r\n".encode())
        writer.write(b" " * (_HALF_BODY // 2))
        await writer.drain()
        while await reader.read(4096):
            pass

    async def _bombs(self) -> None:
        """A search of 32 MiB in 32 KB of gzip, again and again."""
        raw = zipped(SEARCH_PATH, await asyncio.to_thread(bomb, *_BOMB))
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._bomb(raw))
                await asyncio.sleep(1 / self.bombs_a_second)

    async def _bomb(self, raw: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection(*self.proxy)
                writer.write(raw)
                status = (await reader.readline())[9:12].decode() or "closed"
                writer.close()
            self.events[f"bomb: {status}"] += 1
        except (OSError, TimeoutError) as error:
            self.events[f"bomb: {type(error).__name__}"] += 1


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(4096):
        yield piece


async def beside(hostile: Hostile, work: Coroutine[Any, Any, Searches]) -> Searches:
    """Do the work while the hostile clients are there."""
    enemies = asyncio.ensure_future(hostile.run())
    try:
        return await work
    finally:
        enemies.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await enemies
