"""Plays OpenSearch and the applications, in a process of its own.

As OpenSearch, it answers each search with hits that were prepared in advance, so that only the
sidecar is measured. As the applications, it searches through the sidecar, and directly for
comparison. It reads orders from standard input and writes answers, each as a line of JSON. It ends
when its input closes.
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

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, SampleDocument, read_collection
from sidecar.evaluation.search_body import search_body
from sidecar.evaluation.searching import RankedAnswer

INDEX = "rescore-bench"
PAGE = 10
_TIMEOUT_SECONDS = 120.0
_NUMBER_FIELD = "X-Opaque-Id"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a plan's searches look like; sent by the parent process."""

    window: int
    title: tuple[str, ...]
    """The plan's fields; they get the documents' texts."""

    body: tuple[str, ...]
    template: Mapping[str, Any]
    query_in_header: bool


@dataclass(frozen=True, slots=True)
class SearchLoad:
    """An order for searches of one kind; each of the `clients` sends one search at a time.

    `first` is the number of the first window to search. After `windows` windows, the searches
    begin with the first one again; None means new windows only. The searches end after `seconds`,
    or after `most` searches. `plan` names a plan in the header. `directly`: each search is also
    sent without the sidecar, before it is sent through it. With `rate`, that many searches a second
    are sent at even times, however many wait for an answer, until there are `most`.
    """

    first: int = 0
    windows: int | None = None
    seconds: float = 60.0
    most: int | None = None
    clients: int = 1
    plan: str | None = None
    directly: bool = False
    rate: float | None = None


class StandIn:
    """The windows of hits, the server that returns them, and its clients."""

    def __init__(self, layout: Layout) -> None:
        collection = read_collection(SAMPLE)
        self._layout = layout
        self._documents = endless_documents(collection)
        self._query_texts = tuple(collection.queries.values())
        self._answers: list[tuple[bytes, bytes]] = []
        self._asked = count()

    async def handle_search(self, request: web.BaseRequest) -> web.Response:
        """Play OpenSearch: return the hits of the window that a header field names."""
        if request.method == "GET":  # for the default search pipeline: there is none
            return web.json_response({})
        size = json.loads(await request.read())["size"]
        page, window = self._answers[int(request.headers[_NUMBER_FIELD])]
        return web.Response(body=page if size <= PAGE else window, content_type="application/json")

    async def run(self, searches: SearchLoad, direct: str, proxy: str) -> dict[str, Any]:
        """Play the applications: search, and return the time and the status of each search."""
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

        async def send_evenly(session: ClientSession, rate: float) -> None:
            for sent, number in enumerate(queue):
                await asyncio.sleep(started + sent / rate - time.perf_counter())
                group.create_task(client(session, iter((number,))))

        if searches.rate is not None and searches.most is not None:
            self._make_ready(first + (windows or searches.most) - 1)
            started = time.perf_counter()
        timeout = ClientTimeout(total=_TIMEOUT_SECONDS)
        connector = TCPConnector(limit=0)
        async with (
            ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            if searches.rate is not None:
                await send_evenly(session, searches.rate)
            else:
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
    ) -> tuple[float, RankedAnswer]:
        number_of_text = next(self._asked)
        # The words of a window stay the same, so that the same passages are chosen again. One more
        # word, never used before, makes the query text new to the model.
        text = f"{self._query_texts[number % len(self._query_texts)]} zz{number_of_text}"
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
            return seconds * 1000, RankedAnswer((), seconds, response.headers.get("X-Rescore"))

    def _make_ready(self, number: int) -> None:
        """Prepare the answers of every window up to this one."""
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
    """The document in the plan's fields; if there are several body fields, each gets a part."""
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
    """Read orders: a Layout, then one SearchLoad per line with the `proxy` to search through."""
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
            print(json.dumps(await stand_in.run(SearchLoad(**order), direct, proxy)), flush=True)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve_orders())
