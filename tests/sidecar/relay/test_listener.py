"""Starting and draining."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.relay.front import Forward, Request
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_draining_finishes_what_is_in_flight_and_takes_nothing_new(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    idle, busy = await relay.connect(), await relay.connect()
    await idle.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await idle.expect(OK)
    await busy.send(GET)
    await node.expect(GET)

    stopping = asyncio.get_running_loop().create_task(relay.listener.stop(10))
    assert await idle.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await relay.connect()
    assert not stopping.done()
    await node.send(OK)
    expected = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nok"
    assert await busy.rest() == expected
    await stopping
    assert relay.count("relay_client_connections") == 0


async def test_what_is_not_finished_in_time_is_aborted(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    entered = asyncio.Event()
    left = asyncio.Event()

    async def take(request: Request) -> Forward:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return Forward()

    relay = await start_relay(take)
    forwarded, taken = await relay.connect(), await relay.connect()
    await forwarded.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await taken.send(b"GET /taken HTTP/1.1\r\nHost: x\r\n\r\n")
    await entered.wait()
    await relay.listener.stop(0.01)
    assert left.is_set()
    await node.wait_closed()
    await forwarded.wait_closed()
    await taken.wait_closed()


async def test_a_port_in_use_is_an_error(relay: RunningRelay, start_relay: StartRelay) -> None:
    other = await start_relay()
    await other.listener.stop(0)
    with pytest.raises(OSError, match="in use"):
        await other.listener.start("127.0.0.1", relay.port)
