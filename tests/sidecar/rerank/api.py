"""A real api listener with the rerank door, on a free port, in an event loop of its own thread.

So a test may use any blocking client, and see the door through its socket alone.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.api.doors import LoadedModels
from sidecar.api.listener import ApiListener
from sidecar.config.limits import Limits
from sidecar.config.main_file import Address
from sidecar.config.rerank import RerankApis
from sidecar.document_scoring import DocumentScoring
from sidecar.metrics import Metrics
from sidecar.rerank.door import RerankDoor
from sidecar.scoring_line import ScoringLine
from tests.raw_http import RawResponse, send

T = TypeVar("T")

HOST = "127.0.0.1"


class HasScorer(Protocol):
    """What the door needs of the loaded models."""

    def scorer(self, deadline: float) -> Scorer: ...


class Api:
    """A running api listener with nothing but the rerank door."""

    def __init__(self, port: int, metrics: Metrics) -> None:
        self.port = port
        self.metrics = metrics

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def post(self, path: str, body: object, fields: Mapping[str, str] | None = None) -> RawResponse:
        """Post a body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(
            "POST", path, content, {"Content-Type": "application/json", **(fields or {})}
        )

    def send(
        self, method: str, target: str, body: bytes = b"", fields: Mapping[str, str] | None = None
    ) -> RawResponse:
        """Send one request on a connection of its own."""
        given = {"Host": f"{HOST}:{self.port}"} | dict(fields or {})
        if body:
            given["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return send(HOST, self.port, f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics; 0 when it has not been counted yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def running_api(
    folder: Path,
    models: HasScorer | None,
    settings: Mapping[str, Any],
    plans: Mapping[str, Plan],
    bi_encoders: frozenset[str] = frozenset(),
    metrics: Metrics | None = None,
    limits: Limits | None = None,
    line: ScoringLine | None = None,
) -> Iterator[Api]:
    """Serve with these settings, as the YAML would say. `models` None: they are being loaded."""
    metrics = metrics or Metrics()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api")
    thread.start()

    def call(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def start() -> tuple[ApiListener, Address]:
        server = ApiListener(limits or Limits(), metrics)
        loaded = cast(LoadedModels | None, models)
        scoring = DocumentScoring(lambda: loaded, line or ScoringLine(metrics))
        door = RerankDoor(
            RerankApis.model_validate(settings),
            plans,
            bi_encoders,
            scoring,
            lambda: loaded,
            metrics,
            folder,
            server.bodies,
        )
        return server, await server.start([door], Address(HOST, 0), None)

    try:
        server, address = call(start())
        try:
            yield Api(address.port, metrics)
        finally:
            call(server.stop())
    finally:
        call(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
