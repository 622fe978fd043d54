"""Real HTTP clients through the relay: curl, http.client, aiohttp."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.sidecar.relay.conftest import StartRelay
from tests.sidecar.relay.wire import RunningRelay

Curl = Callable[..., Awaitable[str]]

MEBIBYTE = 1 << 20


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """Answers with the method, the raw target and a digest of the body."""
    if request.headers.get("Expect"):
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    text = f"{request.method} {request.raw_path} {digest.hexdigest()}"
    return web.Response(text=text)


@pytest.fixture
async def through(start_relay: StartRelay) -> AsyncIterator[RunningRelay]:
    """A relay in front of an aiohttp server."""
    runner = web.ServerRunner(web.Server(echo, auto_decompress=False))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield await start_relay(urls=[f"http://127.0.0.1:{port}"])
    await runner.cleanup()


def expected(method: str, target: str, body: bytes) -> str:
    return f"{method} {target} {hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("size", [0, 10, 2 * MEBIBYTE])
@pytest.mark.parametrize("chunked", [False, True])
async def test_aiohttp(through: RunningRelay, size: int, chunked: bool) -> None:
    body = b"x" * size
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            url = f"http://127.0.0.1:{through.port}/_bulk?a=b"
            async with session.post(url, data=io.BytesIO(body), chunked=chunked or None) as answer:
                assert await answer.text() == expected("POST", "/_bulk?a=b", body)


async def test_http_client(through: RunningRelay) -> None:
    def talk() -> list[str]:
        connection = http.client.HTTPConnection("127.0.0.1", through.port)
        answers = []
        for method in ("GET", "PUT", "DELETE"):
            connection.request(method, "/i/%2F", body=b"abc")
            answers.append(connection.getresponse().read().decode())
        connection.close()
        return answers

    answers = await asyncio.to_thread(talk)
    assert answers == [expected(method, "/i/%2F", b"abc") for method in ("GET", "PUT", "DELETE")]


@pytest.fixture
def curl(through: RunningRelay) -> Curl:
    """Run curl on a target, with options; its standard output."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")

    async def run(target: str, *options: str) -> str:
        process = await asyncio.create_subprocess_exec(
            program,
            "-sS",
            *options,
            f"http://127.0.0.1:{through.port}{target}",
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return output.decode()

    return run


async def test_curl(curl: Curl, tmp_path: Path) -> None:
    body = b"0123456789abcdef" * (2 * MEBIBYTE // 16)
    path = tmp_path / "body"
    path.write_bytes(body)
    upload = ("--data-binary", f"@{path}")
    assert await curl("/a%2Cb") == expected("GET", "/a%2Cb", b"")
    assert await curl("/a", "-0") == expected("GET", "/a", b"")
    # Above 1 MiB curl waits for 100 Continue.
    assert await curl("/a", *upload) == expected("POST", "/a", body)
    assert await curl("/a", *upload, "-H", "Transfer-Encoding: chunked") == expected(
        "POST", "/a", body
    )
    assert await curl("/a", "--http2", *upload) == expected("POST", "/a", body)
    head = await curl("/a", "-I")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
