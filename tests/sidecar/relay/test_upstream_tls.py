"""TLS towards nodes: verified against the configured authority, or not at all when told so."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.metrics import Metrics
from sidecar.relay.counts import Counts
from sidecar.relay.errors import UpstreamUnavailable
from sidecar.relay.upstream_pool import UpstreamPool
from sidecar.relay.upstream_tls import build_ssl_context
from tests.sidecar.relay.wire import OK, Wire

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost` that signs itself, and its key, in one file."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed, so no certificate can be made")
    folder = tmp_path_factory.mktemp("tls")
    key, path = folder / "key.pem", folder / "both.pem"
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        [program, *options.split(), "-keyout", key, "-out", path], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
async def node(certificate: Path) -> AsyncIterator[tuple[str, asyncio.Queue[Wire]]]:
    """An https node that answers each request: its URL, and its connections."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
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


def pool_for(url: str, context: ssl.SSLContext) -> UpstreamPool:
    return UpstreamPool([url], Counts(Metrics()), ssl_context=context)


@pytest.mark.parametrize("verify", [True, False])
async def test_an_exchange_over_tls(
    node: tuple[str, asyncio.Queue[Wire]], certificate: Path, verify: bool
) -> None:
    url, wires = node
    pool = pool_for(url, build_ssl_context(str(certificate) if verify else None, verify))
    asking = asyncio.get_running_loop().create_task(pool.exchange(GET, limit=100))
    wire = await wires.get()
    await wire.expect(GET)
    assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    await wire.send(OK)
    assert (await asking).body == b"ok"
    pool.close()
    wire.close()


async def test_an_unknown_authority_is_refused(node: tuple[str, asyncio.Queue[Wire]]) -> None:
    pool = pool_for(node[0], build_ssl_context(None, True))
    with pytest.raises(UpstreamUnavailable):
        await pool.exchange(GET, limit=100)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pem", Path(__file__)):
        with pytest.raises(ValueError, match=r"upstream\.tls\.ca: .*"):
            build_ssl_context(str(path), True)
