"""Runs an OpenSearch for trials: osmem-server, an in-memory one, as a child process.

It has OpenSearch's API, but scores with bleve's BM25 instead of Lucene's: its order is close to a
real cluster's, but not the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.demo.errors import DemoError

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


@asynccontextmanager
async def embedded_opensearch(port: int = 0) -> AsyncIterator[str]:
    """Run one on 127.0.0.1 and yield its URL; port 0 lets the system choose.

    Raises DemoError if the package is not installed or the server does not start.
    """
    try:
        from osmem_server import OsmemError, resolve_binary
    except ImportError:
        raise DemoError(
            "the embedded OpenSearch is not installed: pip install 'rescore-sidecar[demo]',"
            " or name a cluster with --opensearch URL"
        ) from None
    try:
        binary = resolve_binary()
    except OsmemError as error:
        raise DemoError(f"{error}; or name a cluster with --opensearch URL") from None

    with tempfile.TemporaryFile() as log:
        server = await asyncio.create_subprocess_exec(
            binary,
            "--addr",
            f"127.0.0.1:{port}",
            "--no-ja",
            # It ends when this process does, however that happens: when this pid is gone or its
            # input closes.
            "--parent-pid",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # Ctrl-C goes to the whole process group, but the sidecar must stop before the server.
            start_new_session=True,
        )
        try:
            url = await _read_url(server)
            if url is None:
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines()[-1:]
                raise DemoError(f"the embedded OpenSearch did not start: {''.join(last)}")
            yield url
        finally:
            await _stop(server)


async def _read_url(server: asyncio.subprocess.Process) -> str | None:
    """The URL from the line of JSON that reports readiness; None if no line comes."""
    assert server.stdout
    try:
        line = await asyncio.wait_for(server.stdout.readline(), _START_SECONDS)
    except TimeoutError:
        return None
    return str(json.loads(line)["url"]) if line else None


async def _stop(server: asyncio.subprocess.Process) -> None:
    assert server.stdin
    server.stdin.close()
    try:
        await asyncio.wait_for(server.wait(), _STOP_SECONDS)
    except TimeoutError:
        server.kill()
        await server.wait()
