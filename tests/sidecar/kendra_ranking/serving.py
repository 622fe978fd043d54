"""The Kendra Intelligent Ranking door on a real port, in an event loop of its own thread.

So a test may use any blocking client, in this process or another.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from botocore.client import BaseClient
from botocore.config import Config as ClientConfig

from pipelines.plan import Plan, Stage
from sidecar.config import Model
from sidecar.config_kendra_ranking import KendraRanking
from sidecar.document_scoring import DocumentScoring
from sidecar.kendra_ranking.database import Database
from sidecar.kendra_ranking.handlers import KendraRankingApi
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.root_service import add_root_route

PLAN_ID = "a1b2c3d4-0000-4000-8000-000000000001"
TARGET = "AWSKendraRerankingFrontendService"
WORDS = Model(kind="cross-encoder", source="words", backend="fake")


def kendra_plan(model: str = "words") -> Plan:
    """The shipped plan `kendra-intelligent-ranking`, with another model's name."""
    import yaml

    file = Path(__file__).parents[3] / "config" / "plans" / "kendra-intelligent-ranking.yaml"
    plan = Plan.model_validate(yaml.safe_load(file.read_text()))
    return plan.model_copy(update={"stages": (Stage(model=model),)})


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """The status and the name of an error, which is in the body and the header alike."""
        name = self.json["__type"]
        assert self.fields["x-amzn-errortype"] == name
        assert self.json["Message"] == self.json["message"]
        return self.status, name


@dataclass(frozen=True, slots=True)
class Served:
    """A running door. `clock` may be set to the time that the door is to believe."""

    port: int
    metrics: Metrics
    clock: list[float]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        fields: Mapping[str, str] | None = None,
        chunked: bool = False,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                method,
                target,
                body=iter([body]) if chunked else body,
                headers=dict(fields or {}),
                encode_chunked=chunked,
            )
            answer = connection.getresponse()
            head = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, head, answer.read())
        finally:
            connection.close()

    def call(self, operation: str, members: object = None, **fields: str) -> Answer:
        """One awsJson call, with members that no SDK would let through."""
        body = members if isinstance(members, bytes) else json.dumps(members or {}).encode()
        head = {
            "X-Amz-Target": f"{TARGET}.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        return self.send("POST", "/", body, {**head, **fields})

    def rescore(self, documents: list[dict[str, Any]], query: str = "q", **more: Any) -> Answer:
        members = {
            "RescoreExecutionPlanId": PLAN_ID,
            "SearchQuery": query,
            "Documents": documents,
            **more,
        }
        return self.call("Rescore", members)

    def client(self, key: str = "local", secret: str = "local", **more: Any) -> BaseClient:
        """A boto3 client that does not repeat what was refused."""
        return boto3.client(
            "kendra-ranking",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=ClientConfig(retries={"total_max_attempts": 1}),
            **more,
        )


@contextmanager
def serving(
    folder: Path,
    models: Models | None = None,
    plan: Plan | None = None,
    *,
    loading: bool = False,
    **settings: Any,
) -> Iterator[Served]:
    """Start a door with these settings; `PLAN_ID` is there unless `auto_plan` says otherwise."""
    metrics = Metrics()
    own = None if models or loading else load_models({"words": WORDS}, folder, metrics)
    whole = KendraRanking.model_validate({"auto_plan": PLAN_ID, **settings})
    clock: list[float] = []
    api = KendraRankingApi(
        whole,
        plan or kendra_plan(),
        DocumentScoring(lambda: models or own),
        database := Database(folder / whole.store),
        metrics,
        lambda: clock[-1] if clock else time.time(),
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="door")
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def start() -> tuple[web.AppRunner, int]:
        app = web.Application()
        add_root_route(app, [api.service])
        # Else the end waits ten seconds for the rest of a body whose sender is gone.
        runner = web.AppRunner(app, access_log=None, lingering_time=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await api.start()
        return runner, runner.addresses[0][1]

    runner, port = run(start())
    try:
        yield Served(port, metrics, clock)
    finally:
        run(runner.cleanup())
        run(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        database.close()
        if own:
            own.close()


def document(name: str, body: str | None = None, score: float = 1.0, **more: Any) -> dict[str, Any]:
    """A document of a Rescore request; without a body it has no such member."""
    text = {} if body is None else {"Body": body}
    return {"Id": name, **text, "OriginalScore": score, **more}


Serve = Callable[..., Served]
