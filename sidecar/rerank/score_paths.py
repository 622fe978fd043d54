"""The handler of `/score` and `/v1/score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from sidecar.rerank.answer import write_json
from sidecar.rerank.bearer_gate import Answered, BearerGate, post_routes
from sidecar.rerank.body import run_off_loop
from sidecar.rerank.pair_scores import SCORE, ScoreForm, read_pairs, write_scores
from sidecar.rerank.request import check_count
from sidecar.rerank.reranker import Reranker

_ENTRY_BYTES = 60
"""About what a pair adds to an answer."""


class ScorePaths:
    """Answers the two paths."""

    def __init__(self, gate: BearerGate, reranker: Reranker, *, max_documents: int) -> None:
        self._gate = gate
        self._reranker = reranker
        self._max_documents = max_documents

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            route for path in ("/score", "/v1/score") for route in post_routes(path, self._handle)
        ]

    async def _handle(self, request: web.Request) -> web.Response:
        return await self._gate.answer_post(request, SCORE, lambda form, _: form, self._answer)

    async def _answer(self, _: ScoreForm, members: Mapping[str, Any], size: int) -> Answered:
        pairs = await run_off_loop(size, lambda: read_pairs(members))
        check_count(len(pairs.documents), self._max_documents, "pairs")
        groups = pairs.by_query()
        scores = await self._reranker.score_each(
            [(query, [pairs.documents[at] for at in places]) for query, places in groups.items()]
        )
        logits = [0.0] * len(pairs.documents)
        for places, group in zip(groups.values(), scores, strict=True):
            for place, logit in zip(places, group.logits, strict=True):
                logits[place] = logit
        tokens = sum(group.tokens for group in scores)
        text = await run_off_loop(
            _ENTRY_BYTES * len(logits),
            lambda: write_json(write_scores(pairs, logits, tokens, self._reranker.plan_name)),
        )
        return Answered(text, len(logits), tokens)
