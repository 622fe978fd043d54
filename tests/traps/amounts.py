"""What a request costs a sidecar: CPU time of its event loop between two turns, and of all of it.

CPU time, so that a busy machine changes nothing. The node is a stand-in that gives one answer.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.raw_http import RawResponse, send
from tests.running import Sidecar, running_sidecar
from tests.traps.pair import IDENTITY, both_models

_WORDS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}

NO_HITS = (
    b'{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},'
    b'"hits":{"total":{"value":0,"relation":"eq"},"max_score":null,"hits":[]}}'
)


HARD_MS = 20
"""CPU time of one turn of the event loop that no request may take."""

MATCH = b'{"query":{"match":{"body":"red shoes"}}'

JSON = b"Content-Type: application/json"
NDJSON = b"Content-Type: application/x-ndjson"
GZIP = b"Content-Encoding: gzip"


def http(line: bytes, body: bytes, *fields: bytes) -> bytes:
    head = [line + b" HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([*head, b"", b""]) + body


def search(body: bytes, *fields: bytes, target: bytes = b"/docs/_search") -> bytes:
    return http(b"POST " + target, body, JSON, *fields)


def listed(unit: str, count: int) -> str:
    """A comma list of so many of the same."""
    return ",".join([unit] * count)


def distinct(unit: str, count: int) -> str:
    """A comma list of so many, each with its number for `#`."""
    return ",".join(unit.replace("#", str(number)) for number in range(count))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request took, in milliseconds of CPU time."""

    turn: float
    """The longest turn of the event loop."""

    total: float
    """All threads of the process: the sidecar's, and the little that the two ends take."""

    answer: RawResponse

    @property
    def outcome(self) -> str | None:
        """The value of `X-Rescore`."""
        return next(iter(self.answer.values("x-rescore")), None)


@dataclass
class StandIn:
    """A node that answers everything with `content`."""

    content: bytes = NO_HITS
    fields: bytes = b""
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        return server

    @contextmanager
    def answering(self, content: bytes, coded: bool = False) -> Iterator[None]:
        """Give this answer for a while, in gzip if it is to be coded."""
        before = self.content, self.fields
        self.content = gzip.compress(content, 1) if coded else content
        self.fields = b"Content-Encoding: gzip\r\n" if coded else b""
        yield
        self.content, self.fields = before

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length:\s*(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                self.requests.append(head.partition(b"\r\n")[0])
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%s"
                    b"Content-Length: %d\r\n\r\n" % (self.fields, len(self.content)) + self.content
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class Meter:
    """A sidecar whose event loop's turns are measured."""

    def __init__(self, sidecar: Sidecar, node: StandIn) -> None:
        self.sidecar = sidecar
        self.node = node
        self._longest = 0.0

        async def watch() -> None:
            loop: Any = asyncio.get_running_loop()
            run_once = loop._run_once

            def measured() -> None:
                begun = time.thread_time()
                run_once()
                self._longest = max(self._longest, time.thread_time() - begun)

            loop._run_once = measured

        sidecar.call(watch())

    def cost(self, raw: bytes) -> Cost:
        """What this request costs: the lesser of two times, as garbage is collected at its own."""
        first, second = (self._cost_once(raw) for _ in range(2))
        return Cost(min(first.turn, second.turn), min(first.total, second.total), second.answer)

    def _cost_once(self, raw: bytes) -> Cost:
        gc.collect()
        self._longest = 0.0
        begun = time.process_time()
        answer = send(*self.sidecar.proxy, raw, timeout=60)
        total = time.process_time() - begun
        return Cost(self._longest * 1000, total * 1000, answer)


@contextmanager
def metered_sidecar(folder: Path, node: StandIn, **main: Any) -> Iterator[Meter]:
    """A sidecar before the stand-in, with the routes `docs` and `rendered` (templates)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stand-in")
    thread.start()
    server = asyncio.run_coroutine_threadsafe(node.serve(), loop).result(10)
    url = f"http://127.0.0.1:{node.port}"
    plans = dict.fromkeys(("identity", "kendra-intelligent-ranking"), IDENTITY)
    plans["rendered"] = {**IDENTITY, "templates": True}
    routes = {"docs": "identity", "rendered": "rendered"}
    whole_main = {"models": {"words": _WORDS, "constant": _WORDS}, **main}
    # Garbage is collected as always, but without what all tests hold.
    gc.collect()
    gc.freeze()
    try:
        # The meter judges each turn itself, by the lesser of two.
        sidecars = running_sidecar(
            folder, url, plans, routes, both_models(), whole_main, longest_callback_s=math.inf
        )
        with sidecars as sidecar:
            meter = Meter(sidecar, node)
            meter.cost(search(MATCH + b"}"))  # what is imported or compiled once is done
            yield meter
    finally:
        gc.unfreeze()
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def check_costs(measure: Callable[[], Sequence[Cost]]) -> Cost:
    """The costs of an amount and of twice as much of it are in bounds; returns the larger.

    `measure` is called again, twice at most, if they are not: other work on the machine only adds.
    """
    for last in (False, False, True):
        smaller, larger = measure()
        # What takes no time is not measured well.
        most = 2.5 * smaller.total + 25
        if last or (larger.turn < HARD_MS and larger.total < most):
            break
    assert larger.turn < HARD_MS
    assert larger.total < most
    return larger
