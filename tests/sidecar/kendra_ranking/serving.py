"""The Kendra Intelligent Ranking door on a real port, with its event loop in another thread.

A test can therefore use any blocking client, in this process or another.
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
from botocore.client import BaseClient
from botocore.config import Config as ClientConfig

from pipelines.plan import Plan, Stage
from sidecar.api.root_service import add_root_route
from sidecar.api.server import ApiServer
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.config.limits import Limits
from sidecar.config.main_file import Address, Model
from sidecar.document_scoring import DocumentScoring
from sidecar.kendra_ranking.database import Database
from sidecar.kendra_ranking.handlers import KendraRankingApi
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.scoring_line import ScoringLine

PLAN_ID = "a1b2c3d4-0000-4000-8000-000000000001"
TARGET = "AWSKendraRerankingFrontendService"
WORDS = Model(kind="cross-encoder", source="words", backend="fake")


def kendra_plan(model: str = "words") -> Plan:
    """The shipped plan `kendra-intelligent-ranking`, with another model."""
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
        """The status and the name of an error. The name is in the body and in the header."""
        name = self.json["__type"]
        assert self.fields["x-amzn-errortype"] == name
        assert self.json["Message"] == self.json["message"]
        return self.status, name


@dataclass(frozen=True, slots=True)
class Served:
    """A running door. Append a time to `clock` to set the door's clock."""

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
        """Sends one request on a new connection."""
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
        """Sends one awsJson call. Its members may be such that no SDK would send them."""
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
        """A boto3 client that does not retry."""
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
    line: ScoringLine | None = None,
    **settings: Any,
) -> Iterator[Served]:
    """Start a door with these settings. The plan `PLAN_ID` exists unless `auto_plan` is given."""
    metrics = Metrics()
    own = None if models or loading else load_models({"words": WORDS}, folder, metrics)
    whole = KendraRanking.model_validate({"auto_plan": PLAN_ID, **settings})
    clock: list[float] = []
    database = Database(folder / whole.store_file)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="door")
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def start() -> tuple[ApiServer, int]:
        server = ApiServer(Limits(), metrics)
        api = KendraRankingApi(
            whole,
            plan or kendra_plan(),
            DocumentScoring(lambda: models or own, line or ScoringLine(metrics)),
            database,
            metrics,
            server.bodies,
            lambda: clock[-1] if clock else time.time(),
        )
        add_root_route(server.app, [api.service])
        address = await server.start(Address("127.0.0.1", 0), None)
        await api.start()
        return server, address.port

    server, port = run(start())
    try:
        yield Served(port, metrics, clock)
    finally:
        run(server.stop())
        run(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        database.close()
        if own:
            own.close()


def document(name: str, body: str | None = None, score: float = 1.0, **more: Any) -> dict[str, Any]:
    """A document of a Rescore request. If `body` is None, it has no such member."""
    text = {} if body is None else {"Body": body}
    return {"Id": name, **text, "OriginalScore": score, **more}


Serve = Callable[..., Served]
