"""Clients that ask real nodes for their addresses: they bypass the proxy, or are kept on it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from opensearchpy import OpenSearch

from sidecar.app import Application
from sidecar.config.main_file import Address
from tests.nodes.node import Node
from tests.raw_http import mask_content_length, send
from tests.serving import metric, serving


def sniff(proxy: Address) -> tuple[str, str]:
    """Where a client that sniffs goes for its requests, and the version it finds there."""
    with OpenSearch(f"http://{proxy}", sniff_on_start=True) as client:
        (connection,) = client.transport.connection_pool.connections
        return connection.host, client.info()["version"]["number"]


def relayed(app: Application) -> float:
    return metric(app, "relay_requests_total", status="2xx")


async def test_a_client_that_sniffs_bypasses_the_proxy_and_is_counted(
    opensearch: Node, tmp_path: Path
) -> None:
    async with serving(tmp_path, {"urls": [opensearch.url]}) as app:
        host, version = await asyncio.to_thread(sniff, app.proxy_address)
        assert (host, version) == (opensearch.url, opensearch.version)
        assert metric(app, "relay_sniffs_total") == 1
        assert relayed(app) == 1  # only the request for the addresses


async def test_a_client_that_sniffs_stays_where_it_is_told_the_proxys_address(
    opensearch: Node, tmp_path: Path
) -> None:
    # The port is known only once the proxy listens: so a first one, before it, finds it out.
    async with serving(tmp_path / "first", {"urls": [opensearch.url]}) as first:
        proxy = first.proxy_address
    main = {"listen": str(proxy), "rewrite_publish_address": str(proxy)}
    async with serving(tmp_path / "second", {"urls": [opensearch.url]}, main) as app:
        host, version = await asyncio.to_thread(sniff, proxy)
        assert (host, version) == (f"http://{proxy}", opensearch.version)
        assert metric(app, "relay_sniffs_total") == 1
        assert relayed(app) == 2


async def test_only_the_address_is_another(opensearch: Node, tmp_path: Path) -> None:
    main = {"rewrite_publish_address": "search.example:443"}
    raw = b"GET /_nodes/http?pretty HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
    plain = raw.replace(b"Accept-Encoding: gzip\r\n", b"")
    async with serving(tmp_path, {"urls": [opensearch.url]}, main) as app:
        direct = await asyncio.to_thread(send, opensearch.host, opensearch.port, plain)
        through = await asyncio.to_thread(send, *app.proxy_address, raw)
    told = f'"publish_address" : "{opensearch.host}:{opensearch.port}"'.encode()
    http = direct.body.index(b'"http" : {')
    expected = direct.body[:http] + direct.body[http:].replace(
        told, b'"publish_address" : "search.example:443"'
    )
    assert expected != direct.body
    assert through.body == expected
    assert mask_content_length(through.head).lower() == mask_content_length(direct.head).lower()
    (node,) = json.loads(through.body)["nodes"].values()
    assert node["http"]["publish_address"] == "search.example:443"


async def test_an_answer_without_addresses_passes(opensearch: Node, tmp_path: Path) -> None:
    main = {"rewrite_publish_address": "search.example:443"}
    raw = b"GET /_nodes/http?nonsense=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(tmp_path, {"urls": [opensearch.url]}, main) as app:
        direct = await asyncio.to_thread(send, opensearch.host, opensearch.port, raw)
        through = await asyncio.to_thread(send, *app.proxy_address, raw)
    assert direct.status == 400
    assert through.body == direct.body
