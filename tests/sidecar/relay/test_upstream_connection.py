"""Answers that fail: before their head, in the middle, or because they are not HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from sidecar.relay.errors import UpstreamError
from sidecar.relay.heads import ResponseHead
from sidecar.relay.upstream_connection import UpstreamConnection
from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream, Wire

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST", b"DELETE"])
async def test_a_node_that_dies_before_its_answer_is_a_502_and_nothing_is_sent_twice(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay, method: bytes
) -> None:
    request = method + b" /i HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    node.reset()
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    body = await client.until(b"}")
    assert json.loads(body + await client.until(b"}"))["error"]["type"] == "upstream_broken"
    assert upstream.none_waits
    assert relay.count("relay_errors_total", reason="upstream_broken") == 1
    # The client's connection lives on.
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
@pytest.mark.parametrize("politely", [True, False])
async def test_a_truncated_answer_ends_truncated(
    client: Wire, upstream: ScriptedUpstream, start: bytes, politely: bool
) -> None:
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(start)
    await client.expect(start)
    if politely:
        node.close()
    else:
        node.reset()
    assert await client.rest() == b""


async def test_a_reset_of_an_answer_until_close_is_not_its_end(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
    await client.until(b"abc")
    node.reset()
    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * (1 << 20) + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_http_is_a_502(
    client: Wire, upstream: ScriptedUpstream, answer: bytes
) -> None:
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    node.writer.write(answer)
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    await node.wait_closed()


async def test_broken_chunks_of_an_answer_are_not_passed_on_as_whole(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    start = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"
    await node.send(start)
    await client.expect(start)
    await node.send(b"zz\r\n0\r\n\r\n")
    assert await client.rest() == b""


async def test_an_answer_to_a_half_sent_request_that_breaks_reaches_the_client(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\nabc")
    node = await upstream.accepted()
    await node.until(b"abc")
    node.close()
    answer = await client.head()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"Connection: close" in answer
    await client.send(b"x" * 1_000_000)
    assert b"upstream_broken" in await client.rest()


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n", OK])
async def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again(
    client: Wire, upstream: ScriptedUpstream, surplus: bytes
) -> None:
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK + surplus)
    await client.expect(OK)
    await node.wait_closed()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)
    await node.send(surplus)
    await node.wait_closed()


class SlowClient:
    """What takes an answer; the last piece fills its client's buffer, as writing it may."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.ended = asyncio.Event()

    def answer_interim(self, raw: bytes) -> None:
        raise AssertionError

    def answer_started(self, head: ResponseHead, received: bytes, ended: bool) -> None:
        self.answer_continued(received, ended)

    def answer_continued(self, body: bytes, ended: bool) -> None:
        if ended:
            self._connection.pause_answer(self)
            self.ended.set()

    def answer_failed(self, error: UpstreamError) -> None:
        raise AssertionError

    def pause_request(self) -> None:
        pass

    def resume_request(self) -> None:
        pass


@pytest.mark.parametrize("pieces", [[OK], [OK[:-1], OK[-1:]]], ids=["one", "two"])
async def test_a_connection_serves_others_while_a_slow_client_has_yet_to_take_its_last_piece(
    upstream: ScriptedUpstream, relay: RunningRelay, pieces: list[bytes]
) -> None:
    connection = await relay.pool.connect()
    node = await upstream.accepted()
    for _ in range(3):
        client = SlowClient(connection)
        connection.begin(client, GET, complete=True)
        await node.expect(GET)
        for piece in pieces:
            await node.send(piece)
        async with asyncio.timeout(20):
            await client.ended.wait()
    connection.close()
