"""Requests that the front takes: whole in its hands, and never lost."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sidecar.relay.client_limits import ClientLimits
from sidecar.relay.front import Answer, Forward, Request
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, ScriptedUpstream

CHUNKED_SEARCH = (
    b"POST /taken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;a=b\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n"
)
MARK = b"X-Rescore: skipped; reason=sort"
MARKED_OK = OK.replace(b"\r\n\r\n", b"\r\n" + MARK + b"\r\n\r\n")


async def forward(request: Request) -> Forward:
    return Forward(add=(MARK,))


async def test_a_take_reads_the_whole_body_and_answers(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    async def take(request: Request) -> Answer:
        assert request.head.target == b"/taken"
        body = b"<" + request.body + b">"
        return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    client = await (await start_relay(take)).connect()
    for _ in range(2):
        await client.send(CHUNKED_SEARCH)
        await client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<{}>")
    await client.send(b"GET /taken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    expected = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n<>"
    assert await client.rest() == expected
    assert upstream.none_waits


async def test_a_forwarded_search_goes_as_it_came_and_its_answer_says_why(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    client = await (await start_relay(forward)).connect()
    await client.send(CHUNKED_SEARCH)
    node = await upstream.accepted()
    await node.expect(CHUNKED_SEARCH)
    await node.send(OK)
    await client.expect(MARKED_OK)


@pytest.mark.parametrize("error", [ValueError("boom"), asyncio.CancelledError()])
async def test_a_search_is_never_lost(
    start_relay: StartRelay,
    upstream: ScriptedUpstream,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    async def take(request: Request) -> Forward:
        raise error

    relay = await start_relay(take)
    client = await relay.connect()
    await client.send(CHUNKED_SEARCH)
    node = await upstream.accepted()
    await node.expect(CHUNKED_SEARCH)
    await node.send(OK)
    await client.expect(OK)
    assert relay.count("relay_errors_total", reason="front") == 1
    (record,) = [record for record in caplog.records if record.name == "sidecar.relay"]
    assert record.levelno == logging.ERROR
    assert record.exc_info


async def test_the_continue_that_a_client_waits_for_is_answered_here(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    client = await (await start_relay(forward)).connect()
    await client.send(
        b"POST /taken HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    )
    await client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert upstream.none_waits
    await client.send(b"{}")
    node = await upstream.accepted()
    await node.expect(b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    await node.send(OK)
    await client.expect(MARKED_OK)


async def test_a_body_too_large_to_hold_is_forwarded_without_waiting_for_it(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    client = await (await start_relay(forward, clients=ClientLimits(body_bytes=10))).connect()
    too_large = OK.replace(
        b"\r\n\r\n", b"\r\nX-Rescore: skipped; reason=limits.search_bytes\r\n\r\n"
    )

    head = b"POST /taken HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"
    await client.send(head)
    node = await upstream.accepted()
    await node.expect(head)
    await client.send(b"12345678901")
    await node.expect(b"12345678901")
    await node.send(OK)
    await client.expect(too_large)

    head = b"POST /taken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send(head + b"5\r\nabcde\r\n")
    await client.send(b"6\r\nabcdef\r\n")
    await node.expect(head + b"5\r\nabcde\r\n6\r\nabcdef\r\n")
    await client.send(b"0\r\n\r\n")
    await node.expect(b"0\r\n\r\n")
    await node.send(OK)
    await client.expect(too_large)


async def test_a_client_that_goes_cancels_the_take_and_its_exchange(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    cancelled = asyncio.Event()

    async def take(request: Request) -> Answer:
        written = request.head.write_with_body(request.body)
        try:
            response = await relay.pool.exchange(*written, limit=1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Answer(response.head.write_client(), response.body)

    relay = await start_relay(take)
    client = await relay.connect()
    await client.send(CHUNKED_SEARCH)
    node = await upstream.accepted()
    await node.expect(b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    client.close()
    await asyncio.wait_for(cancelled.wait(), 10)
    await node.wait_closed()
    assert relay.count("relay_errors_total", reason="client_gone") == 1
    assert relay.count("relay_errors_total", reason="front") == 0


async def test_pipelined_behind_a_taken_request(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    async def take(request: Request) -> Answer:
        return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", b"1")

    client = await (await start_relay(take)).connect()
    plain = b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(CHUNKED_SEARCH + plain)
    await client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
    node = await upstream.accepted()
    await node.expect(plain)


async def test_a_head_request_and_an_old_client(start_relay: StartRelay) -> None:
    async def take(request: Request) -> Answer:
        return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", b"1")

    client = await (await start_relay(take)).connect()
    await client.send(b"HEAD /taken HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    kept = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"
    await client.expect(kept)
    await client.send(b"GET /taken HTTP/1.0\r\n\r\n")
    expected = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1"
    assert await client.rest() == expected


async def test_a_front_hears_once_how_each_forwarded_search_ended(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def take(request: Request) -> Forward:
        return Forward(ended=lambda status, error: heard.put_nowait((status, error)))

    relay = await start_relay(take)
    client = await relay.connect()
    await client.send(CHUNKED_SEARCH)
    node = await upstream.accepted()
    await node.expect(CHUNKED_SEARCH)
    await node.send(OK)
    await client.expect(OK)
    assert await heard.get() == (200, "")
    # The node closes instead of an answer.
    await client.send(CHUNKED_SEARCH)
    await node.expect(CHUNKED_SEARCH)
    node.close()
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    assert await heard.get() == (502, "upstream_broken")
    # The client leaves in the middle of the answer.
    client = await relay.connect()
    await client.send(CHUNKED_SEARCH)
    node = await upstream.accepted()
    await node.expect(CHUNKED_SEARCH)
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1")
    await client.until(b"\r\n\r\n1")
    client.reset()
    assert await heard.get() == (200, "client_gone")
    assert heard.empty()
