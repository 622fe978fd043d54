"""The handler of `/v1/embeddings`, `/embeddings`, `/embed` and `/similarity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from sidecar.rerank.bearer_gate import Answered, BearerGate, post_routes
from sidecar.rerank.body import run_off_loop
from sidecar.rerank.embedder import Embedder
from sidecar.rerank.embedding_forms import EMBEDDING_PATHS, EmbeddingForm

_NUMBER_BYTES = 12
"""About what a number adds to an answer."""


class EmbeddingPaths:
    """Answers these paths."""

    def __init__(self, gate: BearerGate, embedder: Embedder) -> None:
        self._gate = gate
        self._embedder = embedder

    def routes(self) -> Sequence[web.RouteDef]:
        """The paths, each with the form of its API."""
        return [
            route
            for path, form in EMBEDDING_PATHS.items()
            for route in post_routes(path, partial(self._handle, form))
        ]

    async def _handle(self, form: EmbeddingForm, request: web.Request) -> web.Response:
        return await self._gate.answer_post(request, form, lambda form, _: form, self._answer)

    async def _answer(self, form: EmbeddingForm, members: Mapping[str, Any], size: int) -> Answered:
        request = await run_off_loop(size, lambda: form.read(members))
        answer = await self._embedder.embed(
            request.texts,
            model=request.model,
            dimensions=request.dimensions,
            as_queries=request.as_queries,
        )
        written = _NUMBER_BYTES * len(request.texts) * answer.dimensions
        text = await run_off_loop(written, lambda: form.write(request, answer))
        return Answered(text, len(request.texts), answer.tokens)
