"""Applications that use opensearch-py, over each of its transports, with compressed bodies."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from opensearchpy import (
    AsyncOpenSearch,
    OpenSearch,
    RequestsHttpConnection,
    TransportError,
    Urllib3HttpConnection,
)

Operation = tuple[str, str, dict[str, Any]]
"""A name, the client's method, and the arguments."""

QUERY = {"match": {"body": "red shoes"}}


def _operations(index: str) -> Iterator[Operation]:
    bulk: list[dict[str, Any]] = []
    for number in range(30):
        bulk += [
            {"index": {"_id": str(number)}},
            {"n": number, "body": "red caf\u00e9 \U0001f600 " + "shoes " * number},
        ]
    document = {"index": index, "id": "3"}
    yield "info", "info", {}
    settings = {"settings": {"number_of_shards": 1}}
    yield "create", "indices.create", {"index": index, "body": settings}
    yield "bulk", "bulk", {"index": index, "body": bulk, "params": {"refresh": "true"}}
    yield "get", "get", document
    yield "missing", "get", {"index": index, "id": "a/b"}
    yield "exists", "exists", document
    yield "search", "search", {"index": index, "body": {"query": QUERY, "size": 4}}
    page = {"index": index, "body": {"query": QUERY}, "params": {"from": 4, "size": 4}}
    yield "page", "search", page
    yield "q", "search", {"index": index, "params": {"q": "body:(red AND caf\u00e9)"}}
    items = [{"index": index}, {"query": QUERY, "size": 2}, {}, {"query": {"match_all": {}}}]
    yield "msearch", "msearch", {"body": items}
    yield "refused", "search", {"index": index, "body": {"query": {"nonsense": {}}}}
    yield "count", "count", {"index": index}
    yield "update", "update", {**document, "body": {"doc": {"n": 300}}}
    yield "delete", "delete", document
    yield "delete again", "delete", document


def _method(client: Any, name: str) -> Callable[..., Any]:
    for part in name.split("."):
        client = getattr(client, part)
    method: Callable[..., Any] = client
    return method


def _told(name: str, answer: object) -> str:
    if isinstance(answer, TransportError):
        answer = [answer.status_code, answer.error, answer.info]
    return json.dumps([name, answer])


def run_sync(url: str, index: str, connection_class: type) -> list[str]:
    """Each operation's name and answer, as JSON."""
    lines = []
    client = OpenSearch(url, connection_class=connection_class, http_compress=True)
    try:
        for name, method, arguments in _operations(index):
            try:
                lines.append(_told(name, _method(client, method)(**arguments)))
            except TransportError as error:
                lines.append(_told(name, error))
        body = {"query": QUERY, "size": 12}
        # Deleted documents weigh in a score until they are merged away, whenever that is.
        client.indices.forcemerge(index=index, params={"max_num_segments": "1"})
        client.indices.refresh(index=index)
        page = client.search(index=index, body=body, params={"scroll": "1m"})
        while page["hits"]["hits"]:
            lines.append(_told("scroll", page))
            page = client.scroll(body={"scroll_id": page["_scroll_id"], "scroll": "1m"})
        lines.append(_told("drop", client.indices.delete(index=index)))
    finally:
        client.close()
    return lines


def run_urllib3(url: str, index: str) -> list[str]:
    """Over urllib3, opensearch-py's default."""
    return run_sync(url, index, Urllib3HttpConnection)


def run_requests(url: str, index: str) -> list[str]:
    """Over requests."""
    return run_sync(url, index, RequestsHttpConnection)


async def run_async(url: str, index: str) -> list[str]:
    """Over aiohttp."""
    lines = []
    async with AsyncOpenSearch(url, http_compress=True) as client:
        for name, method, arguments in _operations(index):
            try:
                answer: Awaitable[object] = _method(client, method)(**arguments)
                lines.append(_told(name, await answer))
            except TransportError as error:
                lines.append(_told(name, error))
        body = {"query": QUERY, "size": 12}
        await client.indices.forcemerge(index=index, params={"max_num_segments": "1"})
        await client.indices.refresh(index=index)
        page = await client.search(index=index, body=body, params={"scroll": "1m"})
        while page["hits"]["hits"]:
            lines.append(_told("scroll", page))
            page = await client.scroll(body={"scroll_id": page["_scroll_id"], "scroll": "1m"})
        lines.append(_told("drop", await client.indices.delete(index=index)))
    return lines
