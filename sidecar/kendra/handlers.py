"""The door itself: reads an awsJson 1.1 request, carries out its operation, and answers.

A request is checked in this order: JSON, operation, signature, shapes, index, state of the index,
rights of the access key, user context, and the request against the index's schema.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from pipelines.scoring import Scorers
from sidecar.api.request_body import BodyReader
from sidecar.api.root_service import RootService
from sidecar.aws.errors import access_denied, conflict, internal, throttled, unavailable
from sidecar.aws.json import (
    AwsError,
    read_json_object,
    read_target,
    unknown_operation,
    write_json,
)
from sidecar.aws.requests import read_body, run_off_loop
from sidecar.aws.shapes import read_message
from sidecar.aws.sigv4 import SignedRequest, verify_signature
from sidecar.config.kendra import Kendra
from sidecar.event_loop.off_loop import Busy
from sidecar.expiring_cache import NoOtherCaches, OtherCaches
from sidecar.kendra.answering.page_orders import PageOrders
from sidecar.kendra.answering.query_ids import QueryIds
from sidecar.kendra.asking.request import read_query, read_retrieve
from sidecar.kendra.feedback import FeedbackFile
from sidecar.kendra.indexes.mapping_check import check_mappings
from sidecar.kendra.indexes.served_index import ServedIndex, find_index, write_account
from sidecar.kendra.indexes.user_context import Caller, find_token, read_caller
from sidecar.kendra.operations import OPERATIONS, SERVICE, SIGNING_NAME
from sidecar.kendra.searches import KendraSearches
from sidecar.kendra.upstream_search import UpstreamSearch
from sidecar.metrics import Metrics
from sidecar.opensearch.callers import Callers
from sidecar.passage_cutter import PassageCutter

_TARGET = "X-Amz-Target"
# Members that do not affect the order. A client may ask for facets with the first page only.
_OF_ONE_PAGE = frozenset(
    {
        *("PageNumber", "PageSize", "UserContext"),
        *("Facets", "RequestedDocumentAttributes", "SpellCorrectionConfiguration"),
    }
)
_CONTENT_TYPE = "application/x-amz-json-1.1"

_ALONE = NoOtherCaches()

_log = logging.getLogger(__name__)


class KendraApi:
    """The service and all that it needs. Belongs to one event loop."""

    def __init__(
        self,
        settings: Kendra,
        indexes: Mapping[str, ServedIndex],
        upstream: UpstreamSearch,
        models: Callable[[], Scorers | None],
        passage_cutter: PassageCutter,
        folder: Path,
        metrics: Metrics,
        bodies: BodyReader,
        clock: Callable[[], float] = time.time,
        others: OtherCaches = _ALONE,
    ) -> None:
        """`models` returns None until the models are loaded. Relative paths start at `folder`.
        `others`: the other workers' caches."""
        self._settings = settings
        self._indexes = indexes
        self._metrics = metrics
        self._bodies = bodies
        self._clock = clock
        ids = QueryIds(settings.feedback_key.encode() if settings.feedback_key else None)
        feedback = folder / settings.feedback_file if settings.feedback_file else None
        self._feedback = FeedbackFile(feedback, ids)
        self._searches = KendraSearches(
            upstream,
            models,
            passage_cutter,
            ids,
            metrics,
            clock,
            PageOrders(settings.window_order_s, settings.window_order_mb << 20, others),
            settings.model_deadline_ms / 1000,
        )
        self._callers = Callers()
        self._keys = {key.id: key for key in settings.access_keys}
        self._secrets = {key.id: key.secret for key in settings.access_keys}
        self._upstream = upstream
        self.services = (
            RootService("kendra", self._owns, self._handle),
            RootService("kendra-unknown-target", _has_target, self._refuse_target),
        )

    async def check_mappings(self) -> list[str]:
        """Where the configuration does not fit the cluster: one sentence for each mistake.

        An index whose mapping OpenSearch does not return is not checked; the log says so.
        """
        problems = []
        for index in self._indexes.values():
            settings = index.settings
            documents = await self._upstream.mappings(settings.index, index.account)
            questions: Mapping[str, Any] | None = {}
            if settings.faq is not None:
                questions = await self._upstream.mappings(settings.faq.index, index.account)
            if documents is None or questions is None:
                _log.warning(
                    "index %s is not checked: OpenSearch does not return its mapping", index.id
                )
                continue
            problems += [
                f"apis.kendra.indexes.{index.id}: {problem}"
                for problem in check_mappings(settings, documents, questions)
            ]
        return problems

    def _owns(self, request: web.Request) -> bool:
        return read_target(request.headers.get(_TARGET), SERVICE) is not None

    async def _handle(self, request: web.Request) -> web.Response:
        started = time.monotonic()
        name = read_target(request.headers.get(_TARGET), SERVICE) or ""
        fields = _write_fields()
        try:
            answer = await self._answer(request, name)
            outcome, status = "ok", 200
            body = await run_off_loop(_size(answer), lambda: write_json(answer))
        except Exception as error:
            aws_error = _to_aws_error(error)
            if not isinstance(error, AwsError | Busy):
                _log.exception("%s failed", name)
            outcome, status = aws_error.name, aws_error.json_status
            body = write_json(aws_error.members)
            fields["x-amzn-ErrorType"] = aws_error.name
        operation = name if name in OPERATIONS else "unknown"
        self._metrics.kendra_calls.labels(operation, outcome).inc()
        self._metrics.kendra_seconds.labels(operation).observe(time.monotonic() - started)
        return web.Response(status=status, body=body, headers=fields)

    async def _refuse_target(self, request: web.Request) -> web.Response:
        """The answer to a target of no service here: a client with a wrong target reads it."""
        error = unknown_operation(request.headers[_TARGET], 400)
        self._metrics.kendra_calls.labels("unknown", error.name).inc()
        fields = _write_fields()
        fields["x-amzn-ErrorType"] = error.name
        return web.Response(
            status=error.json_status, body=write_json(error.members), headers=fields
        )

    async def _answer(self, request: web.Request, name: str) -> Mapping[str, object]:
        body = await read_body(self._bodies, request, self._settings.max_body_mb << 20)
        signed = SignedRequest(
            request.method, request.raw_path, tuple(request.headers.items()), body
        )
        members, key = await run_off_loop(signed.size, lambda: self._read(name, signed))
        not_active = unavailable if name == "SubmitFeedback" else conflict
        index = find_index(self._indexes, members["IndexId"], not_active)
        account = self._account(index, key)
        if name == "SubmitFeedback":
            await self._feedback.submit(members, self._clock())
            return {}
        if name == "GetQuerySuggestions":
            # Kendra suggests queries from a log of queries, which the sidecar does not keep.
            return {"QuerySuggestionsId": str(uuid.uuid4()), "Suggestions": []}
        caller = await self._find_caller(index, members.get("UserContext"))
        order_key = await run_off_loop(
            signed.size, lambda: self._order_key(name, members, caller, key, account)
        )
        if name == "Retrieve":
            kendra_request = await run_off_loop(
                signed.size, lambda: read_retrieve(members, index.settings, caller)
            )
            return await self._searches.retrieve(index, kendra_request, account, order_key)
        kendra_request = await run_off_loop(
            signed.size, lambda: read_query(members, index.settings, caller)
        )
        return await self._searches.query(index, kendra_request, account, order_key)

    def _read(self, name: str, request: SignedRequest) -> tuple[dict[str, Any], str | None]:
        """The checked members and the caller's access key. Raises AwsError.

        The key is None if none are configured. May run in any thread.
        """
        members = read_json_object(request.body)
        shape = OPERATIONS.get(name)
        if shape is None or request.method != "POST":
            raise unknown_operation(name, 400)
        key = None
        if self._settings.access_keys:
            key = verify_signature(
                request, self._secrets, SIGNING_NAME, self._settings.region, self._clock()
            )
        return read_message(shape, members), key

    def _account(self, index: ServedIndex, key: str | None) -> str | None:
        """The account for OpenSearch: that of the access key if it has one, else the index's."""
        if key is None:
            return index.account
        caller = self._keys[key]
        if caller.indexes and index.id not in caller.indexes:
            raise access_denied(f"This access key may not search the index {index.id}.")
        return write_account(caller.account) if caller.account else index.account

    def _order_key(
        self,
        name: str,
        members: Mapping[str, Any],
        caller: Caller | None,
        key: str | None,
        account: str | None,
    ) -> bytes:
        """A digest that is the same for all pages of one caller's question, and for nothing else.

        A token may change between two pages; its user and groups count. May run in any thread.
        """
        question = {
            member: value for member, value in members.items() if member not in _OF_ONE_PAGE
        }
        pieces = (name, json.dumps(question, sort_keys=True), repr(caller), repr((key, account)))
        return self._callers.digest(piece.encode() for piece in pieces)

    async def _find_caller(
        self, index: ServedIndex, user_context: Mapping[str, Any] | None
    ) -> Caller | None:
        token = find_token(user_context)
        from_token = await index.tokens.read(token) if token is not None else None
        return read_caller(user_context, index.settings.user_context, from_token)


def _has_target(request: web.Request) -> bool:
    return _TARGET in request.headers


def _write_fields() -> dict[str, str]:
    return {"Content-Type": _CONTENT_TYPE, "x-amzn-RequestId": str(uuid.uuid4())}


def _size(answer: Mapping[str, object]) -> int:
    """The work of writing an answer, as a number of characters that take as long to read."""
    items = answer.get("ResultItems")
    if not isinstance(items, list):
        return 0
    return sum(400 + 60 * len(item.get("DocumentAttributes", ())) for item in items)


def _to_aws_error(error: Exception) -> AwsError:
    """The error of the service's model that says the same."""
    if isinstance(error, Busy):
        return throttled("The sidecar has too much to do at the moment; try again.")
    return error if isinstance(error, AwsError) else internal()
