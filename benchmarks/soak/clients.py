"""The clients of a soak. Each begins its requests at a fixed rate, however long answers take.

An answer is wrong if a search that the sidecar rescored has another order than the same search had
with the same plan and window, before the load, or if one that it passed on has another order than
every node's own. The texts do not change meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from benchmarks.cluster import bulk_body, search_body
from benchmarks.soak.results import Results
from benchmarks.soak.sidecar import INDEX, VARIANTS
from benchmarks.soak.trouble import Trouble

WRITTEN: Final = "soak-written"
_BULK: Final = 20
_SIZE: Final = 10
_ATTEMPTS: Final = 30
_LONGEST_S: Final = 60.0
_MOST_AT_ONCE: Final = 200
_JSON: Final = {"Content-Type": "application/json"}

Order = tuple[str, ...]


class Clients:
    """Searches the texts of `queries` and writes to another index.

    `url` is the proxy, `api` the api listener. All kinds of clients share one random order.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        api: str,
        queries: Iterable[str],
        results: Results,
        trouble: Trouble,
    ) -> None:
        self._session = session
        self._url = url
        self._api = api
        self._queries = tuple(queries)
        self._results = results
        self._trouble = trouble
        self._numbers = count()
        self._random = random.Random(7)  # noqa: S311 - the same load each time
        self._expected: dict[tuple[str, int, str], Order] = {}
        self._plain: set[tuple[str, Order]] = set()

    async def learn(self, plan: str, window: int) -> None:
        """Note the order of each query with the configuration that runs now."""
        for query in self._queries:
            for _ in range(_ATTEMPTS):
                fields, answer = await self._search(query, 0)
                said = fields.get("X-Rescore", "")
                if _is_rescored(said, plan, window):
                    break
                await asyncio.sleep(1)  # the model reads the texts after the deadline
            else:
                raise RuntimeError(f"the sidecar does not rescore before the load: {said}")
            self._expected[plan, window, query] = _read_order(answer)

    async def learn_plain(self, nodes: Iterable[str]) -> None:
        """Note the order that each node has of its own copy; `nodes`: their URLs."""
        for node in nodes:
            for query in self._queries:
                target = f"{node}/{INDEX}/_search?preference=_only_local"
                _, answer = await self._ask(target, search_body(query, 0, _SIZE))
                self._plain.add((query, _read_order(answer)))

    async def run(self, searches: float, writes: float, vanishing: float, calls: float) -> None:
        """Until cancelled; each figure is a number of requests a second."""
        async with asyncio.TaskGroup() as kinds:
            kinds.create_task(self._repeat("search", searches, self._one_search))
            kinds.create_task(self._repeat("page", searches / 4, self._next_page))
            kinds.create_task(self._repeat("multi-search", searches / 4, self._multi_search))
            kinds.create_task(self._repeat("bulk", writes, self._bulk))
            kinds.create_task(self._repeat("rerank", calls, self._rerank))
            kinds.create_task(self._repeat("vanished", vanishing, self._vanish))

    async def find_lost_writes(self) -> None:
        """Count each acknowledged document that the index does not have."""
        await self._post(f"/{WRITTEN}/_refresh", "")
        ids = sorted(self._results.written, key=int)
        for start in range(0, len(ids), 1000):
            body = json.dumps({"ids": ids[start : start + 1000]})
            _, answer = await self._post(f"/{WRITTEN}/_mget?_source=false", body)
            lost = sum(not document["found"] for document in answer["docs"])
            if lost:
                self._results.faults["acknowledged documents that are lost"] += lost

    async def _repeat(self, kind: str, rate: float, ask: Callable[[], Awaitable[str]]) -> None:
        asking: set[asyncio.Task[None]] = set()
        next_at = time.monotonic()
        try:
            while True:
                next_at += 1 / rate
                await asyncio.sleep(max(next_at - time.monotonic(), 0))
                if len(asking) < _MOST_AT_ONCE:
                    task = asyncio.get_running_loop().create_task(self._count(kind, ask))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                else:
                    self._results.answers[f"{kind}: not begun, {_MOST_AT_ONCE} wait"] += 1
        finally:
            if asking:
                await asyncio.wait(asking)

    async def _count(self, kind: str, ask: Callable[[], Awaitable[str]]) -> None:
        begun = time.monotonic()
        try:
            said = await ask()
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            what = f"{kind}: {_describe(error)}"
            kept = self._results.excused if self._trouble.excuses(begun) else self._results.faults
            kept[what] += 1
        else:
            self._results.answers[f"{kind}: {said}"] += 1

    async def _one_search(self) -> str:
        query = self._random.choice(self._queries)
        fields, answer = await self._search(query, 0)
        said = fields.get("X-Rescore", "")
        status, *values = said.split("; ")
        if status != "applied":
            if not answer["_shards"]["failed"] and (query, _read_order(answer)) not in self._plain:
                self._results.faults["search: passed on in another order"] += 1
            reason = next((value for value in values if value.startswith("reason=")), "")
            return f"{status} {reason}".strip()
        shards = answer["_shards"]
        if shards["failed"] or answer["timed_out"]:
            return "applied to some shards"
        found = {value.split("=")[0]: value.split("=")[-1] for value in values}
        expected = self._expected.get((found["plan"], int(found["window"]), query))
        if expected is None:
            self._results.faults[f"search: a mixture of configurations, {said}"] += 1
        elif expected != _read_order(answer):
            self._results.faults["search: another order"] += 1
        return "applied"

    async def _next_page(self) -> str:
        query = self._random.choice(self._queries)
        await self._search(query, 0)
        fields, answer = await self._search(query, _SIZE)
        if len(_read_order(answer)) != _SIZE and not answer["_shards"]["failed"]:
            self._results.faults["page: not complete"] += 1
        return str(fields.get("X-Rescore", "")).split("; ")[0]

    async def _multi_search(self) -> str:
        queries = self._random.sample(self._queries, 3)
        lines = [line for query in queries for line in ("{}", search_body(query))]
        _, answer = await self._post(f"/{INDEX}/_msearch", "\n".join([*lines, ""]))
        if len(answer["responses"]) != len(queries):
            self._results.faults["multi-search: not complete"] += 1
        passed_on = 0
        for query, one in zip(queries, answer["responses"], strict=False):
            if "error" in one:
                raise ValueError(f"item {one['status']} {one['error']['type']}")
            order = _read_order(one)
            known = {self._expected.get((v.plan, v.window, query)) for v in VARIANTS}
            if one["_shards"]["failed"] or order in known:
                continue
            passed_on += 1
            if (query, order) not in self._plain:
                self._results.faults["multi-search: another order"] += 1
        return f"{passed_on} of {len(queries)} items passed on" if passed_on else "answered"

    async def _bulk(self) -> str:
        first = next(self._numbers) * _BULK
        _, answer = await self._post("/_bulk", bulk_body(WRITTEN, first, _BULK))
        items = [item["index"] for item in answer["items"]]
        self._results.written.update(item["_id"] for item in items if item["status"] < 300)
        refused = sum(item["status"] >= 300 for item in items)
        if refused:
            raise ValueError(f"{items[0].get('error', {}).get('type')} for items")
        return "written"

    async def _rerank(self) -> str:
        body = {"query": self._random.choice(self._queries), "documents": list(self._queries[:5])}
        async with self._session.post(f"{self._api}/v1/rerank", json=body) as answer:
            content = await answer.json()
            if answer.status != 200:
                raise ValueError(f"{answer.status} {content}")
        if len(content["results"]) != len(body["documents"]):
            self._results.faults["rerank: not complete"] += 1
        return "answered"

    async def _vanish(self) -> str:
        """Leave in the middle of a head, of a body, of the wait, or of the answer."""
        body = search_body(self._random.choice(self._queries)).encode()
        head = (
            f"POST /{INDEX}/_search HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        whole = head + body
        part = self._random.choice((len(head) // 2, len(head) + len(body) // 2, len(whole)))
        parts = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(whole[:part])
            await writer.drain()
            if part == len(whole) and self._random.random() < 0.5:
                await reader.read(64)
                return "in the answer"
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        return "before the answer"

    async def _search(self, query: str, start: int) -> tuple[Any, Any]:
        return await self._post(f"/{INDEX}/_search", search_body(query, start, _SIZE))

    async def _post(self, target: str, body: str) -> tuple[Any, Any]:
        """Header fields and the answer; raises ValueError unless the status is 200."""
        return await self._ask(self._url + target, body)

    async def _ask(self, url: str, body: str) -> tuple[Any, Any]:
        timeout = aiohttp.ClientTimeout(total=_LONGEST_S)
        async with self._session.post(
            url, data=body.encode(), headers=_JSON, timeout=timeout
        ) as answer:
            content = await answer.json()
            if answer.status != 200:
                raise ValueError(f"{answer.status} {content['error']['type']}")
            return answer.headers, content


def _read_order(answer: Any) -> Order:
    return tuple(hit["_id"] for hit in answer["hits"]["hits"])


def _is_rescored(said: str, plan: str, window: int) -> bool:
    return said.startswith("applied") and {f"plan={plan}", f"window={window}"} <= set(
        said.split("; ")
    )


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
