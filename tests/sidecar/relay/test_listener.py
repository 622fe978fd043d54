"""Starting and draining."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecar.relay.acceptor import Acceptor, serve_accepted
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


async def test_small_writes_do_not_wait_for_acknowledgements() -> None:
    # Nagle's algorithm would hold the second of two small answers back for 40 ms.
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[asyncio.BaseTransport] = loop.create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connected.set_result(transport)

    serving: list[asyncio.Task[bool]] = []

    def accepted(connection: socket.socket, address: str) -> None:
        serving.append(loop.create_task(serve_accepted(connection, Protocol(), None, 10)))

    acceptor = Acceptor(accepted, lambda: None)
    address = (await acceptor.open("127.0.0.1", 0)).getsockname()
    _, writer = await asyncio.open_connection(*address)
    transport = await connected
    server_side = transport.get_extra_info("socket")
    try:
        assert server_side.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        acceptor.close()
        transport.close()
        writer.close()
        await serving[0]
