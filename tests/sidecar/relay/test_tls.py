"""TLS on both sides: nodes are verified, applications get the configured certificate."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.config.main_file import ListenTls, Upstream, UpstreamTls
from sidecar.metrics import Metrics
from sidecar.relay.counts import Counts
from sidecar.relay.errors import UpstreamUnavailable
from sidecar.relay.tls import BadTlsFile, build_listener_context, build_upstream_context
from sidecar.relay.upstream_pool import UpstreamPool
from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import OK, ScriptedUpstream, Wire

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SERVER = ListenTls(certificate_file="server.pem", key_file="server.key")


@pytest.fixture
async def node(certificates: Path) -> AsyncIterator[tuple[str, asyncio.Queue[Wire]]]:
    """An https node that answers each request: its URL, and its connections."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    wires: asyncio.Queue[Wire] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: wires.put_nowait(Wire(reader, writer)),
        "127.0.0.1",
        0,
        ssl=context,
    )
    yield f"https://localhost:{server.sockets[0].getsockname()[1]}", wires
    server.close()


def pool_for(url: str, tls: UpstreamTls, folder: Path) -> UpstreamPool:
    context = build_upstream_context(Upstream(urls=(url,), tls=tls), folder)
    return UpstreamPool([url], Counts(Metrics()), ssl_context=context)


@pytest.mark.parametrize("tls", [UpstreamTls(ca_file="ca.pem"), UpstreamTls(verify=False)], ids=str)
async def test_an_exchange_over_tls(
    node: tuple[str, asyncio.Queue[Wire]], certificates: Path, tls: UpstreamTls
) -> None:
    url, wires = node
    pool = pool_for(url, tls, certificates)
    asking = asyncio.get_running_loop().create_task(pool.exchange(GET, limit=100))
    wire = await wires.get()
    await wire.expect(GET)
    assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    await wire.send(OK)
    assert (await asking).body == b"ok"
    pool.close()
    wire.close()


async def test_an_unknown_authority_is_refused(
    node: tuple[str, asyncio.Queue[Wire]], certificates: Path
) -> None:
    pool = pool_for(node[0], UpstreamTls(), certificates)
    with pytest.raises(UpstreamUnavailable):
        await pool.exchange(GET, limit=100)


async def test_a_certificate_for_another_host_is_refused(
    node: tuple[str, asyncio.Queue[Wire]], certificates: Path
) -> None:
    url = node[0].replace("localhost", "127.0.0.2")
    pool = pool_for(url, UpstreamTls(ca_file="ca.pem"), certificates)
    with pytest.raises(UpstreamUnavailable):
        await pool.exchange(GET, limit=100)


@pytest.fixture
def trusting(certificates: Path) -> ssl.SSLContext:
    """What an application has that trusts the tests' authority and would rather speak h2."""
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def test_applications_speak_tls_to_the_listener(
    start_relay: StartRelay,
    upstream: ScriptedUpstream,
    certificates: Path,
    trusting: ssl.SSLContext,
) -> None:
    relay = await start_relay(tls=build_listener_context(SERVER, certificates))
    client = await relay.connect(trusting)
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    await client.send(GET + GET)
    node = await upstream.accepted()
    for _ in range(2):
        await node.expect(GET)
        await node.send(OK)
        await client.expect(OK)
    large = b"x" * 3_000_000
    await client.send(b"PUT /i HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n")
    await asyncio.gather(client.send(large), node.until(b"\r\n\r\n"))
    await node.expect(large)
    await node.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n")
    await asyncio.gather(node.send(large), client.head())
    await client.expect(large)


async def test_a_tls_client_that_goes_takes_its_search_along(
    start_relay: StartRelay,
    upstream: ScriptedUpstream,
    certificates: Path,
    trusting: ssl.SSLContext,
) -> None:
    relay = await start_relay(tls=build_listener_context(SERVER, certificates))
    client = await relay.connect(trusting)
    await client.send(GET)
    node = await upstream.accepted()
    await node.expect(GET)
    client.close()
    await node.wait_closed()


async def test_an_early_answer_reaches_a_tls_client_that_is_still_sending(
    start_relay: StartRelay,
    upstream: ScriptedUpstream,
    certificates: Path,
    trusting: ssl.SSLContext,
) -> None:
    relay = await start_relay(tls=build_listener_context(SERVER, certificates))
    client = await relay.connect(trusting)
    head = b"POST /_bulk HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
    await client.send(head + b"x" * 1000)
    node = await upstream.accepted()
    await node.expect(head)
    await node.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    await client.send(b"x" * 999_000)
    assert await client.head() == (
        b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nConnection: close\r\n\r\n"
    )


async def test_plain_http_to_a_tls_listener_is_closed(
    start_relay: StartRelay, certificates: Path
) -> None:
    relay = await start_relay(tls=build_listener_context(SERVER, certificates))
    client = await relay.connect()
    await client.send(GET)
    await client.wait_closed()


@pytest.fixture
def broken(certificates: Path, tmp_path: Path) -> Path:
    """The certificates, a key that is not theirs, and one with a password."""
    for name in ("ca.pem", "server.pem", "server.key", "other.key"):
        (tmp_path / name).write_bytes((certificates / name).read_bytes())
    (tmp_path / "words.pem").write_text("no certificate at all")
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", "server.key", "-out", "locked.key"]
        + ["-passout", "pass:secret"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path


@pytest.mark.parametrize(
    ("certificate", "key", "named", "message"),
    [
        ("missing.pem", "server.key", "certificate_file", "No such file or directory"),
        ("words.pem", "server.key", "certificate_file", "no certificate"),
        ("server.pem", "missing.key", "key_file", "No such file or directory"),
        (
            "server.pem",
            "words.pem",
            "key_file",
            "is not a readable PEM file of a key without password",
        ),
        (
            "server.pem",
            "locked.key",
            "key_file",
            "is not a readable PEM file of a key without password",
        ),
        ("server.pem", "other.key", "key_file", r"other\.key is not the key of .*server\.pem"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    broken: Path, certificate: str, key: str, named: str, message: str
) -> None:
    with pytest.raises(BadTlsFile, match=message) as raised:
        build_listener_context(ListenTls(certificate_file=certificate, key_file=key), broken)
    assert raised.value.key == named


@pytest.mark.parametrize("ca", ["missing.pem", "words.pem"])
def test_an_authority_that_cannot_be_used_is_named(broken: Path, ca: str) -> None:
    upstream = Upstream(urls=("https://localhost:9200",), tls=UpstreamTls(ca_file=ca))
    with pytest.raises(BadTlsFile, match=f"{ca} is not a readable PEM file") as raised:
        build_upstream_context(upstream, broken)
    assert raised.value.key == "ca_file"
