"""Every test of the relay runs on both event loops, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from sidecar.relay.client_connection import ClientConnection
from sidecar.relay.front import Take
from sidecar.relay.upstream_connection import UpstreamConnection
from tests.loop_stalls import measured_callbacks
from tests.sidecar.relay.wire import RunningRelay, ScriptedUpstream, TestFront, Wire

StartRelay = Callable[..., Awaitable[RunningRelay]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """An OpenSearch of raw bytes."""
    server = ScriptedUpstream()
    await server.start()
    yield server
    server.stop()


@pytest.fixture
async def start_relay(upstream: ScriptedUpstream) -> AsyncIterator[StartRelay]:
    """Start a relay: `take` answers what is sent to `/taken...`."""
    running: list[RunningRelay] = []

    async def start(
        take: Take | None = None,
        urls: list[str] | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ) -> RunningRelay:
        relay = RunningRelay(TestFront(take), urls or [upstream.url], **options)
        await relay.start(tls)
        running.append(relay)
        return relay

    with measured_callbacks(ClientConnection, UpstreamConnection):
        yield start
        for relay in running:
            await relay.stop()


@pytest.fixture
async def relay(start_relay: StartRelay) -> RunningRelay:
    """A relay in front of `upstream`."""
    return await start_relay()


@pytest.fixture
async def client(relay: RunningRelay) -> Wire:
    """A connection to `relay`."""
    return await relay.connect()
