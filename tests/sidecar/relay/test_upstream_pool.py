"""The pool: reuse, several nodes, nodes that are down, and whole exchanges."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest

from sidecar.relay.errors import ResponseTooLarge, UpstreamBroken, UpstreamUnavailable
from sidecar.relay.upstream_node import IDLE_LIMIT
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream, Wire

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def dead_url() -> Iterator[str]:
    """Where nobody listens. The port stays taken, or the relay itself might be given it."""
    with socket.socket() as sock:
        # So that a node can listen there after all.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


async def ask(client: Wire, node: Wire) -> None:
    """One request over a node's connection that is open already."""
    await client.send(GET)
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)


async def test_the_connection_used_last_is_used_next(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    clients = [await relay.connect() for _ in range(2)]
    nodes = []
    for client in clients:
        await client.send(GET)
        nodes.append(await upstream.accepted())
    for client, node in zip(clients, nodes, strict=True):
        await node.expect(GET)
        await node.send(OK)
        await client.expect(OK)
    assert relay.count("relay_upstream_connections", state="idle") == 2
    for _ in range(3):
        await ask(clients[0], nodes[1])
    assert upstream.none_waits


async def test_an_idle_connection_that_was_closed_is_not_used(
    relay: RunningRelay, client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)
    node.close()
    await node.wait_closed()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)


async def test_requests_go_round_the_nodes(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    second = ScriptedUpstream()
    await second.start()
    relay = await start_relay(urls=[upstream.url, second.url])
    client = await relay.connect()
    nodes = []
    for server in (upstream, second):
        await client.send(GET)
        nodes.append(await server.accepted())
        await nodes[-1].expect(GET)
        await nodes[-1].send(OK)
        await client.expect(OK)
    for node in (*nodes, *nodes):
        await ask(client, node)
    second.stop()


async def test_a_dead_node_is_left_out_and_tried_again(
    start_relay: StartRelay, upstream: ScriptedUpstream, dead_url: str
) -> None:
    relay = await start_relay(urls=[dead_url, upstream.url])
    client = await relay.connect()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)
    assert relay.count("relay_upstream_up", url=dead_url) == 0
    assert relay.count("relay_upstream_up", url=upstream.url) == 1
    for _ in range(3):
        await ask(client, node)

    back = ScriptedUpstream()
    await back.start(int(dead_url.rpartition(":")[2]))
    dead_node = relay.pool._nodes[0]
    assert dead_node._pause_s == 1
    dead_node._out_until = 0  # its pause is over
    relay.pool._turn = 0
    await client.send(GET)
    node = await back.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)
    assert relay.count("relay_upstream_up", url=dead_url) == 1
    back.stop()


async def test_the_pause_of_a_dead_node_doubles_up_to_a_limit(
    start_relay: StartRelay, dead_url: str
) -> None:
    relay = await start_relay(urls=[dead_url])
    pauses = []
    for _ in range(7):
        with pytest.raises(UpstreamUnavailable):
            await relay.pool.connect()
        pauses.append(relay.pool._nodes[0]._pause_s)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


async def test_one_request_tries_a_dead_node_while_the_others_go_on(
    start_relay: StartRelay, upstream: ScriptedUpstream, dead_url: str
) -> None:
    relay = await start_relay(urls=[dead_url, upstream.url])
    dead, alive = relay.pool._nodes
    with pytest.raises(OSError, match=r"\d"):
        await dead.connect()
    dead._out_until = 0  # its pause is over
    loop = asyncio.get_running_loop()
    assert relay.pool._in_turn() == [dead, alive]
    trying = loop.create_task(dead.connect())
    begun = asyncio.Event()
    loop.call_soon(begun.set)
    await begun.wait()
    assert relay.pool._in_turn() == [alive]
    await asyncio.wait([trying])
    assert isinstance(trying.exception(), OSError)


async def test_a_node_that_refuses_connections_loses_its_idle_ones(
    start_relay: StartRelay,
) -> None:
    first, second = ScriptedUpstream(), ScriptedUpstream()
    await first.start()
    await second.start()
    relay = await start_relay(urls=[first.url, second.url])
    clients = [await relay.connect() for _ in range(3)]
    await clients[0].send(GET)
    idle = await first.accepted()
    await idle.expect(GET)
    await idle.send(OK)
    await clients[0].expect(OK)
    first.refuse()
    with pytest.raises(OSError, match=r"\d"):
        await relay.pool._nodes[0].connect()
    await idle.wait_closed()
    await clients[1].send(GET)
    assert (await second.accepted()) is not None
    for server in (first, second):
        server.stop()


async def test_no_node_at_all_is_a_502_and_the_client_may_go_on(
    start_relay: StartRelay, dead_url: str
) -> None:
    relay = await start_relay(urls=[dead_url, dead_url])
    client = await relay.connect()
    for _ in range(2):
        await client.send(GET)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        body = await client.until(b"502}")
        assert json.loads(body)["error"]["type"] == "upstream_unavailable"
    assert relay.count("relay_errors_total", reason="upstream_unavailable") == 2


async def test_a_client_that_goes_while_connecting_leaves_nothing_behind(
    start_relay: StartRelay,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        port = silent.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        relay = await start_relay(urls=[f"http://127.0.0.1:{port}"])
        client = await relay.connect()
        await client.send(GET)
        await asyncio.wait_for(relay.front.asked.wait(), 10)
        (task,) = relay.listener._shared.tasks
        client.reset()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()
        for filler in fillers:
            filler.close()


async def test_an_exchange_returns_the_whole_answer_without_chunks(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    loop = asyncio.get_running_loop()
    asking = loop.create_task(relay.pool.exchange(GET, limit=100))
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n"
    )
    await node.send(b"1\r\nc\r\n0\r\n\r\n")
    response = await asking
    assert (response.head.status, response.body) == (200, b"abc")

    head = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
    asking = loop.create_task(relay.pool.exchange(head, limit=1))
    await node.expect(head)
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    assert (await asking).body == b""

    post = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
    asking = loop.create_task(relay.pool.exchange(post, b"{}", limit=100))
    await node.expect(post + b"{}")
    await node.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
    node.close()
    assert (await asking).body == b"abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"x" * 101,
    ],
)
async def test_an_exchange_holds_no_more_than_its_limit(
    relay: RunningRelay, upstream: ScriptedUpstream, answer: bytes
) -> None:
    asking = asyncio.get_running_loop().create_task(relay.pool.exchange(GET, limit=100))
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(answer)
    with pytest.raises(ResponseTooLarge):
        await asking


async def test_an_exchange_that_breaks_says_so(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    asking = asyncio.get_running_loop().create_task(relay.pool.exchange(GET, limit=100))
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
    node.close()
    with pytest.raises(UpstreamBroken):
        await asking


async def test_a_cancelled_exchange_closes_its_connection(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    asking = asyncio.get_running_loop().create_task(relay.pool.exchange(GET, limit=100))
    node = await upstream.accepted()
    await node.expect(GET)
    asking.cancel()
    await node.wait_closed()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_idle_connections_are_kept_up_to_a_limit(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    amount = IDLE_LIMIT + 2
    clients = [await relay.connect() for _ in range(amount)]
    for client in clients:
        await client.send(GET)
    nodes = [await upstream.accepted() for _ in range(amount)]
    # A connection is accepted before the relay knows that it is made; with the request it knows.
    for node in nodes:
        await node.expect(GET)
    assert relay.count("relay_upstream_connections", state="busy") == amount
    for node in nodes:
        await node.send(OK)
    for client in clients:
        await client.expect(OK)
    assert relay.count("relay_upstream_connections", state="idle") == IDLE_LIMIT
