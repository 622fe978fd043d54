"""Runs many variants of a plan over the same windows, without a cluster: what `tune` compares.

Each variant goes through the ranking core itself. A model reads a text once for each query;
after that its score is remembered, so that a further variant costs no model's time.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession

from pipelines.errors import BadScores, NoText
from pipelines.passages import Splitter, split_document
from pipelines.plan import Plan
from pipelines.rescore import Prepared, prepare, rescore
from pipelines.scoring import Scorer
from sidecar.evaluation.searching import SearchFailed
from sidecar.opensearch.search_request import SearchHeaders, fields_read, read_search_request
from sidecar.opensearch.search_response import ReadHits, Unreadable, read_hits
from sidecar.opensearch.skip_reasons import Skip


@dataclass(frozen=True, slots=True)
class Window:
    """A query's hits in the original order, with the text that the plan reads."""

    query_text: str
    read: ReadHits

    @property
    def ranked_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hit.id for hit in self.read.hits))


async def fetch_window(
    session: ClientSession, search_url: str, body: Mapping[str, Any], plan: Plan
) -> Window:
    """The window that `body` asks for, from the cluster itself.

    Raises SearchFailed, also when the proxy would leave such a search alone.
    """
    written = json.dumps(body).encode()
    headers = SearchHeaders(content_type=b"application/json")
    found = read_search_request(b"/index/_search", written, headers, plan)
    if isinstance(found, Skip):
        raise SearchFailed(f"searches of this kind are left alone, reason={found.reason}")
    asked = {**body, "_source": list(dict.fromkeys(fields_read(plan)))}
    try:
        async with session.post(search_url, json=asked) as response:
            content = await response.read()
            if response.status != 200:
                shown = content[:200].decode(errors="replace")
                raise SearchFailed(f"{search_url}: status {response.status}: {shown}")
    except (ClientError, TimeoutError) as error:
        raise SearchFailed(f"{search_url}: {error or type(error).__name__}") from None
    try:
        read = read_hits(content)
    except Unreadable as error:
        raise SearchFailed(f"{search_url}: {error}") from None
    if not read.scored:
        raise SearchFailed("searches of this kind are left alone, reason=sorted")
    return Window(found.query_text, read)


@dataclass(slots=True)
class RememberingScorer:
    """A scorer for one query that asks the one behind it only for what it has not seen."""

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


async def order_by_plans(
    window: Window, plans: Sequence[Plan], scorer: Scorer, split: Splitter = split_document
) -> list[tuple[str, ...]]:
    """The ids of the window's hits in the order of each plan, at its own rescore window.

    The plans may differ in all but the fields that they read. A plan that cannot rescore these
    hits leaves their order. `split` may remember documents from query to query. Raises the
    RescoreError of a model that fails.
    """
    remembering = RememberingScorer(scorer)
    prepared: dict[Hashable, Prepared | None] = {}
    orders = []
    for plan in plans:
        size = plan.rescore_window
        # All that preparing depends on.
        key = (size, plan.passages, bool(plan.fusion.lexical))
        if key not in prepared:
            try:
                prepared[key] = prepare(plan, window.query_text, window.read.window(size), split)
            except (NoText, BadScores):
                prepared[key] = None
        orders.append(await _order(window, plan, prepared[key], remembering))
    return orders


async def _order(
    window: Window, plan: Plan, prepared: Prepared | None, scorer: Scorer
) -> tuple[str, ...]:
    if prepared is None:
        return window.ranked_ids
    try:
        rescoring = await rescore(plan, window.query_text, prepared, scorer)
    except BadScores:
        return window.ranked_ids
    hits = window.read.hits
    rescored = [hits[ranked.position].id for ranked in rescoring.ranking]
    return tuple(dict.fromkeys([*rescored, *(hit.id for hit in hits[len(rescored) :])]))
