"""The door itself: reads a request of any wire, finds who calls, does it, and answers.

In this order: parse, authentication, shapes, the plan, its state, quota and throttling, the model.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from pipelines.plan import Plan
from sidecar.aws_errors import access_denied, conflict, internal, throttled
from sidecar.aws_json import AwsError
from sidecar.aws_requests import read_body
from sidecar.aws_shapes import read_message
from sidecar.config_kendra_ranking import KendraRanking
from sidecar.document_scoring import DocumentScoring
from sidecar.kendra_ranking import plans
from sidecar.kendra_ranking.allowance import Allowance
from sidecar.kendra_ranking.database import Database
from sidecar.kendra_ranking.operations import SIGNING_NAME, declare_operations
from sidecar.kendra_ranking.rescoring import read_groups, rescore_groups
from sidecar.kendra_ranking.wires import (
    Call,
    Wire,
    find_wire,
    read_call,
    read_members,
    write_answer,
    write_error,
)
from sidecar.metrics import Metrics
from sidecar.root_service import RootService
from sidecar.sigv4 import SignedRequest, verify_signature

# What takes less than a millisecond stays on the event loop, the rest goes to a thread.
_ON_THE_LOOP = 4096
_DOCUMENTS_ON_THE_LOOP = 100
_TARGET = "X-Amz-Target"

_log = logging.getLogger(__name__)


class KendraRankingApi:
    """Everything behind the service's three wires. Belongs to one event loop."""

    def __init__(
        self,
        settings: KendraRanking,
        plan: Plan,
        scoring: DocumentScoring,
        database: Database,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._scoring = scoring
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._operations = declare_operations(settings)
        self._allowance = Allowance()
        self._secrets = {key.id: key.secret for key in settings.access_keys}
        self._rescore_only = {key.id for key in settings.access_keys if key.rescore_only}
        self.service = RootService("kendra-ranking", self._owns, self._handle)

    async def start(self) -> None:
        """Make sure that the configured `auto_plan` is there."""
        plan_id = self._settings.auto_plan
        if plan_id is not None:
            await self._database.write(
                lambda connection: plans.insert_plan(
                    connection, plan_id, "auto-plan", "", 0, self._clock(), self._settings
                )
            )

    def _owns(self, request: web.Request) -> bool:
        return _wire(request) is not None

    async def _handle(self, request: web.Request) -> web.Response:
        started = time.monotonic()
        wire = _wire(request) or "rest"
        target = request.headers.get(_TARGET)
        call = read_call(wire, self._operations, request.method, request.raw_path, target)
        try:
            answer = await self._answer(request, call)
            outcome = "ok"
            status, (body, fields) = 200, write_answer(wire, answer)
        except Exception as error:
            known = error if isinstance(error, AwsError) else internal()
            if known is not error:
                _log.exception("%s failed", call.name)
            outcome = known.name
            status, body, fields = write_error(wire, known)
        operation = call.operation.name if call.operation else "unknown"
        self._metrics.kendra_ranking_calls.labels(operation, wire, outcome).inc()
        self._metrics.kendra_ranking_seconds.labels(operation).observe(time.monotonic() - started)
        fields["x-amzn-RequestId"] = str(uuid.uuid4())
        return web.Response(status=status, body=body, headers=fields)

    async def _answer(self, request: web.Request, call: Call) -> Mapping[str, object]:
        body = await read_body(request, self._settings.max_body_mb << 20)
        signed = SignedRequest(
            request.method, request.raw_path, tuple(request.headers.items()), body
        )
        if len(body) <= _ON_THE_LOOP:
            members = self._read(call, signed)
        else:
            members = await asyncio.to_thread(self._read, call, signed)
        if call.name == "Rescore":
            return await self._rescore(members)
        return await self._manage(call.name, members)

    def _read(self, call: Call, request: SignedRequest) -> dict[str, Any]:
        """Parse, authenticate and check; pure computing, so it may run in any thread."""
        members = read_members(call, request.body)
        assert call.operation is not None  # read_members has refused the others
        self._authenticate(call, request)
        return read_message(call.operation.input, members)

    def _authenticate(self, call: Call, request: SignedRequest) -> None:
        settings = self._settings
        if not settings.access_keys and not settings.bearer_tokens:
            return
        authorization = request.field("authorization") or ""
        if settings.bearer_tokens and authorization.startswith("Bearer "):
            given = authorization.removeprefix("Bearer ").encode("utf-8", "surrogateescape")
            if not any(hmac.compare_digest(given, t.encode()) for t in settings.bearer_tokens):
                raise AwsError("InvalidClientTokenId", "The bearer token is not valid.", 403, 403)
            return
        key = verify_signature(request, self._secrets, SIGNING_NAME, settings.region, self._clock())
        if key in self._rescore_only and call.name != "Rescore":
            raise access_denied(f"This access key may only rescore, not {call.name}.")

    async def _rescore(self, members: Mapping[str, Any]) -> dict[str, object]:
        plan_id = members["RescoreExecutionPlanId"]
        now = self._clock()
        plan = await self._database.read(lambda store: plans.find_plan(store, plan_id, now))
        if plan.status not in ("ACTIVE", "UPDATING"):
            raise conflict(f"The plan is {plan.status}; wait until it is ACTIVE.")
        documents = members["Documents"]
        if len(documents) <= _DOCUMENTS_ON_THE_LOOP:
            groups = read_groups(documents, self._settings)
        else:
            groups = await asyncio.to_thread(read_groups, documents, self._settings)
        if self._settings.throttling:
            wait = self._allowance.take(plan_id, plan.units, time.monotonic())
            if wait:
                raise throttled(f"The plan's capacity units are used up for {wait:.1f} seconds.")
        return await rescore_groups(
            members["SearchQuery"],
            groups,
            self._plan,
            self._scoring,
            self._settings.deadline_ms / 1000,
        )

    async def _manage(self, name: str, members: Mapping[str, Any]) -> dict[str, object]:
        now, settings, database = self._clock(), self._settings, self._database
        match name:
            case "CreateRescoreExecutionPlan":
                create = partial(plans.create_plan, members=members, now=now, settings=settings)
                return await database.write(create)
            case "UpdateRescoreExecutionPlan":
                update = partial(plans.update_plan, members=members, now=now, settings=settings)
                return await database.write(update)
            case "DeleteRescoreExecutionPlan":
                delete = partial(plans.delete_plan, members=members, now=now, settings=settings)
                return await database.write(delete)
            case "TagResource":
                return await database.write(partial(plans.tag_resource, members=members, now=now))
            case "UntagResource":
                return await database.write(partial(plans.untag_resource, members=members, now=now))
            case "DescribeRescoreExecutionPlan":
                return await database.read(partial(plans.describe_plan, members=members, now=now))
            case "ListRescoreExecutionPlans":
                return await database.read(partial(plans.list_plans, members=members, now=now))
            case _:
                return await database.read(partial(plans.list_tags, members=members, now=now))


def build_kendra_ranking(
    settings: KendraRanking,
    plan: Plan,
    scoring: DocumentScoring,
    folder: Path,
    metrics: Metrics,
) -> tuple[KendraRankingApi, Database]:
    """Put the door before the store, which lies in `folder`.

    Await the door's `start` once, and close the database at the end.
    """
    database = Database(folder / settings.store)
    return KendraRankingApi(settings, plan, scoring, database, metrics), database


def _wire(request: web.Request) -> Wire | None:
    return find_wire(request.raw_path.partition("?")[0], request.headers.get(_TARGET))
