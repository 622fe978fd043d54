"""A client's connection: order, bad requests, half-closes, and clients that go away."""

from __future__ import annotations

import json
from typing import cast

import pytest

from sidecar.relay.client_connection import READ_AHEAD, ClientConnection
from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream, Wire

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_pipelined_requests_are_answered_in_order(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    post = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    await client.send(GET % 1 + post + b"\r\n" + GET % 2)
    node = await upstream.accepted()
    for request, letter in ((GET % 1, b"1"), (post, b"p"), (GET % 2, b"2")):
        await node.expect(request)
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + letter
        await node.send(answer)
        await client.expect(answer)
    assert upstream.none_waits


async def test_an_empty_line_before_a_request_is_ignored(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"\r")
    await client.send(b"\n" + GET % 1)
    node = await upstream.accepted()
    await node.expect(GET % 1)


async def test_reading_ahead_of_the_answers_is_bounded(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 1000 + b"\r\n\r\n"
    amount = 2000
    client.writer.write(request * amount)
    node = await upstream.accepted()
    await node.expect(request)
    (open_connection,) = relay.listener._shared.connections
    connection = cast(ClientConnection, open_connection)
    await node.send(OK)
    for _ in range(amount - 1):
        await node.expect(request)
        assert len(connection._buffer) < READ_AHEAD + 262_144  # one read of either loop
        await node.send(OK)
    await client.expect(OK * amount)


async def test_a_request_in_pieces(client: Wire, upstream: ScriptedUpstream) -> None:
    request = (
        b"PUT /i HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    )
    for offset in range(len(request)):
        await client.send(request[offset : offset + 1])
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * (1 << 20) + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x00\xa5\x01", 400),
    ],
)
async def test_a_bad_request_is_answered_and_closed(
    client: Wire, upstream: ScriptedUpstream, request_bytes: bytes, status: int
) -> None:
    await client.send(request_bytes)
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close" in head
    error = json.loads(body)
    assert (error["status"], error["error"]["type"]) == (status, "bad_request")
    assert upstream.none_waits


async def test_a_broken_chunk_never_completes_the_request_upstream(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    head = b"POST /_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send(head + b"3\r\nabc\r\n")
    node = await upstream.accepted()
    await node.expect(head + b"3\r\nabc\r\n")
    await client.send(b"zzz\r\n0\r\n\r\n")
    await node.wait_closed()
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    assert relay.count("relay_errors_total", reason="bad_request") == 1


async def test_a_client_that_goes_closes_its_upstream_connection(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    await client.send(GET % 1)
    node = await upstream.accepted()
    await node.expect(GET % 1)
    client.close()
    await node.wait_closed()
    assert relay.count("relay_errors_total", reason="client_gone") == 1


async def test_a_client_that_resets_closes_its_upstream_connection(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(GET % 1)
    node = await upstream.accepted()
    await node.expect(GET % 1)
    client.reset()
    await node.wait_closed()


async def test_an_upload_that_is_cut_short_is_cut_short_upstream(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    node = await upstream.accepted()
    await node.until(b"abc")
    client.close()
    await node.wait_closed()


async def test_a_client_that_goes_during_the_answer_closes_its_upstream_connection(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(GET % 1)
    node = await upstream.accepted()
    await node.expect(GET % 1)
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    await node.send(start)
    await client.expect(start)
    client.reset()
    await node.wait_closed()


async def test_a_half_closed_client_still_gets_its_answer(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(GET % 1)
    client.writer.write_eof()
    node = await upstream.accepted()
    await node.expect(GET % 1)
    await node.send(OK)
    assert await client.rest() == OK


async def test_a_half_closed_client_gets_an_answer_that_has_begun_to_its_end(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    await client.send(GET % 1)
    node = await upstream.accepted()
    await node.expect(GET % 1)
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
    await client.until(b"ab")
    client.writer.write_eof()
    (open_connection,) = relay.listener._shared.connections
    connection = cast(ClientConnection, open_connection)
    connection._end_grace()
    await node.send(b"cd")
    assert await client.rest() == b"cd"


async def test_connections_are_counted(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    await client.send(GET % 1)
    node = await upstream.accepted()
    await node.expect(GET % 1)
    assert relay.count("relay_client_connections") == 1
    assert relay.count("relay_upstream_connections", state="busy") == 1
    await node.send(OK)
    await client.expect(OK)
    assert relay.count("relay_upstream_connections", state="busy") == 0
    assert relay.count("relay_upstream_connections", state="idle") == 1
    assert relay.count("relay_requests_total", status="2xx") == 1
