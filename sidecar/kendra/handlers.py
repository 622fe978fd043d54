"""The door itself: reads an awsJson 1.1 request, finds who calls, does it, and answers.

In this order: parse, authentication, shapes, the index, its state, the request against its schema.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from pipelines.scoring import Scorers
from sidecar.aws_errors import access_denied, conflict, internal, unavailable
from sidecar.aws_json import (
    AwsError,
    read_json_object,
    read_target,
    unknown_operation,
    write_json,
)
from sidecar.aws_requests import read_body
from sidecar.aws_shapes import read_message
from sidecar.config import Config
from sidecar.config_kendra import Kendra
from sidecar.kendra.feedback import FeedbackFile
from sidecar.kendra.mapping_check import check_mappings
from sidecar.kendra.operations import OPERATIONS, SERVICE, SIGNING_NAME
from sidecar.kendra.query_ids import QueryIds
from sidecar.kendra.request import read_query, read_retrieve
from sidecar.kendra.searches import Searches
from sidecar.kendra.served_index import ServedIndex, basic, build_indexes, find_index
from sidecar.kendra.upstream_search import UpstreamSearch
from sidecar.kendra.user_context import Caller, find_token, read_caller
from sidecar.metrics import Metrics
from sidecar.relay.front import Exchanger
from sidecar.root_service import RootService
from sidecar.sigv4 import SignedRequest, verify_signature
from sidecar.split_documents import SplitDocuments

# What takes less than a millisecond stays on the event loop, the rest goes to a thread.
_ON_THE_LOOP = 4096
_TARGET = "X-Amz-Target"
_CONTENT_TYPE = "application/x-amz-json-1.1"

_log = logging.getLogger(__name__)


class KendraApi:
    """Everything behind the service. Belongs to one event loop."""

    def __init__(
        self,
        settings: Kendra,
        indexes: Mapping[str, ServedIndex],
        upstream: UpstreamSearch,
        models: Callable[[], Scorers | None],
        documents: SplitDocuments,
        folder: Path,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`models` gives None while they are loaded; `folder`: where relative paths start."""
        self._settings = settings
        self._indexes = indexes
        self._metrics = metrics
        self._clock = clock
        ids = QueryIds(settings.feedback_key.encode() if settings.feedback_key else None)
        feedback = folder / settings.feedback if settings.feedback else None
        self._feedback = FeedbackFile(feedback, ids)
        self._searches = Searches(upstream, models, documents, ids, metrics, clock)
        self._keys = {key.id: key for key in settings.access_keys}
        self._secrets = {key.id: key.secret for key in settings.access_keys}
        self._upstream = upstream
        self.service = RootService("kendra", self._owns, self._handle)

    async def check_mappings(self) -> list[str]:
        """What of the configuration does not fit the cluster, one sentence each.

        An index that the cluster does not tell of at the moment is not looked at.
        """
        problems = []
        for index in self._indexes.values():
            settings = index.settings
            documents = await self._upstream.mappings(settings.index, index.account)
            questions: Mapping[str, Any] | None = {}
            if settings.faq is not None:
                questions = await self._upstream.mappings(settings.faq.index, index.account)
            if documents is None or questions is None:
                _log.warning("index %s is not checked: OpenSearch does not tell", index.id)
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
        fields = {"Content-Type": _CONTENT_TYPE, "x-amzn-RequestId": str(uuid.uuid4())}
        try:
            answer = await self._answer(request, name)
            outcome, status, body = "ok", 200, write_json(answer)
        except Exception as error:
            known = error if isinstance(error, AwsError) else internal()
            if known is not error:
                _log.exception("%s failed", name)
            outcome, status, body = known.name, known.json_status, write_json(known.members)
            fields["x-amzn-ErrorType"] = known.name
        operation = name if name in OPERATIONS else "unknown"
        self._metrics.kendra_calls.labels(operation, outcome).inc()
        self._metrics.kendra_seconds.labels(operation).observe(time.monotonic() - started)
        return web.Response(status=status, body=body, headers=fields)

    async def _answer(self, request: web.Request, name: str) -> Mapping[str, object]:
        body = await read_body(request, self._settings.max_body_mb << 20)
        signed = SignedRequest(
            request.method, request.raw_path, tuple(request.headers.items()), body
        )
        if len(body) <= _ON_THE_LOOP:
            members, key = self._read(name, signed)
        else:
            members, key = await asyncio.to_thread(self._read, name, signed)
        not_active = unavailable if name == "SubmitFeedback" else conflict
        index = find_index(self._indexes, members["IndexId"], not_active)
        account = self._account(index, key)
        if name == "SubmitFeedback":
            await self._feedback.submit(members, self._clock())
            return {}
        if name == "GetQuerySuggestions":
            # There is no log of queries to suggest from.
            return {"QuerySuggestionsId": str(uuid.uuid4()), "Suggestions": []}
        caller = await self._find_caller(index, members.get("UserContext"))
        if name == "Retrieve":
            asked = read_retrieve(members, index.settings, caller)
            return await self._searches.retrieve(index, asked, account)
        asked = read_query(members, index.settings, caller)
        return await self._searches.query(index, asked, account)

    def _read(self, name: str, request: SignedRequest) -> tuple[dict[str, Any], str | None]:
        """Parse, authenticate and check: the members and the access key, None without keys.

        Pure computing, so it may run in any thread.
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
        """The account that OpenSearch is searched with: the caller's, or else the index's."""
        if key is None:
            return index.account
        caller = self._keys[key]
        if caller.indexes and index.id not in caller.indexes:
            raise access_denied(f"This access key may not search the index {index.id}.")
        return basic(caller.account) if caller.account else index.account

    async def _find_caller(
        self, index: ServedIndex, user_context: Mapping[str, Any] | None
    ) -> Caller | None:
        token = find_token(user_context)
        from_token = await index.tokens.read(token) if token is not None else None
        return read_caller(user_context, index.settings.user_context, from_token)


def build_kendra(
    config: Config,
    settings: Kendra,
    upstream: Exchanger,
    models: Callable[[], Scorers | None],
    documents: SplitDocuments,
    folder: Path,
    metrics: Metrics,
) -> KendraApi:
    """Put the door before the cluster and the models; `folder`: where relative paths start."""
    return KendraApi(
        settings,
        build_indexes(config, settings, folder),
        UpstreamSearch(
            upstream,
            urlsplit(config.main.upstream.urls[0]).netloc,
            settings.deadline_ms / 1000,
        ),
        models,
        documents,
        folder,
        metrics,
    )
