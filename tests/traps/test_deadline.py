"""Four times the load that the model can carry: no search is late, and none fails.

The model is one that takes its time for every text, as real ones do, without the processor: what
is measured is the sidecar's own share. OpenSearch answers at once with texts never seen before.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_store import PassageStore
from sidecar.models.scorers import BiEncoderScorer, Models
from tests.running import running_sidecar

DEADLINE_MS = 150
HITS = 25
TEXT_SECONDS = 0.004
SECONDS = 4
# A search takes the model 0.1 s, so so many begin in the time that one may take.
SEARCHERS = 4 * round(DEADLINE_MS / 1000 / (HITS * TEXT_SECONDS) + 1)

PLAN = {"rescore_window": HITS, "deadline_ms": DEADLINE_MS, "document": {"body": "body"}}
QUERY = json.dumps({"query": {"match": {"body": "copper kettle"}}}).encode()
REQUEST = (
    b"POST /docs/_search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(QUERY), QUERY)
)


class SlowModel(FakeBiEncoder):
    """Takes its time for each passage."""

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        time.sleep(TEXT_SECONDS * len(texts))
        return super().embed_passages(texts)


@asynccontextmanager
async def node() -> AsyncIterator[str]:
    """An OpenSearch whose every document is new; each answer says when it was sent."""
    draw = random.Random(5)
    words = [f"word{number}" for number in range(2000)]
    sentences = [" ".join(draw.choices(words, k=20)) for _ in range(500)]
    numbers = itertools.count()

    def answer() -> bytes:
        bodies = (
            f"copper {next(numbers)} {'. '.join(draw.choices(sentences, k=3))}."
            for _ in range(HITS)
        )
        hits = [
            {"_index": "docs", "_id": str(n), "_score": 50.0 - n, "_source": {"body": body}}
            for n, body in enumerate(bodies)
        ]
        body = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits}}
        return json.dumps(body, separators=(",", ":")).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                body = answer()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nX-Sent: %d\r\n"
                    b"content-length: %d\r\n\r\n%b" % (time.monotonic_ns(), len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_no_search_is_late_under_four_times_the_load(tmp_path: Path) -> None:
    metrics = Metrics()
    scorer = BiEncoderScorer("words", SlowModel(), PassageStore(256, 1 << 24), metrics)
    late: list[float] = []
    outcomes: list[str] = []
    scored: list[int] = []

    async def search_on(address: tuple[str, int], end: float) -> None:
        reader, writer = await asyncio.open_connection(*address)
        while time.monotonic() < end:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            sent = re.search(rb"X-Sent: (\d+)", head)
            said = re.search(rb"X-Rescore: (\w+(?:; reason=\w+)?)", head)
            found = re.search(rb"scored=(\d+)", head)
            assert length is not None
            assert sent is not None
            assert said is not None
            assert head.startswith(b"HTTP/1.1 200 OK")
            await reader.readexactly(int(length[1]))
            late.append((time.monotonic_ns() - int(sent[1])) / 1e6 - DEADLINE_MS)
            outcomes.append(said[1].decode())
            scored.append(int(found[1]) if found else 0)
        writer.close()

    async with node() as url:
        # The sidecar's start and end are blocking calls, and the node answers in this loop.
        running = running_sidecar(
            tmp_path, url, {"docs": PLAN}, {"docs": "docs"}, models=Models({"words": scorer})
        )
        sidecar = await asyncio.to_thread(running.__enter__)
        try:
            end = time.monotonic() + SECONDS
            async with asyncio.TaskGroup() as searchers:
                for _ in range(SEARCHERS):
                    searchers.create_task(search_on(sidecar.proxy, end))
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    cuts = statistics.quantiles(late, n=100)
    statuses = Counter(outcomes)
    print(
        f"\n{len(late)} searches by {SEARCHERS} at once, {dict(statuses)},"
        f" {statistics.mean(scored):.1f} of {HITS} hits scored; after the deadline of"
        f" {DEADLINE_MS} ms: p50 {cuts[49]:+.1f}, p90 {cuts[89]:+.1f}, p99 {cuts[98]:+.1f},"
        f" worst {max(late):+.1f} ms"
    )
    assert statuses["partial; reason=deadline"] > 0, "the model could carry the load"
    # On an idle machine p99 is below 10 ms; a busy one takes the processor away meanwhile.
    assert cuts[49] < 60
    assert cuts[89] < 2 * DEADLINE_MS
