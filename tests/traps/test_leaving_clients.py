"""Clients that leave, politely or not, at every stage of a request: nothing goes on for them.

What was asked of OpenSearch for them ends, connections and open files return to where they were,
and the next client is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sidecar.relay.wire import ScriptedUpstream, Wire
from tests.traps.pair import raw_request
from tests.traps.scripted import (
    OTHER,
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

Leave = Callable[[Wire], None]


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closes", "resets"])
@pytest.mark.parametrize("sent", [b"POST /docs/_se", SEARCH[:-60], SEARCH[:-5]])
async def test_a_client_that_leaves_before_its_search_is_whole_asks_nothing(
    sidecar: Before, sent: bytes, leave: Leave
) -> None:
    client = await sidecar.ask(sent)
    leave(client)
    await sidecar.settle()
    assert sidecar.upstream.none_waits
    await sidecar.works()


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closes", "resets"])
@pytest.mark.parametrize("raw", [SEARCH, OTHER, WRITE[:-5]], ids=["search", "other", "upload"])
async def test_a_client_that_leaves_while_opensearch_works_ends_that_work(
    sidecar: Before, raw: bytes, leave: Leave
) -> None:
    client = await sidecar.ask(raw)
    node = await sidecar.next_node()
    await node.head()
    leave(client)
    await node.rest()
    await sidecar.settle()
    assert sidecar.upstream.none_waits
    await sidecar.works()


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closes", "resets"])
async def test_a_client_that_leaves_during_the_fetch_of_text_ends_it(
    sidecar: Before, leave: Leave
) -> None:
    body = b'{"query":{"match":{"body":"red shoes"}},"size":2,"_source":false}'
    client = await sidecar.ask(raw_request("POST", "/docs/_search", body))
    node = await sidecar.next_node()
    await read_request(node)
    await node.send(search_answer(with_text=False))
    assert b'"ids"' in await read_request(node)
    leave(client)
    await node.wait_closed()
    await sidecar.settle()
    assert sidecar.upstream.none_waits


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closes", "resets"])
async def test_a_client_that_leaves_while_the_model_works_leaves_nothing_behind(
    upstream: ScriptedUpstream, tmp_path: Path, leave: Leave
) -> None:
    model = StuckModel()
    async with before(upstream, tmp_path, model) as sidecar:
        client = await sidecar.ask(SEARCH)
        node = await sidecar.next_node()
        await read_request(node)
        await node.send(search_answer())
        try:
            await asyncio.to_thread(model.entered.wait, 20)
            leave(client)
            await sidecar.settle()
        finally:
            model.let_go.set()
        # The connection to OpenSearch was idle meanwhile and is used again.
        client = await sidecar.ask(OTHER)
        assert await read_request(node) == OTHER
        await node.send(json_answer(b"{}"))
        assert (await read_answer(client))[1] == b"{}"


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closes", "resets"])
async def test_a_client_that_leaves_during_its_answer_ends_it(
    sidecar: Before, leave: Leave
) -> None:
    client = await sidecar.ask(OTHER)
    node = await sidecar.next_node()
    await read_request(node)
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
    await client.head()
    leave(client)
    # A client that has only stopped sending looks the same until it is written to.
    with contextlib.suppress(ConnectionError):
        while not node.reader.at_eof():
            await node.send(b"x" * 1000)
            await asyncio.to_thread(sidecar.sidecar.call, asyncio.sleep(0))
    await sidecar.settle()
    await sidecar.works()


async def test_open_files_return_to_where_they_were(sidecar: Before) -> None:
    async def left(raw: bytes) -> None:
        client = await sidecar.ask(raw)
        node = await sidecar.next_node()
        await read_request(node)
        client.reset()
        await node.wait_closed()
        node.close()
        await node.writer.wait_closed()

    for raw in (SEARCH, OTHER):
        await left(raw)
    await sidecar.settle()
    files = len(os.listdir("/proc/self/fd"))
    for raw in (SEARCH, OTHER) * 50:
        await left(raw)
    await sidecar.settle()
    assert len(os.listdir("/proc/self/fd")) <= files + 2
