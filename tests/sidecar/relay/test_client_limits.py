"""What one client may take: time for a request, memory for a body, connections, descriptors."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import socket

import pytest

from sidecar.relay.admission import Admission
from sidecar.relay.client_limits import ClientLimits
from sidecar.relay.descriptors import are_short, raise_limit, reserve_size
from sidecar.relay.errors import OutOfDescriptors
from sidecar.relay.front import Answer, Forward, Request
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, RunningRelay, ScriptedUpstream, Wire

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /i HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
TAKEN = b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
SHORT_S = 0.05
SHORT = ClientLimits(head=SHORT_S, body=SHORT_S, send=SHORT_S)


async def forward(request: Request) -> Forward:
    return Forward()


async def passing(seconds: float) -> None:
    """Until a time has gone by that a test is about."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


async def timed_out(client: Wire, relay: RunningRelay) -> None:
    """The client is told that it was too slow, and the connection ends."""
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["error"]["type"] == "client_timeout"
    assert relay.count("relay_errors_total", reason="client_timeout") == 1
    assert relay.count("relay_requests_total", status="4xx") == 1


async def drip(client: Wire, pieces: bytes) -> None:
    """Byte by byte, each well within the time-out, all together far beyond it."""
    for offset in range(len(pieces)):
        if client.reader.at_eof():
            return
        client.writer.write(pieces[offset : offset + 1])
        await passing(SHORT_S / 5)


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\n", GET[:-1]])
async def test_a_head_that_does_not_come_whole_is_a_408(
    start_relay: StartRelay, upstream: ScriptedUpstream, begun: bytes
) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    await client.send(begun)
    await timed_out(client, relay)
    assert upstream.none_waits


async def test_a_head_byte_by_byte_gets_no_more_time(start_relay: StartRelay) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    dripping = asyncio.get_running_loop().create_task(drip(client, GET[:-4] + b"\r\nA: b" * 9))
    await timed_out(client, relay)
    await dripping


async def test_a_head_in_pieces_that_is_whole_in_time_is_no_matter(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    await client.send(GET[:-1])
    await client.send(GET[-1:])
    node = await upstream.accepted()
    await node.expect(GET)
    await passing(3 * SHORT_S)  # the answer's time is not the client's
    await node.send(OK)
    await client.expect(OK)
    await passing(3 * SHORT_S)  # nor is that between two requests
    await client.send(GET)
    await node.expect(GET)


async def test_the_head_behind_an_answered_request_has_its_own_time(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    await client.send(GET + GET[:-1])
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)
    await timed_out(client, relay)


@pytest.mark.parametrize("head", [PUT, TAKEN])
async def test_a_body_that_stops_is_a_408(
    start_relay: StartRelay, upstream: ScriptedUpstream, head: bytes
) -> None:
    relay = await start_relay(forward, clients=SHORT)
    client = await relay.connect()
    await client.send(head + b"ab")
    await timed_out(client, relay)
    if head is PUT:
        node = await upstream.accepted()
        await node.until(b"ab")
        await node.wait_closed()
    assert upstream.none_waits
    assert relay.listener._shared.unfinished == 0


@pytest.mark.parametrize("head", [PUT, TAKEN])
async def test_a_body_byte_by_byte_is_slow_but_not_silent(
    start_relay: StartRelay, upstream: ScriptedUpstream, head: bytes
) -> None:
    relay = await start_relay(forward, clients=ClientLimits(body=0.3))
    client = await relay.connect()
    await client.send(head)
    for byte in (b"a", b"b", b"c", b"d"):
        await passing(0.15)
        await client.send(byte)
    node = await upstream.accepted()
    await node.expect(head + b"abcd")
    await node.send(OK)
    await client.expect(OK)


async def test_time_that_the_node_takes_for_a_body_is_not_the_clients(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    limit_s = 0.3
    relay = await start_relay(clients=ClientLimits(body=limit_s))
    client = await relay.connect()
    size = 30_000_000
    head = b"PUT /i HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    sending = asyncio.get_running_loop().create_task(client.send(head + b"x" * size))
    node = await upstream.accepted()
    node.read_nothing()
    await passing(limit_s * 2)
    assert not sending.done()
    node.read_on()
    await node.head()
    await node.exactly(size)
    await sending
    await node.send(OK)
    await client.expect(OK)


async def test_a_client_that_waits_for_the_word_to_go_on_is_not_slow(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    head = PUT.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    await client.send(head)
    node = await upstream.accepted()
    await node.expect(head)
    await passing(3 * SHORT_S)
    await node.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    await client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
    await timed_out(client, relay)


async def test_an_answer_that_goes_along_with_the_request_has_all_the_time(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    await client.send(PUT + b"ab")
    node = await upstream.accepted()
    await node.expect(PUT + b"ab")
    begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"
    await node.send(begun)
    await client.expect(begun)
    await passing(3 * SHORT_S)
    await client.send(b"cd")
    await node.expect(b"cd")
    await node.send(b"0\r\n\r\n")
    await client.expect(b"0\r\n\r\n")


async def test_a_client_that_takes_nothing_of_its_answer_is_cut(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=SHORT)
    client = await relay.connect()
    client.read_nothing()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    node.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 40000000\r\n\r\n" + b"x" * 40_000_000)
    await node.wait_closed()
    assert relay.count("relay_client_connections") == 0


async def test_a_client_that_takes_its_answer_slowly_gets_it(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=ClientLimits(send=0.5))
    client = await relay.connect()
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    size = 30_000_000
    sending = asyncio.get_running_loop().create_task(
        node.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    )
    await client.head()
    for _ in range(10):
        await client.exactly(size // 10)
        client.read_nothing()
        await passing(0.1)
        client.read_on()
    await sending


async def test_bodies_that_are_not_whole_have_a_bound_together(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    async def take(request: Request) -> Answer:
        return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"taken")

    limits = ClientLimits(unfinished_bytes=1000)
    relay = await start_relay(take, clients=limits)
    shared = relay.listener._shared
    head = b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
    clients = [await relay.connect() for _ in range(3)]
    for client in clients[:2]:
        await client.send(head + b"x" * 400)
    late = clients[2]
    await late.send(head)
    while shared.unfinished < 800:
        await passing(0.01)
    await late.send(b"x" * 300)
    node = await upstream.accepted()
    await node.expect(head + b"x" * 300)
    assert shared.unfinished == 800
    await late.send(b"x" * 200)
    await node.expect(b"x" * 200)
    await node.send(OK)
    mark = b"\r\nX-Rescore: skipped; reason=limits.unfinished_mb\r\n\r\n"
    await late.expect(OK.replace(b"\r\n\r\n", mark))
    # Both others are taken, or gone, and what they held counts no more.
    await clients[0].send(b"x" * 100)
    assert (await clients[0].until(b"taken")).startswith(b"HTTP/1.1 200 OK\r\n")
    clients[1].reset()
    while shared.unfinished:
        await passing(0.01)


async def test_an_address_may_have_so_many_connections(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay(clients=ClientLimits(per_address=2))
    clients = [await relay.connect() for _ in range(2)]
    while relay.count("relay_client_connections") < 2:
        await passing(0.01)
    for number in range(1, 4):
        answer = await (await relay.connect()).rest()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == (
            "too_many_connections"
        )
        assert relay.count("relay_errors_total", reason="too_many_connections") == number
    await clients[0].send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    await node.send(OK)
    await clients[0].expect(OK)
    clients[1].close()
    while relay.listener._admission.open > 1:
        await passing(0.01)
    client = await relay.connect()
    await client.send(GET)
    await node.expect(GET)
    await node.send(OK)
    await client.expect(OK)


@pytest.fixture
def few_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few that two clients are let in, however many this process has open."""
    monkeypatch.setattr("sidecar.relay.admission.limit", lambda: 1 << 20)
    monkeypatch.setattr("sidecar.relay.client_connection.FIRST_REQUEST_S", 0.0)
    real = Admission.__init__

    def small(self: Admission, per_address: int, in_use: int) -> None:
        real(self, per_address, in_use)
        self.most = 2

    monkeypatch.setattr(Admission, "__init__", small)


@pytest.mark.usefixtures("few_descriptors")
async def test_idle_clients_make_room_and_busy_ones_stay(
    start_relay: StartRelay, upstream: ScriptedUpstream
) -> None:
    relay = await start_relay()
    idle, busy = await relay.connect(), await relay.connect()
    await busy.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    third = await relay.connect()
    await idle.wait_closed()
    await third.send(GET)
    other = await upstream.accepted()
    await other.expect(GET)
    refused = await relay.connect()
    answer = await refused.rest()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "out_of_descriptors"
    assert relay.count("relay_errors_total", reason="out_of_descriptors") == 1
    for client, wire in ((busy, node), (third, other)):
        await wire.send(OK)
        await client.expect(OK)


async def test_a_connection_that_fails_for_want_of_descriptors_is_not_the_nodes_fault(
    start_relay: StartRelay, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await start_relay()
    client = await relay.connect()
    monkeypatch.setattr("sidecar.relay.upstream_node.are_short", lambda _: True)
    upstream.refuse()
    await client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"out_of_descriptors" in await client.until(b"503}")
    with pytest.raises(OutOfDescriptors):
        await relay.pool.exchange(GET, limit=10)
    assert relay.count("relay_errors_total", reason="out_of_descriptors") == 1
    assert relay.count("relay_upstream_up", url=upstream.url) == 1


def test_short_descriptors_are_told_from_dead_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert are_short(OSError(errno.EMFILE, "Too many open files"))
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    assert not are_short(refused)

    def no_socket() -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    # A host name that cannot be looked up without a descriptor.
    monkeypatch.setattr("sidecar.relay.descriptors.socket.socket", no_socket)
    assert are_short(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))


_UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "macos", "raised"),
    [
        (256, 4096, False, 4096),
        (20_000, 20_000, False, 20_000),
        (256, 256, False, 256),
        (1024, _UNLIMITED, False, _UNLIMITED),
        (256, _UNLIMITED, True, 10_240),
        (20_000, _UNLIMITED, True, 20_000),
        (_UNLIMITED, _UNLIMITED, True, _UNLIMITED),
    ],
)
def test_the_limit_is_raised_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, macos: bool, raised: int
) -> None:
    now = soft

    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        nonlocal now
        wanted = limits[0]
        if (wanted == _UNLIMITED and macos) or (hard != _UNLIMITED and wanted > hard):
            raise ValueError("not allowed to raise maximum limit")
        now = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: (now, hard))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    raise_limit()
    assert now == raised


@pytest.mark.parametrize(("most", "kept"), [(64, 8), (1024, 128), (1 << 20, 256)])
def test_descriptors_are_kept_back(most: int, kept: int) -> None:
    assert reserve_size(most) == kept
