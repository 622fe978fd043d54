"""Runs the demo's model on Ray Serve: `python -m sidecar.ray` as a child process."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from sidecar.config.main_file import Model
from sidecar.cores import usable_cores
from sidecar.demo.errors import DemoError

_MOST_REPLICAS = 2
_STOP_SECONDS = 60.0


@asynccontextmanager
async def ray_service(
    name: str, model: Model, report: Callable[[str], None]
) -> AsyncIterator[Model]:
    """Serve a model under this name; yields the model as sidecars configure it.

    `report` gets each line that the service prints. Raises DemoError without Ray, and if the
    service does not start.
    """
    if importlib.util.find_spec("ray") is None:
        raise DemoError("--ray needs Ray Serve: pip install 'rescore-sidecar[ray]'")
    replicas = min(_MOST_REPLICAS, usable_cores())
    port = _free_port()
    main = {
        # A main file needs one; the service never calls it.
        "upstream": {"urls": ["http://127.0.0.1:9200"]},
        "models": {name: model.model_dump(exclude_unset=True)},
        "ray": {
            "listen": f"127.0.0.1:{port}",
            "replicas": {"min": replicas, "max": replicas},
        },
    }
    async with _running(main, report):
        yield Model(
            kind=model.kind,
            source=name,
            backend="remote",
            url=f"http://127.0.0.1:{port}",
            api="openai-embeddings",
            timeout_ms=60_000,
        )


@asynccontextmanager
async def _running(main: dict[str, Any], report: Callable[[str], None]) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        (Path(folder) / "plans").mkdir()
        path = Path(folder) / "sidecar.yaml"
        path.write_text(yaml.safe_dump(main), encoding="utf-8")
        service = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar.ray", "--config", str(path), "--watch-input"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # Ctrl-C goes to the whole process group, but the sidecar must stop before its service.
            start_new_session=True,
        )
        try:
            assert service.stdout
            while (line := (await service.stdout.readline()).decode().rstrip()) != "ready":
                if not line:
                    log.seek(0)
                    last = log.read().decode(errors="replace").strip().splitlines()[-1:]
                    raise DemoError(f"Ray Serve did not start: {''.join(last)}")
                report(line)
            yield
        finally:
            await _stop(service)


async def _stop(service: asyncio.subprocess.Process) -> None:
    assert service.stdin
    service.stdin.close()
    try:
        await asyncio.wait_for(service.wait(), _STOP_SECONDS)
    except TimeoutError:
        service.kill()
        await service.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
