"""The door: reads a request on any wire, authenticates the client, runs the operation, answers.

Checks are made in this order: syntax, authentication, shapes, the plan, its state, quotas,
throttling. The model comes last.
"""

from __future__ import annotations

import hmac
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from pipelines.plan import Plan
from sidecar.api.request_body import BodyReader
from sidecar.api.root_service import RootService
from sidecar.aws.errors import access_denied, conflict, internal, throttled
from sidecar.aws.json import AwsError
from sidecar.aws.requests import read_body, run_off_loop
from sidecar.aws.shapes import read_message
from sidecar.aws.sigv4 import SignedRequest, verify_signature
from sidecar.config.kendra_ranking import KendraRanking
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

# Grouping more documents than this may take over a millisecond, so a thread does it.
_DOCUMENTS_ON_THE_LOOP = 100
_TARGET = "X-Amz-Target"

_log = logging.getLogger(__name__)


class KendraRankingApi:
    """The service, behind its three wires. Belongs to one event loop."""

    def __init__(
        self,
        settings: KendraRanking,
        plan: Plan,
        scoring: DocumentScoring,
        database: Database,
        metrics: Metrics,
        bodies: BodyReader,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._scoring = scoring
        self._database = database
        self._metrics = metrics
        self._bodies = bodies
        self._clock = clock
        self._operations = declare_operations(settings)
        self._allowance = Allowance()
        self._secrets = {key.id: key.secret for key in settings.access_keys}
        self._rescore_only = {key.id for key in settings.access_keys if key.rescore_only}
        self.service = RootService("kendra-ranking", self._owns, self._handle)

    async def start(self) -> None:
        """Create the plan that `auto_plan` configures, unless it exists."""
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
            aws_error = error if isinstance(error, AwsError) else internal()
            if aws_error is not error:
                _log.exception("%s failed", call.name)
            outcome = aws_error.name
            status, body, fields = write_error(wire, aws_error)
        operation = call.operation.name if call.operation else "unknown"
        self._metrics.kendra_ranking_calls.labels(operation, wire, outcome).inc()
        self._metrics.kendra_ranking_seconds.labels(operation).observe(time.monotonic() - started)
        fields["x-amzn-RequestId"] = str(uuid.uuid4())
        return web.Response(status=status, body=body, headers=fields)

    async def _answer(self, request: web.Request, call: Call) -> Mapping[str, object]:
        body = await read_body(self._bodies, request, self._settings.max_body_mb << 20)
        signed = SignedRequest(
            request.method, request.raw_path, tuple(request.headers.items()), body
        )
        members = await run_off_loop(signed.size, lambda: self._read(call, signed))
        if call.name == "Rescore":
            return await self._rescore(members)
        return await self._manage(call.name, members)

    def _read(self, call: Call, request: SignedRequest) -> dict[str, Any]:
        """Parse, authenticate and check a request. It does no I/O, so it may run in any thread."""
        members = read_members(call, request.body)
        assert call.operation is not None  # read_members raises for an unknown operation
        self._authenticate(call, request)
        return read_message(call.operation.input, members)

    def _authenticate(self, call: Call, request: SignedRequest) -> None:
        settings = self._settings
        if not settings.access_keys and not settings.bearer_tokens:
            return
        authorization = request.field("authorization") or ""
        if settings.bearer_tokens and authorization.startswith("Bearer "):
            token = authorization.removeprefix("Bearer ").encode("utf-8", "surrogateescape")
            if not any(hmac.compare_digest(token, t.encode()) for t in settings.bearer_tokens):
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
        groups = await run_off_loop(
            len(documents),
            lambda: read_groups(documents, self._settings),
            _DOCUMENTS_ON_THE_LOOP,
        )
        if self._settings.throttling:
            wait = self._allowance.take(plan_id, plan.units, time.monotonic())
            if wait:
                raise throttled(
                    f"The plan's capacity units are used up; try again in {wait:.1f} seconds."
                )
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


def _wire(request: web.Request) -> Wire | None:
    return find_wire(request.raw_path.partition("?")[0], request.headers.get(_TARGET))
