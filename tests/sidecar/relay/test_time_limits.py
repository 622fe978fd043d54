"""Time-outs: a silent node, unused connections on both sides. None of them is met by chance."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import pytest

from sidecar.relay.client_limits import ClientLimits
from sidecar.relay.errors import UpstreamTimeout
from sidecar.relay.silence_timer import SilenceTimer
from sidecar.relay.upstream_connection import TimeLimits
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, ScriptedUpstream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT_S = 0.05


async def test_silence_is_counted_from_the_last_restart() -> None:
    loop = asyncio.get_running_loop()
    passed = asyncio.Event()
    timer = SilenceTimer(SHORT_S, passed.set)
    timer.restart()
    half = asyncio.Event()
    loop.call_later(SHORT_S / 2, half.set)
    await half.wait()
    timer.restart()
    restarted = loop.time()
    await asyncio.wait_for(passed.wait(), 10)
    assert loop.time() - restarted >= SHORT_S * 0.9


async def test_a_stopped_timer_says_nothing_and_restarts() -> None:
    loop = asyncio.get_running_loop()
    passed: list[str] = []
    stopped = SilenceTimer(SHORT_S, lambda: passed.append("stopped"))
    closed = SilenceTimer(SHORT_S, lambda: passed.append("closed"))
    for timer in (stopped, closed):
        timer.restart()
    stopped.stop()
    closed.close()
    later = asyncio.Event()
    loop.call_later(SHORT_S * 2, later.set)
    await later.wait()
    assert passed == []
    again = asyncio.Event()
    timer = SilenceTimer(SHORT_S, again.set)
    timer.restart()
    timer.stop()
    timer.restart()
    await asyncio.wait_for(again.wait(), 10)


async def test_a_closed_timer_lets_go_of_its_owner() -> None:
    class Owner:
        def __init__(self) -> None:
            self.timer = SilenceTimer(SHORT_S, self.passed)

        def passed(self) -> None:
            raise AssertionError("it is closed")

    owner = Owner()
    kept = weakref.ref(owner)
    owner.timer.restart()
    owner.timer.close()
    gc.disable()
    try:
        del owner
        assert kept() is None
    finally:
        gc.enable()


async def test_a_silent_node_is_a_504_and_the_client_may_go_on(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(limits=TimeLimits(read=SHORT_S))
    client = await relay.connect()
    for _ in range(2):
        await client.send(GET)
        node = await upstream.accepted()
        await node.expect(GET)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 504 Gateway Timeout\r\ncontent-type: application/json")
        answer = json.loads(await client.until(b"504}"))
        assert answer["error"]["type"] == "upstream_timeout"
        assert "0.05 seconds" in answer["error"]["reason"]
        await node.wait_closed()
    assert relay.count("relay_errors_total", reason="upstream_timeout") == 2
    assert relay.count("relay_requests_total", status="5xx") == 2
    # A slow search is no dead node.
    assert relay.count("relay_upstream_up", url=upstream.url) == 1


async def test_silence_within_an_answer_cuts_it(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(limits=TimeLimits(read=SHORT_S))
    client = await relay.connect()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    await node.send(begun)
    assert await client.rest() == begun
    await node.wait_closed()


async def test_an_exchange_with_a_silent_node_says_so(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(limits=TimeLimits(read=SHORT_S))
    with pytest.raises(UpstreamTimeout):
        await relay.pool.exchange(GET, limit=100)


async def test_time_that_the_client_takes_is_not_the_nodes(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    limit_s = 0.4  # short enough to pass meanwhile, and long enough for the answers below
    relay = await start_relay(limits=TimeLimits(read=limit_s))
    loop = asyncio.get_running_loop()
    slow, reader = await relay.connect(), await relay.connect()
    head = b"PUT /i HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    await slow.send(head + b"ab")
    uploading = await upstream.accepted()
    await uploading.expect(head + b"ab")

    reader.read_nothing()
    await reader.send(GET)
    downloading = await upstream.accepted()
    await downloading.expect(GET)
    body = b"x" * 20_000_000
    sending = loop.create_task(
        downloading.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n" + body)
    )
    later = asyncio.Event()
    loop.call_later(limit_s * 1.5, later.set)
    await later.wait()

    await slow.send(b"cd")
    await uploading.expect(b"cd")
    await uploading.send(OK)
    await slow.expect(OK)
    reader.read_on()
    await reader.head()
    await reader.expect(body)
    await sending
    assert relay.count("relay_errors_total", reason="upstream_timeout") == 0


async def test_unused_connections_to_a_node_are_closed(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(limits=TimeLimits(idle=SHORT_S))
    client = await relay.connect()
    for _ in range(2):
        await client.send(GET)
        node = await upstream.accepted()
        await node.expect(GET)
        await node.send(OK)
        await client.expect(OK)
        assert await node.rest() == b""
    assert relay.count("relay_upstream_connections", state="idle") == 0


async def test_a_connection_in_use_is_not_unused(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(limits=TimeLimits(idle=SHORT_S), clients=ClientLimits(idle=SHORT_S))
    client = await relay.connect()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(SHORT_S * 4, later.set)
    await later.wait()
    await node.send(OK)
    await client.expect(OK)


async def test_unused_connections_of_applications_are_closed(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=ClientLimits(idle=SHORT_S))
    silent, half, client = [await relay.connect() for _ in range(3)]
    await half.send(GET[:-2])
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)
    for wire in (silent, half, client):
        await wire.wait_closed()
