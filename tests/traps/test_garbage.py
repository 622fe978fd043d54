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
    WRITE,
    Before,
    StuckModel,
    before,
    json_answer,
    read_answer,
    read_request,
    search_answer,
)

_OURS = ("sidecar.", "pipelines.")
_ITEMS = b'{"index":"docs"}\n' + QUERY + b'\n{"index":"other"}\n' + QUERY + b"\n"
_MULTI = raw_request("POST", "/_msearch", _ITEMS)
_UNROUTED = raw_request("POST", "/other/_search", QUERY)
_SKIPPED = raw_request("POST", "/docs/_search", b'{"query":{"match_all":{}}}')
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


def _multi_answer() -> bytes:
    """The answer to `_MULTI`."""
    one = search_answer().partition(b"\r\n\r\n")[2][:-1] + b',"status":200}'
    return json_answer(b'{"took":1,"responses":[' + one + b"," + one + b"]}")


async def _answered(
    sidecar: Before, raw: bytes, answer: bytes, outcome: bytes = b"", times: int = 1
) -> None:
    """A client asks on a connection of its own, gets an answer and closes, as does the node."""
    client = await sidecar.connect()
    node: Wire | None = None
    for _ in range(times):
        await client.send(raw)
        node = node or await sidecar.next_node()
        await read_request(node)
        await node.send(answer)
        head, _ = await read_answer(client)
        assert head.partition(b"X-Rescore: ")[2].partition(b";")[0] == outcome
    assert node is not None
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
    await _answered(sidecar, SEARCH, search_answer(), b"applied")


async def _searches_on_one_connection(sidecar: Before) -> None:
    await _answered(sidecar, SEARCH, search_answer(), b"applied", times=5)


async def _search_without_a_route(sidecar: Before) -> None:
    await _answered(sidecar, _UNROUTED, search_answer())


async def _skipped_search(sidecar: Before) -> None:
    await _answered(sidecar, _SKIPPED, search_answer(), b"skipped")


async def _search_without_hits(sidecar: Before) -> None:
    await _answered(sidecar, SEARCH, search_answer(0), b"skipped")


async def _refused_search(sidecar: Before) -> None:
    await _answered(sidecar, _NO_JSON, json_answer(b"{}", "400 Bad Request"), b"skipped")


async def _multi_search(sidecar: Before) -> None:
    await _answered(sidecar, _MULTI, _multi_answer(), b"applied")


async def _pass_through(sidecar: Before) -> None:
    await _answered(sidecar, OTHER, json_answer(b"{}"))


async def _broken(sidecar: Before, raw: bytes, connections: int) -> None:
    """OpenSearch breaks the connection, and so it does where the request is forwarded instead."""
    client = await sidecar.ask(raw)
    for _ in range(connections):
        node = await sidecar.next_node()
        await read_request(node)
        node.close()
    assert (await read_answer(client))[0].startswith(b"HTTP/1.1 502")
    client.close()
    await sidecar.settle()


async def _broken_search(sidecar: Before) -> None:
    await _broken(sidecar, SEARCH, 2)


async def _broken_multi_search(sidecar: Before) -> None:
    await _broken(sidecar, _MULTI, 2)


async def _broken_request(sidecar: Before) -> None:
    await _broken(sidecar, OTHER, 1)


async def _search_left(sidecar: Before) -> None:
    await _left(sidecar, SEARCH, Wire.close)


async def _search_reset(sidecar: Before) -> None:
    await _left(sidecar, SEARCH, Wire.reset)


async def _multi_search_left(sidecar: Before) -> None:
    await _left(sidecar, _MULTI, Wire.close)


async def _upload_left(sidecar: Before) -> None:
    await _left(sidecar, WRITE[:-5], Wire.reset)


async def _request_left(sidecar: Before) -> None:
    await _left(sidecar, OTHER, Wire.reset)


async def _head_left(sidecar: Before) -> None:
    client = await sidecar.ask(b"GET / HT")
    client.close()
    await sidecar.settle()


@pytest.mark.parametrize(
    "ask",
    [
        *(_search, _searches_on_one_connection, _search_without_hits, _search_without_a_route),
        *(_skipped_search, _refused_search, _multi_search, _pass_through, _search_left),
        *(_search_reset, _multi_search_left, _upload_left, _request_left, _head_left),
        *(_broken_search, _broken_multi_search, _broken_request),
    ],
)
async def test_a_request_leaves_no_garbage(
    sidecar: Before, ask: Callable[[Before], Awaitable[None]]
) -> None:
    await ask(sidecar)
    with no_garbage():
        for _ in range(3):
            await ask(sidecar)


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closes", "resets"])
@pytest.mark.parametrize(
    ("raw", "answer"), [(SEARCH, search_answer()), (_MULTI, _multi_answer())], ids=["one", "multi"]
)
async def test_a_client_that_leaves_while_the_model_works_leaves_no_garbage(
    upstream: ScriptedUpstream,
    tmp_path: Path,
    raw: bytes,
    answer: bytes,
    leave: Callable[[Wire], None],
) -> None:
    model = StuckModel()

    async def ask_and_leave(sidecar: Before) -> None:
        model.entered.clear()
        model.let_go.clear()
        client = await sidecar.ask(raw)
        node = await sidecar.next_node()
        await read_request(node)
        await node.send(answer)
        try:
            assert await asyncio.to_thread(model.entered.wait, 20)
            leave(client)
            await sidecar.settle()
        finally:
            model.let_go.set()
        node.close()
        await sidecar.settle()
        # Only with another search is the model's thread known to have ended the one that was left.
        await _search(sidecar)

    async with before(upstream, tmp_path, model) as sidecar:
        await ask_and_leave(sidecar)
        with no_garbage():
            for _ in range(3):
                await ask_and_leave(sidecar)
