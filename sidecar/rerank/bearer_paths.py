"""The handler of `/rerank`, `/v1/rerank`, `/v2/rerank` and their other names."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from sidecar.rerank.answer import RerankAnswer, rank, write_json
from sidecar.rerank.bearer_gate import Answered, BearerGate, post_routes
from sidecar.rerank.body import run_off_loop
from sidecar.rerank.forms import PATHS, ApiForm, choose_form
from sidecar.rerank.request import RerankRequest, check_count
from sidecar.rerank.reranker import Reranker

_ENTRY_BYTES = 100
"""About what a document adds to an answer that does not return it."""


class BearerPaths:
    """Answers the paths of `forms.PATHS`."""

    def __init__(self, gate: BearerGate, reranker: Reranker, *, max_documents: int) -> None:
        self._gate = gate
        self._reranker = reranker
        self._max_documents = max_documents

    def routes(self) -> Sequence[web.RouteDef]:
        """The paths, each with the form of its API."""
        return [
            route
            for path, form in PATHS.items()
            for route in post_routes(path, partial(self._handle, form))
        ]

    async def _handle(self, form: ApiForm, request: web.Request) -> web.Response:
        return await self._gate.answer_post(request, form, choose_form, self._answer)

    async def _answer(self, form: ApiForm, members: Mapping[str, Any], size: int) -> Answered:
        rerank_request = await run_off_loop(size, lambda: form.read(members))
        answer = await self._rerank(rerank_request)
        written = size if rerank_request.return_documents else _ENTRY_BYTES * len(answer.indices)
        text = await run_off_loop(written, lambda: write_json(form.write(answer)))
        return Answered(text, len(answer.logits), answer.tokens)

    async def _rerank(self, rerank_request: RerankRequest) -> RerankAnswer:
        check_count(len(rerank_request.documents), self._max_documents)
        scores = await self._reranker.score(rerank_request.query, rerank_request.documents)
        return RerankAnswer(
            request=rerank_request,
            indices=rank(scores.logits, rerank_request.top_n),
            logits=scores.logits,
            tokens=scores.tokens,
            model=rerank_request.model or self._reranker.plan_name,
            identifier=str(uuid.uuid4()),
            created=int(time.time()),
        )
