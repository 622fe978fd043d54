"""An OpenSearch to try things on: osmem-server, which keeps all in memory, as a child process.

It speaks OpenSearch's API, but scores with bleve's BM25, which is not Lucene's: orders are close
to a real cluster's, not the same.
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
    """Run one on 127.0.0.1 and give its URL; port 0 lets the system choose.

    Raises DemoError when the package is not installed or the server does not start.
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
            # It ends with us, however we end: when our pid is gone or its input closes.
            "--parent-pid",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # Ctrl-C goes to the whole process group, and the sidecar has to stop before it.
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
    """The URL out of the line of JSON that says it is ready; None when none came."""
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
