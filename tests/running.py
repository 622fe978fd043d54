"""A whole sidecar for tests: both listeners on free ports, in an event loop of its own thread.

So a test may use any blocking client, and watch the sidecar only through its sockets.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sidecar.app import Application
from sidecar.config.main_file import Address
from sidecar.config_reading.config_files import read_config
from sidecar.models.scorers import Models
from tests.loop_stalls import LONGEST_CALLBACK_S, LoopStalls
from tests.raw_http import RawResponse, send

T = TypeVar("T")

WORDS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}


class Sidecar:
    """A running sidecar."""

    def __init__(self, app: Application, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self.app = app
        self.folder = folder
        self._loop = loop

    @property
    def proxy(self) -> Address:
        return self.app.proxy_address

    @property
    def api(self) -> Address:
        return self.app.api_address

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the sidecar's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample of /metrics; 0 when it has not been counted yet."""
        return self.app.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def running_sidecar(
    folder: Path,
    upstream: str,
    plans: Mapping[str, Mapping[str, Any]],
    routes: Mapping[str, str],
    models: Models | None = None,
    main: Mapping[str, Any] | None = None,
    longest_callback_s: float = LONGEST_CALLBACK_S,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Sidecar]:
    """Start a sidecar with these plans (as their YAML would say) and routes, index to plan.

    Every plan's model is `words`, the fake one; `models` are used in its place. `main`: further
    keys of the main file, in place of the ones here. It fails in the end when a callback in the
    sidecar's event loop used more CPU time than `longest_callback_s`. Plans step back by `clock`.
    """
    (folder / "plans").mkdir(parents=True, exist_ok=True)
    for name, plan in plans.items():
        whole = {"document": {"title": "title", "body": "body"}, "stages": [{"model": "words"}]}
        (folder / "plans" / f"{name}.yaml").write_text(yaml.safe_dump({**whole, **plan}))
    whole_main = {
        "listen": "127.0.0.1:0",
        "api_listen": "127.0.0.1:0",
        "upstream": {"urls": [upstream]},
        "models": {"words": WORDS},
        "routes": [{"index": index, "plan": plan} for index, plan in routes.items()],
        **(main or {}),
    }
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(whole_main))
    config = read_config(folder / "sidecar.yaml", {})

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sidecar")
    thread.start()
    app = Application(config, folder, models, clock=clock)
    sidecar = Sidecar(app, loop, folder)
    stalls = LoopStalls(longest_callback_s)
    try:
        sidecar.call(app.start())
        sidecar.call(app.load_models())
        sidecar.call(_watch(stalls))
        yield sidecar
    finally:
        sidecar.call(_watch_no_more(stalls))
        sidecar.call(app.stop(5))
        sidecar.call(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    stalls.check()


async def _watch(stalls: LoopStalls) -> None:
    stalls.start()


async def _watch_no_more(stalls: LoopStalls) -> None:
    stalls.stop()


def request(
    address: Address | tuple[str, int],
    method: str,
    target: str,
    body: object = None,
    fields: Mapping[str, str] | None = None,
) -> RawResponse:
    """One request with a JSON body, on a connection of its own."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address[0]}:{address[1]}"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return send(address[0], address[1], head + content)
