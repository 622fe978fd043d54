"""Plays OpenSearch and the applications before the sidecar, in a process of its own.

As OpenSearch it answers each search with hits that were made ready before, so what is measured is
the sidecar. As applications it searches through the sidecar, and past it for comparison. It reads
orders from standard input and writes answers, a line of JSON each, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession, ClientTimeout, web

from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, SampleDocument, read_collection
from sidecar.evaluation.search_body import search_body
from sidecar.evaluation.searching import Answer

INDEX = "rescore-bench"
PAGE = 10
_TIMEOUT_SECONDS = 120.0
_NUMBER_FIELD = "X-Opaque-Id"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a plan's searches look like, as the parent orders it."""

    window: int
    title: tuple[str, ...]
    """The plan's fields, which the documents' texts are put into."""

    body: tuple[str, ...]
    template: Mapping[str, Any]
    query_in_header: bool


@dataclass(frozen=True, slots=True)
class Searches:
    """An order: searches of one kind, one after the other with each of `clients`.

    `first`: number of the first window that is searched; `windows`: how many there are before
    the first one comes again, None for always new ones. They end after `seconds`, or when there
    were `most`. `plan`: a plan to ask for by name. `directly`: each search is also sent past the
    sidecar, in turn.
    """

    first: int = 0
    windows: int | None = None
    seconds: float = 60.0
    most: int | None = None
    clients: int = 1
    plan: str | None = None
    directly: bool = False


class StandIn:
    """The windows of hits, their server and their clients."""

    def __init__(self, layout: Layout) -> None:
        collection = read_collection(SAMPLE)
        self._layout = layout
        self._documents = endless_documents(collection)
        self._query_texts = tuple(collection.queries.values())
        self._answers: list[tuple[bytes, bytes]] = []
        self._asked = count()

    async def handle_search(self, request: web.BaseRequest) -> web.Response:
        """OpenSearch's part: the hits of the window that the request's field names."""
        size = json.loads(await request.read())["size"]
        page, window = self._answers[int(request.headers[_NUMBER_FIELD])]
        return web.Response(body=page if size <= PAGE else window, content_type="application/json")

    async def run(self, searches: Searches, direct: str, proxy: str) -> dict[str, Any]:
        """The applications' part: milliseconds of each search, and what became of it."""
        windows = searches.windows
        first = searches.first
        numbers = (first + (n if windows is None else n % windows) for n in count())
        if windows is not None:
            self._make_ready(first + windows - 1)
        queue = islice(numbers, searches.most)
        times: list[float] = []
        direct_times: list[float] = []
        statuses: Counter[str] = Counter()
        scored = 0
        started = time.perf_counter()
        deadline = started + searches.seconds

        async def client(session: ClientSession, mine: Iterator[int]) -> None:
            nonlocal scored
            for number in mine:
                self._make_ready(number)
                if searches.directly:
                    direct_times.append((await self._search(session, direct, number, None))[0])
                ms, answer = await self._search(session, proxy, number, searches.plan)
                times.append(ms)
                statuses[answer.status] += 1
                scored += answer.scored
                if time.perf_counter() >= deadline:
                    return

        timeout = ClientTimeout(total=_TIMEOUT_SECONDS)
        async with ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(searches.clients):
                group.create_task(client(session, queue))
        return {
            "ms": times,
            "direct_ms": direct_times,
            "statuses": dict(statuses),
            "scored": scored,
            "seconds": time.perf_counter() - started,
        }

    async def _search(
        self, session: ClientSession, url: str, number: int, plan: str | None
    ) -> tuple[float, Answer]:
        asked = next(self._asked)
        # A window keeps its words, so that the same passages are chosen again; the one that
        # nobody has asked for before makes the query text new to the model.
        text = f"{self._query_texts[number % len(self._query_texts)]} zz{asked}"
        fields = {_NUMBER_FIELD: str(number), "Content-Type": "application/json"}
        if plan is not None:
            fields["X-Rescore-Plan"] = plan
        if self._layout.query_in_header:
            fields["X-Rescore-Query"] = quote(text)
        body = json.dumps(search_body(self._layout.template, text, PAGE))
        began = time.perf_counter()
        async with session.post(f"{url}/{INDEX}/_search", data=body, headers=fields) as response:
            await response.read()
            seconds = time.perf_counter() - began
            response.raise_for_status()
            return seconds * 1000, Answer((), seconds, response.headers.get("X-Rescore"))

    def _make_ready(self, number: int) -> None:
        """Write the answers of every window up to this one."""
        size = self._layout.window
        while len(self._answers) <= number:
            hits = [
                {
                    "_index": INDEX,
                    "_id": document.id,
                    "_score": round(20 - 15 * rank / size, 4),
                    "_source": write_source(document, self._layout),
                }
                for rank, document in enumerate(islice(self._documents, size))
            ]
            self._answers.append((write_answer(hits[:PAGE]), write_answer(hits)))


def write_source(document: SampleDocument, layout: Layout) -> dict[str, str]:
    """The document under the plan's fields; a text is shared out where there are several."""
    source = dict.fromkeys(layout.title, document.title)
    text = document.text if layout.title else f"{document.title}. {document.text}"
    words = text.split(" ")
    fields = len(layout.body)
    for place, name in enumerate(layout.body):
        source[name] = " ".join(
            words[place * len(words) // fields : (place + 1) * len(words) // fields]
        )
    return source


def write_answer(hits: list[dict[str, Any]]) -> bytes:
    """A search response with these hits."""
    answer = {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": 10_000, "relation": "gte"},
            "max_score": hits[0]["_score"],
            "hits": hits,
        },
    }
    return json.dumps(answer, separators=(",", ":")).encode()


async def serve_orders() -> None:
    """The first line is a Layout, each further one Searches with the `proxy` to send them to."""
    loop = asyncio.get_running_loop()
    stand_in = StandIn(Layout(**json.loads(await loop.run_in_executor(None, sys.stdin.readline))))
    runner = web.ServerRunner(web.Server(stand_in.handle_search))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        direct = f"http://127.0.0.1:{runner.addresses[0][1]}"
        print(json.dumps({"url": direct}), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            proxy = order.pop("proxy")
            print(json.dumps(await stand_in.run(Searches(**order), direct, proxy)), flush=True)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve_orders())
