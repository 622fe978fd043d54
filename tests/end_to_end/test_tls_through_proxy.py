"""TLS from end to end: applications to the proxy, the proxy to a node with the security plugin."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException, SSLError

from sidecar.app import Application
from sidecar.config.main_file import Address
from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import DOCS1, QUERY, load_collection
from tests.serving import metric, serving


@pytest.fixture(scope="module")
def node(secure_opensearch: SecureNode) -> SecureNode:
    load_collection(secure_opensearch)
    return secure_opensearch


@pytest.fixture
async def app(node: SecureNode, certificates: Path, tmp_path: Path) -> AsyncIterator[Application]:
    files = {
        "certificate_file": str(certificates / "server.pem"),
        "key_file": str(certificates / "server.key"),
    }
    upstream = {"urls": [node.url], "tls": {"ca_file": str(node.ca)}, "forwarded_for": True}
    main = {"listen_tls": files, "api_tls": files}
    async with serving(tmp_path, upstream, main, index="docs1") as app:
        yield app


def client_of(address: Address, node: SecureNode, user: str, ca: Path) -> OpenSearch:
    return OpenSearch(
        [{"host": "localhost", "port": address.port}],
        use_ssl=True,
        ca_certs=str(ca),
        http_auth=(user, node.users[user]),
        max_retries=0,
    )


async def test_each_user_finds_through_the_proxy_what_the_user_may_read(
    app: Application, node: SecureNode, certificates: Path
) -> None:
    def found(user: str) -> set[str]:
        with client_of(app.proxy_address, node, user, certificates / "ca.pem") as client:
            answer: Any = client.search(index="docs1", body={"size": 20, "query": QUERY})
            return {hit["_id"] for hit in answer["hits"]["hits"]}

    public = {identifier for identifier, document in DOCS1.items() if document["dept"] == "public"}
    assert await asyncio.to_thread(found, "alice") == set(DOCS1)
    assert await asyncio.to_thread(found, "bob") == public
    with pytest.raises(AuthorizationException):
        await asyncio.to_thread(found, "carol")
    labels = {"plan": "words", "status": "applied", "reason": ""}
    assert metric(app, "rescore_searches_total", **labels) == 2


async def test_a_client_that_does_not_trust_the_proxy_refuses(
    app: Application, node: SecureNode
) -> None:
    # The node's authority did not sign the proxy's certificate.
    def ask() -> None:
        with client_of(app.proxy_address, node, "alice", node.ca) as client:
            client.info()

    with pytest.raises(SSLError):
        await asyncio.to_thread(ask)


async def test_the_api_listener_speaks_tls_too(app: Application, certificates: Path) -> None:
    def get(target: str) -> tuple[int, Any]:
        tls = ssl.create_default_context(cafile=certificates / "ca.pem")
        connection = http.client.HTTPSConnection("localhost", app.api_address.port, context=tls)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    status, report = await asyncio.to_thread(get, "/readyz")
    assert (status, report["ready"]) == (200, True)


async def test_an_authority_that_did_not_sign_the_node_leaves_it_out(
    node: SecureNode, certificates: Path, tmp_path: Path
) -> None:
    upstream = {"urls": [node.url], "tls": {"ca_file": str(certificates / "ca.pem")}}
    async with serving(tmp_path, upstream) as app:

        def get() -> tuple[int, Any]:
            connection = http.client.HTTPConnection(*app.proxy_address)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()

        status, answer = await asyncio.to_thread(get)
        assert (status, answer["error"]["type"]) == (502, "upstream_unavailable")
        assert metric(app, "relay_upstream_up", url=node.url) == 0
