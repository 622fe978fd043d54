"""What the relay asks of each request: is it a search of a routed index, and who answers it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pipelines.scoring import Scorers
from sidecar.config import Config
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import OnRescored, Search
from sidecar.opensearch.multi_search import search_all_and_rescore
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.plugin_ext import PLUGIN_PLAN, PluginRanking
from sidecar.opensearch.plugin_settings_file import PluginSettingsFile
from sidecar.opensearch.routes import (
    find_index,
    find_multi_search,
    find_plan,
    find_route,
    find_template_index,
    find_template_route,
)
from sidecar.opensearch.search import leave_alone, search_and_rescore
from sidecar.opensearch.search_template import search_template_and_rescore
from sidecar.opensearch.window_cache import WindowCache
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Take
from sidecar.relay.heads import RequestHead
from sidecar.split_documents import SplitDocuments

_log = logging.getLogger("sidecar.search")

_Taken = Forward | Answer
_Answering = Callable[[Request, Search], Awaitable[tuple[_Taken, Outcome]]]


@dataclass(frozen=True, slots=True)
class SearchFront:
    """The front door for OpenSearch's own search API; a `relay.front.Front`.

    `models` gives None while they are being loaded.
    `documents` are those that were cut into passages before.
    `plugin_settings` are the Kendra plugin's index settings, if they are kept at all; then there
    is a plan of the name PLUGIN_PLAN. `on_rescored` is told of every rescoring. `windows` are
    those that are kept for further pages; None keeps none.
    """

    config: Config
    upstream: Exchanger
    models: Callable[[], Scorers | None]
    documents: SplitDocuments
    metrics: Metrics
    plugin_settings: PluginSettingsFile | None = None
    on_rescored: OnRescored | None = None
    windows: WindowCache | None = None

    def takes(self, head: RequestHead) -> Take | None:
        """Take the searches of routed indexes, and what may hold some; all else passes through."""
        method, target = head.method, head.target
        # Nearly all traffic is none of ours, and this says so at the least cost.
        if b"search" not in target:
            return None
        routes = self.config.main.routes
        routed = find_route(method, target, routes)
        if routed is not None:
            return partial(self._take_search, search_and_rescore, routed.plan, None)
        kept = self.plugin_settings
        if kept is not None and not kept.any_ranking:
            kept = None
        if routes or kept is not None:
            names = find_multi_search(method, target)
            if names is not None:
                return partial(self._take_multi_search, names)
        routed = find_template_route(method, target, routes)
        if routed is not None and self.config.plans[routed.plan].templates:
            return partial(self._take_search, search_template_and_rescore, routed.plan, None)
        return None if kept is None else self._takes_by_settings(head, kept)

    def too_large(self, head: RequestHead) -> Forward:
        """Let a search pass whose body is too large to be held."""
        routes = self.config.main.routes
        names = find_multi_search(head.method, head.target)
        if names is not None:
            # Where its items look is not known, only where they look unless they say otherwise.
            plan_name, _ = self._plan_of(names)
        else:
            routed = find_route(head.method, head.target, routes) or find_template_route(
                head.method, head.target, routes
            )
            plan_name = routed.plan if routed else None
            if plan_name is None and self.plugin_settings is not None:
                taken = self._takes_by_settings(head, self.plugin_settings)
                plan_name = PLUGIN_PLAN if taken else None
        if plan_name is None:
            return Forward()
        outcome = Outcome(plan_name, "skipped", "body_too_large")
        self._count(outcome)
        return Forward((outcome.header(),))

    def _takes_by_settings(self, head: RequestHead, kept: PluginSettingsFile) -> Take | None:
        """Take the searches of an index that has no route, but the Kendra plugin's settings."""
        method, target = head.method, head.target
        answer: _Answering = search_and_rescore
        index = find_index(method, target)
        if index is None:
            answer = search_template_and_rescore
            index = find_template_index(method, target)
            if index is None or not self.config.plans[PLUGIN_PLAN].templates:
                return None
        ranking = kept.ranking(index)
        return partial(self._take_search, answer, PLUGIN_PLAN, ranking) if ranking else None

    def _plan_of(self, names: Sequence[str]) -> tuple[str | None, PluginRanking | None]:
        """The plan of an index list, and what the Kendra plugin's settings say if it is theirs."""
        plan_name = find_plan(names, self.config.main.routes)
        if plan_name is None and self.plugin_settings is not None and len(names) == 1:
            ranking = self.plugin_settings.ranking(names[0])
            if ranking is not None:
                return PLUGIN_PLAN, ranking
        return plan_name, None

    async def _take_search(
        self,
        answer: _Answering,
        plan_name: str,
        ranking: PluginRanking | None,
        request: Request,
    ) -> _Taken:
        search = self._search(request.head, plan_name, ranking)
        if isinstance(search, Outcome):
            self._count(search)
            return await leave_alone(request, search, self.upstream)
        answered, outcome = await answer(request, search)
        self._count(outcome)
        return answered

    async def _take_multi_search(self, names: tuple[str, ...], request: Request) -> _Taken:
        def search_of(names: Sequence[str]) -> Search | Outcome | None:
            plan_name, ranking = self._plan_of(names)
            return None if plan_name is None else self._search(request.head, plan_name, ranking)

        answered, outcomes = await search_all_and_rescore(request, names, search_of)
        for outcome in outcomes:
            self._count(outcome)
        return answered

    def _search(
        self, head: RequestHead, plan_name: str, ranking: PluginRanking | None
    ) -> Search | Outcome:
        """What a search of a plan needs, or why this request is left alone."""
        reason = None
        if (head.get(b"x-rescore") or b"").lower() == b"off":
            reason = "off"
        wanted = head.get(b"x-rescore-plan")
        if wanted is not None:
            name = wanted.decode("latin-1")
            if name in self.config.plans:
                plan_name = name
            else:
                reason = reason or "unknown_plan"
        plan = self.config.plans[plan_name]
        models = self.models()
        if not plan.enabled:
            reason = reason or "disabled"
        if models is None:
            reason = reason or "starting"
        if reason is not None or models is None:
            return Outcome(plan_name, "skipped", reason)
        if ranking is not None:
            plan = ranking.apply(plan)
        plugin_plan = self.config.plans.get(PLUGIN_PLAN)
        return Search(
            plan_name,
            plan,
            self.upstream,
            models,
            self.documents,
            plugin_plan=plugin_plan,
            on_rescored=self.on_rescored,
            windows=self.windows,
        )

    def _count(self, outcome: Outcome) -> None:
        self.metrics.searches.labels(outcome.plan, outcome.status, outcome.reason or "").inc()
        if outcome.scored:
            if not outcome.cached:
                self.metrics.hits_scored.labels(outcome.plan).inc(outcome.scored)
            self.metrics.rescore_seconds.labels(outcome.plan).observe(outcome.ms / 1000)
        if outcome.status == "failed" and outcome.reason != "upstream_status":
            _log.warning("plan %s: not rescored, reason %s", outcome.plan, outcome.reason)
        elif outcome.reason is not None:
            # Most refusals are of the request itself: the client's business, not the operator's.
            _log.debug("plan %s: %s, reason %s", outcome.plan, outcome.status, outcome.reason)
