"""Requests that pass through: the exact bytes that arrive on either side."""

from __future__ import annotations

import asyncio
import gzip
import resource

import pytest

from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream, Wire

TARGETS = [
    b"/a%2Cb/_search",
    b"/%3Clogs-%7Bnow%2Fd%7D%3E/_doc/1%2F2",
    b"//i",
    b"/i/../j",
    b"/i/%%",
    b"/_search?q=a;size=100&q=b+c#f",
    "/_search?q=é".encode(),
    b"/_search?q=\xff",
    b"http://other.example:9200/_cat/indices",
    b"*",
    b"/" + b"x" * 9000,
]


@pytest.mark.parametrize("target", TARGETS)
async def test_targets_go_through_untouched(
    client: Wire, upstream: ScriptedUpstream, target: bytes
) -> None:
    request = b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"FOO-bar"])
async def test_any_method(client: Wire, upstream: ScriptedUpstream, method: bytes) -> None:
    request = method + b" /i/_doc/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(OK)
    await client.expect(OK)


async def test_header_lines_keep_their_bytes_order_case_and_duplicates(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    request = (
        b"GET / HTTP/1.1\r\nhOsT:x\r\nX-Opaque-Id:  a \t\r\nAccept: a\r\naccept: b\r\n"
        b"Cookie: \xe9\xff\r\nX-Empty:\r\nX-Long: " + b"l" * 9216 + b"\r\n\r\n"
    )
    answer = (
        b'HTTP/1.1 200 \xc3\xa9t\xe9\r\nWarning: 299 OpenSearch-3.8.0-abc "one"\r\n'
        b'Warning: 299 OpenSearch-3.8.0-abc "two"\r\nX-OpenSearch-Version:   3\r\n'
        b"Set-Cookie: a\r\nset-cookie: b\r\ncontent-length: 0\r\n\r\n"
    )
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(answer)
    await client.expect(answer)


async def test_fields_for_one_connection_are_dropped_both_ways(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nA: 1\r\n"
        b"Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic abc\r\n"
        b"Proxy-Connection: keep-alive\r\nX-Rescore: off\r\nx-rescore-plan: p\r\nB: 2\r\n\r\n"
    )
    node = await upstream.accepted()
    await node.expect(b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\n")
    await node.send(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nX-Rescore: from-upstream\r\nContent-Length: 0\r\n\r\n"
    )
    await client.expect(b"HTTP/1.1 200 OK\r\nX-Rescore: from-upstream\r\nContent-Length: 0\r\n\r\n")


async def test_connection_cannot_drop_what_the_message_needs(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: content-length, host, authorization\r\n"
        b"Authorization: Basic abc\r\nContent-Length: 3\r\n\r\nabc"
    )
    node = await upstream.accepted()
    await node.expect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")


async def test_the_upgrade_that_java_offers_becomes_an_ordinary_request(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(
        b"POST /i/_search HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 2\r\n"
        b"Host: x\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n\r\n{}"
    )
    node = await upstream.accepted()
    await node.expect(b"POST /i/_search HTTP/1.1\r\nContent-Length: 2\r\nHost: x\r\n\r\n{}")
    await node.send(OK)
    await client.expect(OK)


async def test_a_switch_of_protocols_is_a_bad_gateway(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    node = await upstream.accepted()
    await node.head()
    await node.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 502 ")
    await node.wait_closed()


async def test_chunks_extensions_and_trailers_go_through_both_ways(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    body = b"3;name=value\r\nabc\r\n0010\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\nB:\r\n\r\n"
    request = (
        b"POST /_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + body
    )
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n" + body
    for _ in range(2):
        await client.send(request)
    node = await upstream.accepted()
    for _ in range(2):
        await node.expect(request)
        await node.send(answer)
        await client.expect(answer)


async def test_a_gzip_body_is_not_touched(client: Wire, upstream: ScriptedUpstream) -> None:
    body = gzip.compress(b'{"query":{"match_all":{}}}')
    head = (
        b"POST /_search HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    )
    request = head % len(body) + body
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(answer + body)
    await client.expect(answer + body)


async def test_expect_is_forwarded_and_the_interim_answer_relayed(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    head = b"PUT /i HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    await client.send(head)
    node = await upstream.accepted()
    await node.expect(head)
    await node.send(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n")
    await client.expect(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n")
    await client.send(b"abc")
    await node.expect(b"abc")
    await node.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    await client.expect(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 300\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 300\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_keep_both_connections(
    client: Wire, upstream: ScriptedUpstream, method: bytes, answer: bytes
) -> None:
    request = method + b" /i HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(request)
    node = await upstream.accepted()
    for _ in range(2):
        await node.expect(request)
        await node.send(answer)
        await client.expect(answer)
        await client.send(request)


async def test_an_answer_until_close_ends_the_client_connection(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    node = await upstream.accepted()
    await node.head()
    await node.send(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nsome")
    await client.expect(b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nsome")
    await node.send(b" more")
    node.close()
    assert await client.rest() == b" more"


async def test_an_answer_in_pieces(client: Wire, upstream: ScriptedUpstream) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    node = await upstream.accepted()
    await node.head()
    for offset in range(len(OK)):
        await node.send(OK[offset : offset + 1])
        await asyncio.sleep(0)  # so that most pieces travel alone; the test holds either way
    await client.expect(OK)


async def test_http_1_0_closes_unless_asked_to_keep(
    relay: RunningRelay, upstream: ScriptedUpstream
) -> None:
    client = await relay.connect()
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    node = await upstream.accepted()
    await node.expect(b"GET / HTTP/1.0\r\n\r\n")
    await node.send(OK)
    await client.expect(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: keep-alive\r\n\r\nok")
    await node.wait_closed()
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    node = await upstream.accepted()
    await node.expect(b"GET / HTTP/1.0\r\n\r\n")
    await node.send(OK)
    expected = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nok"
    assert await client.rest() == expected


async def test_a_client_that_asks_to_close_is_closed(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    node = await upstream.accepted()
    await node.expect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await node.send(OK)
    expected = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nok"
    assert await client.rest() == expected


async def test_an_upstream_that_closes_does_not_close_the_client(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    for _ in range(2):
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        node = await upstream.accepted()
        await node.head()
        await node.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\nok")
        await client.expect(OK)
        await node.wait_closed()


async def test_an_early_refusal_reaches_a_client_that_still_sends(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    await client.send(b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\nabc")
    node = await upstream.accepted()
    await node.until(b"abc")
    await node.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
    await node.wait_closed()
    for _ in range(20):
        await client.send(b"x" * 1_000_000)
    answer = await client.rest()
    expected = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nConnection: close\r\n\r\nno"
    assert answer == expected


async def test_both_directions_may_stream_at_once(client: Wire, upstream: ScriptedUpstream) -> None:
    head = b"POST /_bulk/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send(head)
    node = await upstream.accepted()
    await node.expect(head)
    started = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    await node.send(started)
    await client.expect(started)
    for chunk in (b"1\r\na\r\n", b"2\r\nbc\r\n"):
        await client.send(chunk)
        await node.expect(chunk)
        await node.send(chunk)
        await client.expect(chunk)
    await client.send(b"0\r\n\r\n")
    await node.expect(b"0\r\n\r\n")
    await node.send(b"0\r\n\r\n")
    await client.expect(b"0\r\n\r\n")
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await node.expect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_100_mb_body_streams_both_ways_in_little_memory(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    size, piece = 100_000_000, b"0123456789abcdef" * 6250
    head = b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def send(wire: Wire, first: bytes) -> None:
        await wire.send(first)
        for _ in range(size // len(piece)):
            await wire.send(piece)

    async def receive(wire: Wire, first: bytes) -> None:
        await wire.expect(first)
        for _ in range(size // len(piece)):
            assert await wire.exactly(len(piece)) == piece

    async def one_way(sender: Wire, receiver: Wire, first: bytes) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(send(sender, first))
            group.create_task(receive(receiver, first))

    await client.send(head[:1])
    sending = asyncio.get_running_loop().create_task(send(client, head[1:]))
    node = await upstream.accepted()
    await receive(node, head)
    await sending
    await one_way(node, client, answer)
    growth_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert growth_mib < 40


async def test_an_upload_waits_for_a_slow_node(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    await client.send(b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
    node = await upstream.accepted()
    await node.head()
    node.read_nothing()
    assert await _sent_until_stuck(client) < 30_000_000


async def test_a_download_waits_for_a_slow_client(client: Wire, upstream: ScriptedUpstream) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    node = await upstream.accepted()
    await node.head()
    client.read_nothing()
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
    assert await _sent_until_stuck(node) < 30_000_000


async def _sent_until_stuck(wire: Wire) -> int:
    """Bytes that go in before nothing moves for half a second."""
    sent = 0
    while sent < 60_000_000:
        wire.writer.write(b"x" * 100_000)
        sent += 100_000
        try:
            async with asyncio.timeout(0.5):
                await wire.writer.drain()
        except TimeoutError:
            break
    return sent


async def test_the_front_hears_of_each_forwarded_answer(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay
) -> None:
    node = None
    for target, status in ((b"/a", b"200 OK"), (b"/b", b"403 Forbidden"), (b"/c", b"500 Error")):
        await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        node = node or await upstream.accepted()
        await node.expect(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"
        await node.send(answer)
        await client.expect(answer)
    assert relay.front.answers == [(b"/a", 200), (b"/b", 403), (b"/c", 500)]
