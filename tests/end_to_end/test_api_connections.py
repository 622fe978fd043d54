"""Connections of the api listener: heads that stop, unused ones, and too many of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from sidecar.api import connection as api_connection
from sidecar.api.server import ApiServer
from sidecar.config.limits import Limits
from sidecar.config.main_file import Address
from sidecar.metrics import Metrics
from tests.api_doors import DOORS, connected, serving_doors
from tests.raw_http import read_response
from tests.running import Sidecar, request

WHOLE = b"GET /healthz HTTP/1.1\r\nHost: s\r\n\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("hasty")
    with serving_doors(folder, body_timeout_ms=300, header_timeout_ms=300) as running:
        yield running


def rest_of(connection: socket.socket) -> bytes:
    """All that still comes, until the other side closes."""
    with connection.makefile("rb") as stream:
        return stream.read()


@pytest.mark.parametrize("start", [b"G", b"GET /healthz HTTP/1.1\r\n", WHOLE[:-2]])
def test_a_head_that_stops_half_way(hasty: Sidecar, start: bytes) -> None:
    with connected(hasty.api) as connection:
        connection.sendall(start)
        assert rest_of(connection).startswith(b"HTTP/1.1 408 ")
    with connected(hasty.api) as connection, connection.makefile("rb") as stream:
        # And the same behind a request that was answered.
        connection.sendall(WHOLE)
        assert read_response(stream).status == 200
        connection.sendall(start)
        assert read_response(stream).status == 408
        assert stream.read() == b""
    assert hasty.metric("api_given_up_total", reason="header_timeout") >= 2


def test_a_head_has_a_size(hasty: Sidecar) -> None:
    with connected(hasty.api) as connection:
        field = b"X-Field: " + b"x" * 8000 + b"\r\n"
        connection.sendall(WHOLE[:-2] + field * 8)
        connection.sendall(field * 4)
        assert rest_of(connection).startswith(b"HTTP/1.1 431 ")


def test_half_a_body_where_none_is_read(hasty: Sidecar) -> None:
    for path in ("/healthz", "/metrics", "/nothing"):
        with connected(hasty.api) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: s\r\nContent-Length: 100\r\n\r\nhalf"
            connection.sendall(head.encode())
            assert rest_of(connection).startswith(b"HTTP/1.1 4")


def test_unused_connections_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_connection, "IDLE_SECONDS", 0.2)
    with serving_doors(tmp_path) as sidecar:
        with connected(sidecar.api) as silent:
            assert rest_of(silent) == b""
        with connected(sidecar.api) as connection, connection.makefile("rb") as stream:
            connection.sendall(WHOLE)
            assert read_response(stream).status == 200
            assert stream.read() == b""
        assert sidecar.metric("api_connections") == 0


def test_a_new_connection_takes_the_place_of_the_one_that_waited_longest(tmp_path: Path) -> None:
    door = DOORS[0]
    starts = (b"", b"GET / HT", door.head("Content-Length: 10") + b"{")
    with serving_doors(tmp_path, api_connections=30) as sidecar, ExitStack() as opened:
        slow = [opened.enter_context(connected(sidecar.api)) for _ in range(30)]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % 3])
        # All of them are there now: connections are accepted in their order.
        for number in range(30):
            assert request(sidecar.api, "GET", "/healthz").status == 200
            assert request(sidecar.api, "GET", "/metrics").status == 200
            assert sidecar.metric("api_connections") <= 30, number
        assert sidecar.metric("api_given_up_total", reason="connections") >= 1
        assert rest_of(slow[0]) == b""


def test_stopping_does_not_wait_for_half_bodies(tmp_path: Path) -> None:
    door = DOORS[0]
    with serving_doors(tmp_path) as sidecar:
        connection = socket.create_connection(sidecar.api, 30)
        connection.sendall(door.head("Content-Length: 10") + b"{")
        assert request(sidecar.api, "GET", "/healthz").status == 200
    with connection, connection.makefile("rb") as stream:
        assert door.reason(read_response(stream)) == door.words["crowded"]


async def _wait_for_leaving() -> list[str]:
    """What a handler goes through whose client closes the connection."""
    began, ended = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def wait(_: web.Request) -> web.Response:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            ended.set()
        return web.Response()

    server = ApiServer(Limits(), Metrics())
    server.app.router.add_get("/wait", wait)
    address = await server.start(Address("127.0.0.1", 0), None)
    try:
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /wait HTTP/1.1\r\nHost: s\r\n\r\n")
        async with asyncio.timeout(30):
            await began.wait()
            writer.close()
            await ended.wait()
    finally:
        await server.stop()
    return seen


def test_a_request_ends_when_its_client_leaves() -> None:
    assert asyncio.run(_wait_for_leaving()) == ["cancelled"]


def test_readiness_asks_once_for_all_who_wait(hasty: Sidecar) -> None:
    with ExitStack() as opened:
        waiting = [opened.enter_context(connected(hasty.api)) for _ in range(50)]
        for connection in waiting:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: s\r\n\r\n")
        for connection in waiting:
            with connection.makefile("rb") as stream:
                assert read_response(stream).status == 503
