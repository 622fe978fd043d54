"""X-Forwarded-For where it is asked for; and signed requests, which pass as they are."""

from __future__ import annotations

import pytest

from sidecar.relay.front import Answer, Forward, Request
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, ScriptedUpstream

AUTHORIZATION = (
    b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260801/eu-west-1/es/aws4_request, "
    b"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-forwarded-for, "
    b"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
)
SIGNED = (
    b"POST /i/_search?q=%C3%A9&b=2&a=1+x HTTP/1.1\r\n"
    b"host: search.example\r\n"
    b"Content-Type: application/json\r\n"
    b"X-Amz-Date: 20260801T000000Z\r\n"
    b"x-amz-content-sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\r\n"
    b"X-Forwarded-For: 192.0.2.1\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\n"
    b"Authorization: " + AUTHORIZATION + b"\r\n"
    b"Content-Length: 2\r\n\r\n"
    b"{}"
)


@pytest.mark.parametrize("forwarded_for", [False, True])
async def test_a_signed_request_passes_untouched(
    start_relay: StartRelay, upstream: ScriptedUpstream, forwarded_for: bool
) -> None:
    relay = await start_relay(forwarded_for=forwarded_for)
    client = await relay.connect()
    await client.send(SIGNED)
    node = await upstream.accepted()
    await node.expect(SIGNED)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (b"A: 1\r\n", b"A: 1\r\nX-Forwarded-For: 127.0.0.1\r\n"),
        (b"x-forwarded-for: 192.0.2.1\r\n", b"X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n"),
        (
            b"X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nA: 1\r\nX-FORWARDED-FOR:192.0.2.3\r\n",
            b"A: 1\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1\r\n",
        ),
        # Hiding behind the rule that fields named by Connection are dropped.
        (b"Connection: X-Forwarded-For\r\n", b"X-Forwarded-For: 127.0.0.1\r\n"),
    ],
)
async def test_the_clients_address_comes_last(
    start_relay: StartRelay, upstream: ScriptedUpstream, fields: bytes, expected: bytes
) -> None:
    relay = await start_relay(forwarded_for=True)
    client = await relay.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
    node = await upstream.accepted()
    await node.expect(b"GET / HTTP/1.1\r\nHost: x\r\n" + expected + b"\r\n")


async def test_nothing_is_told_unless_asked_for(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    relay = await start_relay()
    client = await relay.connect()
    await client.send(request)
    node = await upstream.accepted()
    await node.expect(request)


async def test_what_a_front_sends_tells_the_address_too(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    async def take(request: Request) -> Forward | Answer:
        await relay.pool.exchange(request.head.write_upstream(target=b"/wide"), limit=100)
        return Forward()

    relay = await start_relay(take, forwarded_for=True)
    client = await relay.connect()
    await client.send(b"GET /taken HTTP/1.1\r\nHost: x\r\n\r\n")
    node = await upstream.accepted()
    for target in (b"/wide", b"/taken"):
        await node.expect(
            b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
        )
        await node.send(OK)
    await client.expect(OK)
