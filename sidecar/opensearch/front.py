"""The front for OpenSearch's search API: takes the searches of indexes that have a route."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from pipelines.scoring import Scorers
from sidecar.adoption.split import choose_arm, identify_caller, read_split_value
from sidecar.adoption.step_back import StepBacks
from sidecar.adoption.ubi_queries import UbiQueries
from sidecar.config.main_file import Config
from sidecar.config.routes import OFF, Route
from sidecar.event_loop.loop_turns import begin_search, turns_behind_s
from sidecar.kendra_plugin.section import PLUGIN_PLAN, PluginRanking
from sidecar.kendra_plugin.settings_file import PluginSettingsFile
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import OnRescored, SearchContext
from sidecar.opensearch.default_pipelines import DefaultPipelines
from sidecar.opensearch.ended_indexes import read_ended_indexes
from sidecar.opensearch.finish_time import FinishTime
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.interleaved_rescoring import Interleave
from sidecar.opensearch.known_sources import KnownSources
from sidecar.opensearch.multi_search import FollowUps, search_all_and_rescore
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.rescore_section import (
    NO_SECTION,
    RescoreSection,
    SectionMistake,
    cut_rescore_section,
)
from sidecar.opensearch.routed_items import Shadow, UbiUse
from sidecar.opensearch.routes import Endpoint, find_route, read_search_call
from sidecar.opensearch.search import (
    forward_instead,
    forward_without_rescoring,
    search_and_rescore,
)
from sidecar.opensearch.search_reports import SearchReport, SearchReports
from sidecar.opensearch.search_template import search_template_and_rescore
from sidecar.opensearch.shadow_search import ShadowSearches
from sidecar.opensearch.ubi_section import UbiSection, describe_query, read_ubi_section
from sidecar.opensearch.window_cache import WindowCache
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Take
from sidecar.relay.heads import RequestHead

_log = logging.getLogger("sidecar.search")

# Mostly the client's request itself is wrong, so the operator needs no warning.
_CLIENT_MISTAKES = ("upstream_status", "render")

# A search takes about six turns, and those that wait have most of theirs still before them, which
# all go before a new one's. Measured with a deadline of 200 ms: from this share of it on, searches
# that are admitted under overload begin to miss it; eight clients that search without a pause are
# nearly all admitted.
_BEHIND_SHARE = 0.06

_Reply = Forward | Answer
_AnswerSearch = Callable[[Request, SearchContext], Awaitable[tuple[_Reply, Outcome]]]


_PLUGIN_ROUTE = Route(index="*", plan=PLUGIN_PLAN)


class _Routed(NamedTuple):
    """A request, its route, the Kendra plugin's settings if the route is the plugin's, the plan
    that the caller gets, and the seconds by which the event loop is behind."""

    request: Request
    route: Route
    ranking: PluginRanking | None
    plan_name: str
    behind_s: float


@dataclass(frozen=True, slots=True)
class SearchFront:
    """The front for OpenSearch's search API; a `relay.front.Front`.

    `models` returns None until the models are loaded. `plugin_settings` has the Kendra plugin's
    index settings, if the configuration says where to store them; then there is a plan named
    PLUGIN_PLAN. `on_rescored` is called after each rescoring. Without `windows`, no rescored window
    is cached. Without `shadows`, plans with `mode: shadow` only forward. With `ubi_queries`,
    searches with `ext.ubi` are written there. `step_backs` says which plans leave the order to
    OpenSearch for a while. Sources in `known_sources` are not parsed again. Without
    `default_pipelines`, a search that names no pipeline counts as one without. `finish_time` is of
    all plans together.
    """

    config: Config
    upstream: Exchanger
    models: Callable[[], Scorers | None]
    passage_cutter: PassageCutter
    metrics: Metrics
    lessons: IndexLessons
    reports: SearchReports
    step_backs: StepBacks
    plugin_settings: PluginSettingsFile | None = None
    on_rescored: OnRescored | None = None
    windows: WindowCache | None = None
    shadows: ShadowSearches | None = None
    ubi_queries: UbiQueries | None = None
    known_sources: KnownSources | None = None
    default_pipelines: DefaultPipelines | None = None
    finish_time: FinishTime = field(default_factory=FinishTime)

    def takes(self, head: RequestHead) -> Take | None:
        """Take the searches of indexes that have a route, and requests that may contain some."""
        main = self.config.main
        call = read_search_call(head.method, head.target, main.limits.index_names)
        if call is None:
            return None
        if call.endpoint == "_msearch" and not call.cut:
            # Its items may search other indexes than those in its path.
            settings = self.plugin_settings
            may_rescore = main.routes or (settings is not None and settings.any_ranking)
            return partial(self._take_multi_search, call.names) if may_rescore else None
        route, ranking = self._find_route(call.names)
        if route is None:
            return None
        if call.cut:
            return partial(self._skip, route.name, "limits.index_names")
        return partial(self._take_routed, call.endpoint, route, ranking)

    def too_large(self, head: RequestHead, key: str) -> Forward:
        """Forward a search whose body exceeds a bound, with a reason."""
        limits = self.config.main.limits
        call = read_search_call(head.method, head.target, limits.index_names)
        # The items of an `_msearch` are not read. Its path says which indexes they search by
        # default.
        route = None if call is None else self._find_route(call.names)[0]
        if route is None:
            return Forward()
        return self._forward(head, Outcome(route.name, "skipped", key))

    def answered(self, head: RequestHead, status: int) -> None:
        """Remove cached windows that may no longer be shown; see `relay.front.Front`."""
        if self.windows is None:
            return
        if status in (401, 403):
            self.windows.forget_caller(self.lessons.caller(head))
        ended = read_ended_indexes(head.method, head.target, status)
        if ended is not None:
            self.windows.forget_indexes(ended)

    def _find_route(self, names: Sequence[str]) -> tuple[Route | None, PluginRanking | None]:
        """The route of an index list. If it is the Kendra plugin's, also the index's settings."""
        route = find_route(names, self.config.main.routes)
        if route is None and self.plugin_settings is not None and len(names) == 1:
            ranking = self.plugin_settings.ranking(names[0])
            if ranking is not None:
                return _PLUGIN_ROUTE, ranking
        return route, None

    @property
    def _ubi_use(self) -> UbiUse:
        ubi = self.config.main.ubi
        return "ignore" if ubi is None or self.ubi_queries is None else ubi.section

    async def _take_routed(
        self, endpoint: Endpoint, route: Route, ranking: PluginRanking | None, request: Request
    ) -> _Reply:
        begin_search()
        plan_name = _choose_plan(route, request)
        routed = _Routed(request, route, ranking, plan_name, turns_behind_s())
        if endpoint == "_search":
            return await self._take_search(search_and_rescore, routed)
        plans = [self.config.plans[name] for name in route.plans]
        by_template = all(plan.templates and plan.mode == "live" for plan in plans)
        if endpoint == "_msearch/template" or not by_template:
            return await self._skip(routed.plan_name, "templates", request)
        return await self._take_search(search_template_and_rescore, routed)

    async def _skip(self, plan_name: str, reason: str, request: Request) -> _Reply:
        """Forward a search that is not rescored, with a reason."""
        readable, _ = await cut_rescore_section(request, self.config.main.limits)
        reply = self._forward(request.head, Outcome(plan_name, "skipped", reason))
        return forward_instead(reply, request, readable)

    def _forward(self, head: RequestHead, outcome: Outcome) -> Forward:
        with self.reports.begin(head) as report:
            reply = self._finish(report, Forward((outcome.header(),)), (outcome,))
        assert isinstance(reply, Forward)
        return reply

    async def _take_search(self, answer_search: _AnswerSearch, routed: _Routed) -> _Reply:
        limits, request = self.config.main.limits, routed.request
        with self.reports.begin(request.head) as report:
            readable, section = await cut_rescore_section(request, limits)
            ubi = None
            if self._ubi_use != "ignore":
                readable, ubi = await read_ubi_section(readable, limits, self._ubi_use == "cut")
            context = self._create_context(routed, section)
            if ubi is not None and isinstance(context, SearchContext):
                context = replace(context, ubi=ubi)
            shadow = None
            if isinstance(context, SearchContext) and context.plan.mode == "shadow":
                shadow, context = (readable, context), Outcome(context.plan_name, "shadow")
            reply: _Reply
            if isinstance(context, Outcome):
                outcome = context
                reply = await forward_without_rescoring(readable, outcome, self.upstream, limits)
            else:
                reply, outcome = await answer_search(readable, context)
            reply = self._finish(report, reply, (outcome,))
        if ubi is not None:
            self._write_queries([(ubi, outcome)])
        return self._add_shadows(
            forward_instead(reply, request, readable), [shadow] if shadow else [], report
        )

    async def _take_multi_search(self, names: tuple[str, ...], request: Request) -> _Reply:
        begin_search()
        behind_s = turns_behind_s()  # items may be read in a thread

        def create_context(
            names: Sequence[str], section: RescoreSection | SectionMistake = NO_SECTION
        ) -> SearchContext | Outcome | None:
            route, ranking = self._find_route(names)
            if route is None:
                return None
            plan_name = _choose_plan(route, request)
            routed = _Routed(request, route, ranking, plan_name, behind_s)
            return self._create_context(routed, section)

        limits = self.config.main.limits
        follow_ups = FollowUps()
        with self.reports.begin(request.head) as report:
            reply, outcomes = await search_all_and_rescore(
                request, names, create_context, limits, follow_ups, self._ubi_use
            )
            reply = self._finish(report, reply, outcomes)
        self._write_queries(follow_ups.queries)
        return self._add_shadows(reply, follow_ups.shadows, report)

    def _write_queries(self, queries: Sequence[tuple[UbiSection, Outcome]]) -> None:
        for ubi, outcome in queries:
            query = describe_query(ubi, outcome)
            if query is not None and self.ubi_queries is not None:
                self.ubi_queries.add(query)

    def _add_shadows(
        self, reply: _Reply, shadows: Sequence[Shadow], report: SearchReport
    ) -> _Reply:
        """The reply, after which these searches are rescored in the shadow."""
        if not shadows or self.shadows is None:
            return reply
        start = partial(_start_shadows, self.shadows, shadows, report)
        if isinstance(reply, Forward):
            forward = reply

            def end(status: int, error: str) -> None:
                forward.tell_end(status, error)
                if not error:
                    start()

            return replace(forward, ended=end)
        # The task of a shadow begins in the event loop's next turn, after the answer is written.
        start()
        return reply

    def _create_context(
        self, routed: _Routed, section: RescoreSection | SectionMistake
    ) -> SearchContext | Outcome:
        """The context for a search with this plan, or the outcome of a request that is skipped.

        The section in the body wins over the headers.
        """
        plan_name, head = routed.plan_name, routed.request.head
        if isinstance(section, SectionMistake):
            return Outcome(plan_name, "skipped", section.reason, key=section.key)
        reason = None
        off = section.off
        if off is None:
            off = (head.get(b"x-rescore") or b"").lower() == b"off"
        if off:
            reason = "off"
        name = section.plan
        requested_plan = head.get(b"x-rescore-plan")
        if name is None and requested_plan is not None:
            name = requested_plan.decode("latin-1")
        if name is not None:
            if name in self.config.plans:
                plan_name = name
            else:
                reason = reason or "unknown_plan"
        if plan_name == OFF and routed.route.split is not None:
            return Outcome(OFF, "skipped", reason or "split_off")
        interleave = None
        if name is None and routed.route.interleave is not None:
            interleave = self._create_teams(routed, routed.route.interleave)
        names = routed.route.plans if interleave is not None else (plan_name,)
        plan = self.config.plans[names[0]]
        if interleave is not None:
            # The scores of two plans do not compare.
            plan = plan.model_copy(update={"scores": "positional"})
        models = self.models()
        if not all(self.config.plans[one].enabled for one in names):
            reason = reason or "disabled"
        if models is None:
            reason = reason or "starting"
        if reason is None and not all(map(self.step_backs.admits, names)):
            reason = "stepped_back"
        if reason is None and routed.behind_s > _BEHIND_SHARE * plan.deadline_ms / 1000:
            reason = "busy"
        if reason is not None or models is None:
            return Outcome(plan_name, "skipped", reason)
        if routed.ranking is not None:
            plan = routed.ranking.apply(plan)
        plugin_plan = self.config.plans.get(PLUGIN_PLAN)
        return SearchContext(
            plan_name,
            plan,
            self.upstream,
            models,
            self.passage_cutter,
            self.config.main.limits,
            self.lessons,
            plugin_plan=plugin_plan,
            on_rescored=self.on_rescored,
            windows=self.windows,
            section=section,
            with_section=partial(self._create_context, routed),
            pipelines=self.config.main.upstream.pipelines,
            interleave=interleave,
            known_sources=self.known_sources,
            default_pipelines=self.default_pipelines,
            finish_time=self.finish_time,
        )

    def _create_teams(self, routed: _Routed, names: tuple[str, str]) -> Interleave:
        request = routed.request
        plans = [None if name == OFF else self.config.plans[name] for name in names]
        caller = identify_caller(request.head, request.client_address)
        return Interleave(names, (plans[0], plans[1]), caller)

    def _finish(self, report: SearchReport, reply: _Reply, outcomes: Sequence[Outcome]) -> _Reply:
        for outcome in outcomes:
            self._count(outcome, report.sampled_trace_id)
        return report.finish(reply, outcomes)

    def _count(self, outcome: Outcome, trace_id: str | None) -> None:
        failed = outcome.status == "failed" and outcome.reason not in _CLIENT_MISTAKES
        if failed or (outcome.scored and not outcome.cached and not outcome.order_kept):
            for name in outcome.plan.split("+"):  # two plans of an `interleave`
                self.step_backs.record(name, failed, outcome.ms)
        self.metrics.searches.labels(outcome.plan, outcome.status, outcome.reason or "").inc()
        if outcome.scored:
            if not outcome.cached and not outcome.order_kept:
                self.metrics.hits_scored.labels(outcome.plan).inc(outcome.scored)
            exemplar = None if trace_id is None else {"trace_id": trace_id}
            self.metrics.rescore_seconds.labels(outcome.plan).observe(outcome.ms / 1000, exemplar)
        if failed:
            _log.warning("plan %s: not rescored, reason %s", outcome.plan, outcome.reason)
        elif outcome.reason is not None:
            _log.debug("plan %s: %s, reason %s", outcome.plan, outcome.status, outcome.reason)


def _choose_plan(route: Route, request: Request) -> str:
    """The name of the plan, or of the arm, that the route gives this request."""
    if route.split is None:
        return route.name
    value = read_split_value(route, request.head, request.client_address)
    return choose_arm(route.split, route.index, value)


def _start_shadows(
    searches: ShadowSearches, shadows: Sequence[Shadow], report: SearchReport
) -> None:
    for request, context in shadows:
        searches.start(request, context, report)
