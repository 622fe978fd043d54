"""Requests and connections leave nothing behind that only a full garbage collection would free.

Such collections are rare (`sidecar/event_loop/short_collections.py`), so it would be a leak.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sidecar.relay.wire import ScriptedUpstream, Wire
from tests.traps.pair import raw_request
from tests.traps.scripted import (
    OTHER,
    QUERY,
    SEARCH,
    Before,
    StuckModel,
    before,
    json_answer,
    read_answer,
    read_request,
    search_answer,
)

_OURS = ("sidecar.", "pipelines.")
_ITEMS = b'{"index":"docs"}\n' + QUERY + b"\n"
_NO_JSON = raw_request("POST", "/docs/_search", b'{"query":')


@contextmanager
def no_garbage() -> Iterator[None]:
    """Within it, no object of the product becomes part of an unused cycle."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
        assert not {kind: count for kind, count in kinds.items() if kind.startswith(_OURS)}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _answered(sidecar: Before, raw: bytes, answer: bytes) -> None:
    """A client asks on a connection of its own, gets an answer and closes, as does the node."""
    client = await sidecar.ask(raw)
    node = await sidecar.next_node()
    await read_request(node)
    await node.send(answer)
    await read_answer(client)
    client.close()
    node.close()
    await sidecar.settle()


async def _left(sidecar: Before, raw: bytes, leave: Callable[[Wire], None]) -> None:
    """A client leaves while OpenSearch works."""
    client = await sidecar.ask(raw)
    node = await sidecar.next_node()
    await node.head()
    leave(client)
    await node.rest()
    node.close()
    await sidecar.settle()


async def _search(sidecar: Before) -> None:
    await _answered(sidecar, SEARCH, search_answer())


async def _search_without_hits(sidecar: Before) -> None:
    await _answered(sidecar, SEARCH, search_answer(0))


async def _refused_search(sidecar: Before) -> None:
    await _answered(sidecar, _NO_JSON, json_answer(b"{}", "400 Bad Request"))


async def _multi_search(sidecar: Before) -> None:
    one = search_answer().partition(b"\r\n\r\n")[2][:-1] + b',"status":200}'
    answer = json_answer(b'{"took":1,"responses":[' + one + b"," + one + b"]}")
    await _answered(sidecar, raw_request("POST", "/_msearch", _ITEMS * 2), answer)


async def _pass_through(sidecar: Before) -> None:
    await _answered(sidecar, OTHER, json_answer(b"{}"))


async def _search_left(sidecar: Before) -> None:
    await _left(sidecar, SEARCH, Wire.close)


async def _search_reset(sidecar: Before) -> None:
    await _left(sidecar, SEARCH, Wire.reset)


async def _request_left(sidecar: Before) -> None:
    await _left(sidecar, OTHER, Wire.reset)


async def _head_left(sidecar: Before) -> None:
    client = await sidecar.ask(b"GET / HT")
    client.close()
    await sidecar.settle()


@pytest.mark.parametrize(
    "ask",
    [
        *(_search, _search_without_hits, _refused_search, _multi_search, _pass_through),
        *(_search_left, _search_reset, _request_left, _head_left),
    ],
)
async def test_a_request_leaves_no_garbage(
    sidecar: Before, ask: Callable[[Before], Awaitable[None]]
) -> None:
    await ask(sidecar)
    with no_garbage():
        for _ in range(3):
            await ask(sidecar)


async def test_a_client_that_leaves_while_the_model_works_leaves_no_garbage(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    model = StuckModel()
    async with before(upstream, tmp_path, model) as sidecar:
        with no_garbage():
            client = await sidecar.ask(SEARCH)
            node = await sidecar.next_node()
            await read_request(node)
            await node.send(search_answer())
            try:
                await asyncio.to_thread(model.entered.wait, 20)
                client.close()
                await sidecar.settle()
            finally:
                model.let_go.set()
            node.close()
            await sidecar.settle()
