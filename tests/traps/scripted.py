"""A whole sidecar before an OpenSearch that says, byte for byte, what a test tells it to."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from sidecar.metrics import Metrics
from sidecar.models.backends.base import CrossEncoderBackend, FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.running import Sidecar, running_sidecar
from tests.sidecar.relay.wire import ScriptedUpstream, Wire
from tests.traps.pair import WORDS_FIRST, raw_request

QUERY = b'{"query":{"match":{"body":"red shoes"}},"size":2}'
SEARCH = raw_request("POST", "/docs/_search", QUERY)
WRITE = raw_request("PUT", "/docs/_doc/1", b'{"body":"red"}')
OTHER = raw_request("GET", "/_cluster/health")


def search_answer(hits: int = 20, *, with_text: bool = True) -> bytes:
    """A whole answer to a search, with so many hits; the words asked for are in the last one."""
    listed: list[dict[str, object]] = []
    for number in range(hits):
        text = "red shoes" if number + 1 == hits else "boots"
        hit = {"_index": "docs", "_id": str(number), "_score": 2.0 - number / 100}
        listed.append({**hit, "_source": {"body": text}} if with_text else hit)
    body = {
        "took": 3,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": hits, "relation": "eq"},
            "max_score": 2.0,
            "hits": listed,
        },
    }
    return json_answer(json.dumps(body).encode())


def json_answer(body: bytes, status: str = "200 OK") -> bytes:
    """A whole answer with this body."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json; charset=UTF-8\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


async def read_request(node: Wire) -> bytes:
    """One request with a Content-Length or no body, as the node gets it."""
    head = await node.head()
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return head + (await node.exactly(int(length)) if length else b"")


async def read_answer(client: Wire) -> tuple[bytes, bytes]:
    """Head and body of one answer with a Content-Length."""
    raw = await read_request(client)
    head, _, body = raw.partition(b"\r\n\r\n")
    return head, body


class StuckModel:
    """Works until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        self.entered.set()
        self.let_go.wait(30)
        return np.ones(len(texts), np.float32)


class Before:
    """A sidecar before a scripted upstream, and the clients of it."""

    def __init__(self, sidecar: Sidecar, upstream: ScriptedUpstream) -> None:
        self.sidecar = sidecar
        self.upstream = upstream
        self._clients: list[Wire] = []

    async def connect(self) -> Wire:
        """A client's connection."""
        reader, writer = await asyncio.open_connection(*self.sidecar.proxy, limit=1 << 21)
        self._clients.append(client := Wire(reader, writer))
        return client

    async def ask(self, raw: bytes) -> Wire:
        """A client that has sent these bytes."""
        client = await self.connect()
        await client.send(raw)
        return client

    async def works(self) -> None:
        """An ordinary request is answered."""
        client = await self.ask(OTHER)
        node = await self.next_node()
        assert await read_request(node) == OTHER
        await node.send(json_answer(b"{}"))
        assert (await read_answer(client))[1] == b"{}"
        client.close()
        node.close()

    async def next_node(self) -> Wire:
        """The next connection that the sidecar opens to the upstream."""
        return await self.upstream.accepted()

    async def learn_no_default(self) -> None:
        """The sidecar learns, by a first search, that `docs` has no default search pipeline."""
        client = await self.ask(SEARCH)
        node = await self.next_node()
        assert (await read_request(node)).startswith(b"GET /docs/_settings/")
        # The search waits for some milliseconds, so it may come on a connection of its own.
        await node.send(json_answer(b"{}"))
        same = asyncio.ensure_future(read_request(node))
        other = asyncio.ensure_future(self.next_node())
        await asyncio.wait((same, other), return_when=asyncio.FIRST_COMPLETED)
        if other.done():
            same.cancel()
            search_node = other.result()
            await read_request(search_node)
        else:
            other.cancel()
            search_node = node
        await search_node.send(search_answer(0))
        await read_answer(client)
        for wire in (client, node, search_node):
            wire.close()
        await self.settle()
        while self.sidecar.metric("relay_upstream_connections", state="idle"):
            await asyncio.to_thread(self.sidecar.call, asyncio.sleep(0))

    async def settle(self) -> None:
        """Until no client is connected and nothing is asked of the upstream."""
        for client in self._clients:
            client.close()
        for _ in range(10_000):
            # One turn of the sidecar's event loop, and one of ours.
            await asyncio.to_thread(self.sidecar.call, asyncio.sleep(0))
            if self._open() == (0, 0):
                return
        raise AssertionError(f"still open (clients, upstream): {self._open()}")

    def _open(self) -> tuple[float, float]:
        metric = self.sidecar.metric
        return (
            metric("relay_client_connections"),
            metric("relay_upstream_connections", state="busy"),
        )

    def outcomes(self, status: str, reason: str) -> float:
        """How many searches ended so."""
        labels = {"plan": "docs", "status": status, "reason": reason}
        return self.sidecar.metric("rescore_searches_total", **labels)


@asynccontextmanager
async def before(
    upstream: ScriptedUpstream,
    folder: Path,
    model: CrossEncoderBackend | None = None,
    **plan: object,
) -> AsyncIterator[Before]:
    """Start a sidecar whose searches of `docs` are rescored, by `model` or by shared words."""
    models = None
    if model is not None:
        models = Models({"words": CrossEncoderScorer("words", model, Metrics())})
    plans = {"docs": {**WORDS_FIRST, "document": {"body": "body"}, **plan}}
    # The clock stands still, so that what is known of `docs` does not expire.
    with running_sidecar(
        folder, upstream.url, plans, {"docs": "docs"}, models, clock=lambda: 1.0
    ) as sidecar:
        running = Before(sidecar, upstream)
        await running.learn_no_default()
        try:
            yield running
        finally:
            await running.settle()
