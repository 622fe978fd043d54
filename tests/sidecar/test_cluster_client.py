"""The sidecar's own clients send its account, verify the node, and do not wait for ever."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, encode_basic_auth, web
from aiohttp.test_utils import TestServer
from opensearchpy.exceptions import OpenSearchException

from sidecar.cluster_client import open_blocking_client, open_cluster_session
from sidecar.config.main_file import Upstream, UpstreamTls
from sidecar.relay.tls import build_upstream_context

ACCOUNT: Any = {"username": "sidecar", "password": "Zürich:1"}


async def answer(request: web.Request) -> web.Response:
    """The fields of the request, with names in lower case."""
    return web.json_response({name.lower(): value for name, value in request.headers.items()})


async def never_answer(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def node() -> TestServer:
    app = web.Application()
    app.router.add_get("/", answer)
    app.router.add_get("/slow", never_answer)
    return TestServer(app, host="localhost")


@pytest.fixture
async def http_url(node: TestServer) -> AsyncIterator[str]:
    async with node:
        yield str(node.make_url("/"))


@pytest.fixture
async def https_url(node: TestServer, certificates: Path) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    await node.start_server(ssl=context)
    yield str(node.make_url("/"))
    await node.close()


async def fields_sent(
    url: str, folder: Path, headers: dict[str, str] | None = None, **settings: Any
) -> dict[str, str]:
    upstream = Upstream(urls=(url,), **settings)
    tls = build_upstream_context(upstream, folder)
    async with (
        open_cluster_session(upstream, tls, 10, headers) as session,
        session.get(url) as reply,
    ):
        fields: dict[str, str] = await reply.json()
        return fields


async def test_the_account_and_the_callers_headers_are_sent(http_url: str, tmp_path: Path) -> None:
    fields = await fields_sent(http_url, tmp_path, {"X-Rescore-Plan": "fused"}, **ACCOUNT)
    assert fields["authorization"] == encode_basic_auth("sidecar", "Zürich:1")
    assert fields["x-rescore-plan"] == "fused"


async def test_without_an_account_no_field_is_sent(http_url: str, tmp_path: Path) -> None:
    assert "authorization" not in await fields_sent(http_url, tmp_path)


@pytest.mark.parametrize("tls", [UpstreamTls(ca_file="ca.pem"), UpstreamTls(verify=False)], ids=str)
async def test_the_configured_tls_is_used(
    https_url: str, certificates: Path, tls: UpstreamTls
) -> None:
    assert "authorization" in await fields_sent(https_url, certificates, tls=tls, **ACCOUNT)


async def test_an_unknown_authority_gets_no_account(https_url: str, certificates: Path) -> None:
    with pytest.raises(ClientError):
        await fields_sent(https_url, certificates, **ACCOUNT)


async def test_a_node_that_does_not_answer_is_given_up(http_url: str) -> None:
    async with open_cluster_session(Upstream(urls=(http_url,)), None, 0.05) as session:
        with pytest.raises(TimeoutError):
            await session.get(http_url + "slow")


@pytest.mark.parametrize("tls", [UpstreamTls(ca_file="ca.pem"), UpstreamTls(verify=False)], ids=str)
async def test_the_blocking_client_sends_the_same(
    https_url: str, certificates: Path, tls: UpstreamTls
) -> None:
    upstream = Upstream(urls=(https_url,), tls=tls, **ACCOUNT)
    with open_blocking_client(upstream, certificates) as client:
        fields = await asyncio.to_thread(client.info)
    assert fields["authorization"] == encode_basic_auth("sidecar", "Zürich:1")


async def test_the_blocking_client_verifies_too(https_url: str, certificates: Path) -> None:
    with (
        open_blocking_client(Upstream(urls=(https_url,), **ACCOUNT), certificates) as client,
        pytest.raises(OpenSearchException),
    ):
        await asyncio.to_thread(client.info)
