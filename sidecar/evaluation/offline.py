"""Runs many variants of a plan over the same windows, without a cluster; `tune` compares them.

Each variant runs through the ranking core itself. A model reads a text once for each query. Its
score is remembered, so further variants cost no model time.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession

from pipelines.errors import BadScores, NoText
from pipelines.fusion_methods import AdditiveFusion
from pipelines.passages import Splitter, split_document
from pipelines.plan import Plan
from pipelines.relevance import rate_relevance
from pipelines.rescore import ChosenPassages, choose_passages, rescore
from pipelines.scoring import Scorer
from sidecar.config.limits import Limits
from sidecar.evaluation.searching import SearchFailed
from sidecar.opensearch.search_request import list_plan_fields, read_search_request
from sidecar.opensearch.search_response import SearchResponse, Unreadable, read_search_response
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch_rules.request_headers import SearchHeaders


@dataclass(frozen=True, slots=True)
class Window:
    """A query's hits in the original order, with the text that the plan reads."""

    query_text: str
    search_response: SearchResponse

    @property
    def ranked_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hit.id for hit in self.search_response.hits))


async def fetch_window(
    session: ClientSession, search_url: str, body: Mapping[str, Any], plan: Plan
) -> Window:
    """The window for `body`, fetched from the cluster itself.

    Raises SearchFailed, also if the proxy would skip such a search.
    """
    written = json.dumps(body).encode()
    headers = SearchHeaders(content_type=b"application/json")
    search_request = read_search_request(b"/index/_search", written, headers, plan, Limits())
    if isinstance(search_request, Skip):
        raise SearchFailed(f"searches of this kind are left alone, reason={search_request.reason}")
    own_body = {**body, "_source": list(dict.fromkeys(list_plan_fields(plan)))}
    try:
        async with session.post(search_url, json=own_body) as response:
            content = await response.read()
            if response.status != 200:
                shown = content[:200].decode(errors="replace")
                raise SearchFailed(f"{search_url}: status {response.status}: {shown}")
    except (ClientError, TimeoutError) as error:
        raise SearchFailed(f"{search_url}: {error or type(error).__name__}") from None
    try:
        search_response = read_search_response(content)
    except Unreadable as error:
        raise SearchFailed(f"{search_url}: {error}") from None
    if not search_response.scored:
        raise SearchFailed("searches of this kind are left alone, reason=sorted")
    return Window(search_request.query_text, search_response)


@dataclass(slots=True)
class RememberingScorer(Scorer):
    """A scorer for one query that passes on only the texts that it has not scored before."""

    behind: Scorer
    known: dict[tuple[str, str], float | None] = field(default_factory=dict)

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        missing = list(dict.fromkeys(text for text in texts if (model, text) not in self.known))
        if missing:
            scores = await self.behind.score(model, query_text, missing)
            self.known.update(((model, text), s) for text, s in zip(missing, scores, strict=True))
        return [self.known[model, text] for text in texts]

    def spread(self, model: str) -> float:
        """See `Scorer`."""
        return self.behind.spread(model)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        return await self.behind.estimate(model, query_text, texts)


async def order_by_plans(
    window: Window,
    plans: Sequence[Plan],
    scorer: Scorer,
    split: Splitter = split_document,
) -> list[tuple[str, ...]]:
    """The ids of the window's hits in the order of each plan, at its own rescore window.

    The plans may differ in everything except the fields that they read. If a plan cannot rescore
    these hits, they keep their order. `split` may remember
    documents across queries. Raises the RescoreError of a model that fails.
    """
    remembering = RememberingScorer(scorer)
    chosen: dict[Hashable, ChosenPassages | None] = {}
    orders = []
    for plan in plans:
        size = plan.rescore_window
        guard = isinstance(plan.fusion, AdditiveFusion) and plan.fusion.guard.identifiers > 0
        # Everything that `choose_passages` depends on.
        key = (size, plan.passages, plan.fusion.reads_words, plan.stem_language, guard)
        if key not in chosen:
            try:
                chosen[key] = choose_passages(
                    plan, window.query_text, window.search_response.window(size), split
                )
            except (NoText, BadScores):
                chosen[key] = None
        orders.append(await _order(window, plan, chosen[key], remembering))
    return orders


async def rate_hits(
    window: Window, plan: Plan, scorer: Scorer, split: Splitter = split_document
) -> list[tuple[str, float]]:
    """The id and relevance of each hit of the window whose relevance is known."""
    try:
        hits = window.search_response.window(plan.rescore_window)
        chosen = choose_passages(plan, window.query_text, hits, split)
        rescoring = await rescore(plan, window.query_text, chosen, scorer)
    except (NoText, BadScores):
        return []
    spreads = [scorer.spread(stage.model) for stage in plan.stages]
    rated = (
        (
            window.search_response.hits[report.position].id,
            rate_relevance(plan, report.scores, spreads),
        )
        for report in rescoring.hits
    )
    return [(document, relevance) for document, relevance in rated if relevance is not None]


async def _order(
    window: Window, plan: Plan, chosen: ChosenPassages | None, scorer: Scorer
) -> tuple[str, ...]:
    if chosen is None:
        return window.ranked_ids
    try:
        rescoring = await rescore(plan, window.query_text, chosen, scorer)
    except BadScores:
        return window.ranked_ids
    hits = window.search_response.hits
    rescored = [hits[ranked.position].id for ranked in rescoring.ranking]
    return tuple(dict.fromkeys([*rescored, *(hit.id for hit in hits[len(rescored) :])]))
