"""The handlers of `/rerank`, `/v1/rerank` and `/v2/rerank`, with bearer keys."""

from __future__ import annotations

import logging
import time
import uuid

from aiohttp import web

from sidecar.config_rerank import BearerShapes
from sidecar.rerank.answer import RerankAnswer, rank, write_json
from sidecar.rerank.body import beside_the_loop, receive_body
from sidecar.rerank.callers import UNKNOWN, RateLimit, find_bearer
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.request import RerankRequest, parse_object, read_request
from sidecar.rerank.reranker import Reranker
from sidecar.rerank.shapes import INFINITY, TEI, UNDECIDED, V1, V2, Shape
from sidecar.rerank.tei import is_tei, read_tei
from sidecar.rerank.usage import Usage

_ENTRY_BYTES = 100
"""What a document that is not sent back adds to an answer, about."""

_log = logging.getLogger(__name__)


class BearerPaths:
    """Answers the three paths."""

    def __init__(
        self,
        settings: BearerShapes,
        reranker: Reranker,
        usage: Usage,
        *,
        max_documents: int,
        max_body_bytes: int,
        requests_per_second: float,
    ) -> None:
        self._keys = settings.keys
        self._reranker = reranker
        self._usage = usage
        self._max_documents = max_documents
        self._max_body_bytes = max_body_bytes
        self._rate = RateLimit(requests_per_second)

    def add_routes(self, app: web.Application) -> None:
        async def handle_v1(request: web.Request) -> web.Response:
            return await self._handle(request, V1)

        async def handle_v2(request: web.Request) -> web.Response:
            return await self._handle(request, V2)

        async def handle_plain(request: web.Request) -> web.Response:
            return await self._handle(request, UNDECIDED)

        app.router.add_post("/v1/rerank", handle_v1)
        app.router.add_post("/v2/rerank", handle_v2)
        app.router.add_post("/rerank", handle_plain)

    async def _handle(self, request: web.Request, shape: Shape) -> web.Response:
        caller = UNKNOWN
        try:
            caller = find_bearer(self._keys, request.headers.get("Authorization"))
            self._rate.take(caller)
            body = await receive_body(request, self._max_body_bytes)
            content = await beside_the_loop(len(body), lambda: parse_object(body))
            if shape is UNDECIDED:
                shape = TEI if is_tei(content) else INFINITY
            read = read_tei if shape is TEI else read_request
            asked = await beside_the_loop(len(body), lambda: read(content))
            answer = await self._rerank(asked)
            size = len(body) if asked.return_documents else _ENTRY_BYTES * len(answer.indices)
            text = await beside_the_loop(size, lambda: write_json(shape.write(answer)))
        except Refusal as refusal:
            return self._refuse(shape, caller, refusal)
        except Exception:
            _log.exception("a rerank request failed")
            return self._refuse(shape, caller, Refusal("internal", "an error within the sidecar"))
        self._usage.count(shape.api, caller, "ok", len(asked.documents), answer.tokens)
        return web.Response(text=text, content_type="application/json")

    async def _rerank(self, asked: RerankRequest) -> RerankAnswer:
        count = len(asked.documents)
        if count > self._max_documents:
            raise Refusal(
                "too_many", f"{count} documents, at most {self._max_documents} are allowed"
            )
        scored = await self._reranker.score(asked.query, asked.documents)
        return RerankAnswer(
            request=asked,
            indices=rank(scored.logits, asked.top_n),
            logits=scored.logits,
            tokens=scored.tokens,
            model=asked.model or self._reranker.plan_name,
            identifier=str(uuid.uuid4()),
            created=int(time.time()),
        )

    def _refuse(self, shape: Shape, caller: str, refusal: Refusal) -> web.Response:
        self._usage.count(shape.api, caller, refusal.cause)
        status, body = shape.write_error(refusal.cause, refusal.message)
        fields = {"WWW-Authenticate": "Bearer"} if refusal.cause == "unauthorized" else {}
        if refusal.again_s is not None:
            fields["Retry-After"] = str(refusal.again_s)
        return web.Response(
            text=write_json(body), status=status, headers=fields, content_type="application/json"
        )
