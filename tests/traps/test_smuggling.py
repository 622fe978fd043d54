"""Requests that two servers could read differently: each is refused, and nothing of it goes on.

A proxy that lets one pass lends its upstream connection to a second, hidden request, which may
well end in somebody else's answer.
"""

from __future__ import annotations

import json

import pytest

from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream, Wire

HIDDEN = b"DELETE /secret HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /_bulk HTTP/1.1\r\nHost: x\r\n"

HEADS = {
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n",
    "two equal lengths": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 38\r\n\r\n",
    "a signed length": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n",
    "a length with an underscore": POST + b"Content-Length: 3_8\r\n\r\n",
    "a length without digits": POST + b"Content-Length: \r\n\r\n",
    "a length beyond 64 bits": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "a blank before the colon": POST + b"Content-Length : 0\r\n\r\n",
    "a blank before the name": POST + b" Content-Length: 0\r\n\r\n",
    "a folded field": POST + b"A: b\r\n Transfer-Encoding: chunked\r\n\r\n",
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a vertical tab in chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": (
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a bare LF ends a line": POST + b"A: b\nTransfer-Encoding: chunked\r\n\r\n",
    "a bare CR in a value": POST + b"A: b\rContent-Length: 38\r\n\r\n",
    "a NUL in a value": POST + b"A: b\x00c\r\n\r\n",
    "bare LFs alone": b"GET / HTTP/1.1\nHost: x\n\n",
    "a line without a colon": POST + b"Content-Length\r\n\r\n",
    "an empty name": POST + b": 38\r\n\r\n",
    "a name that is no token": POST + b"Content(Length): 38\r\n\r\n",
    "blanks in the target": b"GET / HTTP/1.1 /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab in the request line": b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\nHost: x\r\n\r\n",
    "another version": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT x:9200 HTTP/1.1\r\nHost: x\r\n\r\n",
}

BODIES = {
    "no size": b"\r\n\r\n",
    "a signed size": b"+0\r\n\r\n",
    "a size with 0x": b"0x0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000000\r\n",
    "a size with a blank in front": b" 0\r\n\r\n",
    "a size line that ends in LF": b"0\n\r\n",
    "a CR in the extension": b"0;a\rb\r\n\r\n",
    "a chunk that is longer than it says": b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that ends in LF": b"3\r\nabc\n0\r\n\r\n",
    "a trailer that is no field": b"0\r\nDELETE /secret HTTP/1.1\r\n\r\n",
    "a trailer that ends in LF": b"0\r\nA: b\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_head_is_refused_and_nothing_goes_on(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay, name: str
) -> None:
    await client.send(HEADS[name] + HIDDEN)
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    assert status in (400, 501, 505)
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["status"] == status
    assert upstream.none_waits
    assert relay.count("relay_errors_total", reason="bad_request") == 1


@pytest.mark.parametrize("name", BODIES)
async def test_a_broken_chunk_ends_the_request_and_its_upstream_connection(
    client: Wire, upstream: ScriptedUpstream, relay: RunningRelay, name: str
) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    await client.send(head)
    node = await upstream.accepted()
    await node.expect(head)
    await client.send(BODIES[name] + HIDDEN)
    seen = await node.rest()
    assert b"secret" not in seen
    assert not seen.endswith(b"0\r\n\r\n")
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    assert upstream.none_waits


async def test_what_stands_behind_a_body_is_a_request_of_its_own(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    first = POST + b"Content-Length: 3\r\n\r\nabc"
    await client.send(first + HIDDEN)
    node = await upstream.accepted()
    await node.expect(first)
    await node.send(OK)
    await client.expect(OK)
    await node.expect(HIDDEN)


async def test_an_answer_nobody_asked_for_is_never_given_to_the_next_request(
    client: Wire, upstream: ScriptedUpstream
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret")
    await client.expect(OK)
    await node.wait_closed()
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)
    await node.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("status", [400, 413, 417])
async def test_a_connection_that_may_be_out_of_step_is_not_used_again(
    client: Wire, upstream: ScriptedUpstream, status: int
) -> None:
    # What a real OpenSearch does with it then: test_wire.py.
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % status
    for _ in range(2):
        await client.send(request)
        node = await upstream.accepted()
        await node.expect(request)
        await node.send(answer)
        await client.expect(answer)
        await node.wait_closed()
