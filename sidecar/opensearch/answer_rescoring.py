"""Rescores the hits of one widened answer, and cuts out the client's page.

If rescoring fails, the hits keep OpenSearch's order, and the outcome has the reason.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple

from pipelines.errors import DeadlinePassed, Overloaded, RescoreError
from pipelines.hit_details import list_details
from pipelines.hits import Hit
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, Rescoring, StageReport, rescore
from pipelines.scoring import Scorers
from sidecar.adoption.interleaving import draw_seed
from sidecar.config.limits import Limits
from sidecar.config.upstream_values import PipelineUse
from sidecar.event_loop.loop_turns import next_turn
from sidecar.event_loop.off_loop import Busy, off_loop
from sidecar.opensearch.default_pipelines import DefaultPipelines
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    READ_ON_THE_LOOP,
    ForwardUnchanged,
    decode_answer,
    run_unless_busy,
)
from sidecar.opensearch.finish_time import FinishTime
from sidecar.opensearch.hybrid_query import are_normalised
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.interleaved_rescoring import Interleave, by_position, rescore_for_teams
from sidecar.opensearch.known_sources import KnownSources
from sidecar.opensearch.outcome import Outcome, Status
from sidecar.opensearch.page_edits import PageEdits, create_edits, wants_edits
from sidecar.opensearch.rescore_section import NO_SECTION, RescoreSection, SectionMistake
from sidecar.opensearch.scorer_in_turns import ScorerInTurns
from sidecar.opensearch.search_request import SearchRequest, list_plan_fields
from sidecar.opensearch.search_response import (
    SearchResponse,
    TooManySteps,
    Unreadable,
    read_search_response,
    splice_response,
)
from sidecar.opensearch.text_fetch import TextNotFetched, read_texts, write_text_fetch
from sidecar.opensearch.ubi_section import UbiSection
from sidecar.opensearch.window_cache import PAGE, RescoredWindow, WindowCache, list_search_pieces
from sidecar.opensearch.window_order import Order
from sidecar.passage_cutter import WindowCutter
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Exchanger
from sidecar.relay.heads import RequestHead
from sidecar.spans.json_amounts import is_quick_to_read
from sidecar.tracing.steps import current_step, record_step, step

_log: Final = logging.getLogger("sidecar.search")

_STEPS_ON_THE_LOOP: Final = 500

_WORDS_COST: Final = 24
"""What a character counts where words are compared one by one, which takes 1.25 us a word: with it,
READ_ON_THE_LOOP allows about a millisecond of such work."""

OnRescored = Callable[[SearchResponse, ChosenPassages, Rescoring], object]
"""A function that is called after each rescoring, with OpenSearch's response, the passages, and the
result."""


ContextWithSection = Callable[[RescoreSection | SectionMistake], "SearchContext | Outcome"]
"""Returns the context for a search with this section, or the outcome, if it is not rescored."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What one search needs: its plan, OpenSearch, the models, and what is cached.

    `plugin_plan` is the plan named PLUGIN_PLAN, if there is one. It replaces `plan` for a search
    with the Kendra plugin's section in `ext`. Without `windows`, no rescored window is cached.
    `section` is what the client's body asks of the sidecar. `with_section` gives the context for a
    section that is read later, in a rendered template.
    `pipelines` are the search pipelines that the configuration names. Without `default_pipelines`,
    a search that names no pipeline counts as one without. With `interleave`, two plans order the
    window, and `plan` is the one whose other settings hold. `ubi` is what the client's body says to
    User Behavior Insights. Sources in `known_sources` are not parsed again. `finish_time` learns
    how early the models must end.
    """

    plan_name: str
    plan: Plan
    upstream: Exchanger
    models: Scorers
    passage_cutter: WindowCutter
    limits: Limits
    lessons: IndexLessons
    plugin_plan: Plan | None = None
    on_rescored: OnRescored | None = None
    windows: WindowCache | None = None
    section: RescoreSection = NO_SECTION
    with_section: ContextWithSection | None = None
    pipelines: Mapping[str, PipelineUse] = field(default_factory=dict)
    interleave: Interleave | None = None
    ubi: UbiSection | None = None
    known_sources: KnownSources | None = None
    default_pipelines: DefaultPipelines | None = None
    finish_time: FinishTime = field(default_factory=FinishTime)

    def expect(self, query_text: str) -> None:
        """Let the models read the query text while OpenSearch searches."""
        self.models.expect((stage.model for stage in self.plan.stages), query_text)


class _Rescored(NamedTuple):
    """A window's new order, what the stages did, and, with `interleave`, each place's team."""

    order: Order
    scored: int
    estimated: int
    stages: Sequence[StageReport]
    edits: PageEdits | None
    teams: str = ""


async def read_widened_response(
    content: bytes, search_request: SearchRequest, known: KnownSources | None = None
) -> SearchResponse:
    """The response to a widened search; `known` as in `read_search_response`.

    Raises ForwardUnchanged if no page can be cut out of it."""
    filtered = any(parameter.name == "filter_path" for parameter in search_request.parameters)
    try:
        search_response = await read_response_off_loop(content, known)
    except Unreadable:
        # `filter_path` also removes everything that is empty, `hits.hits` included.
        if filtered:
            raise ForwardUnchanged("skipped", "no_hits") from None
        raise ForwardUnchanged("failed", "unreadable") from None
    if filtered and search_request.start >= len(search_response.hits):
        # The page is empty, and only OpenSearch can filter an empty page.
        raise ForwardUnchanged("skipped", "no_hits")
    if search_request.hybrid is not None:
        hits = search_response.hits
        if search_request.start and search_request.start >= len(hits):
            # OpenSearch answers such a page of a `hybrid` query with an error.
            raise ForwardUnchanged("skipped", "no_hits")
        if not are_normalised(hit.score for hit in hits):
            # Hits that are not joined are not the first ones of a larger page.
            raise ForwardUnchanged("skipped", "hybrid_scores")
    return search_response


async def rescore_hits(
    search_response: SearchResponse,
    search_request: SearchRequest,
    context: SearchContext,
    head: RequestHead | None = None,
    *,
    deadline: float | None = None,
    whole: bool = False,
) -> RescoredWindow:
    """The hits of a widened answer with their new order, and the outcome of the search.

    `head` is the client's head of a `_search` of the same indexes. It is needed to fetch text that
    the answer does not contain; without `head` such a search keeps its order, with the reason
    `text_fetch`. `deadline` is when the models end, in seconds of the monotonic clock; if omitted,
    the plan's time begins now. With `whole`, the models read on where the page that the client
    asked for is sure. The caller sets the outcome's `ms`.
    """
    if deadline is None:
        deadline = time.monotonic() + context.plan.deadline_ms / 1000
    rescored: _Rescored | None = None
    status: Status = "applied"
    reason = find_skip_reason(search_response)
    if reason is not None:
        status = "failed" if search_response.shards_failed else "skipped"
    else:
        try:
            rescored = await _rescore(
                search_response, search_request, context, head, deadline, whole
            )
        except RescoreError as error:
            status, reason = "failed", error.reason
        except Exception:
            _log.exception("a rescoring of plan %s failed; it is a bug", context.plan_name)
            status, reason = "failed", "error"
        else:
            for report in rescored.stages:
                if report.scored < report.groups and not report.sure:
                    status, reason = "partial", report.reason or "deadline"

    plans = (context.plan,) if context.interleave is None else context.interleave.plans
    stages = [stage for plan in plans if plan is not None for stage in plan.stages]
    outcome = Outcome(
        plan=context.plan_name,
        status=status,
        reason=reason,
        window=min(context.plan.rescore_window, search_request.fetch),
        scored=rescored.scored if rescored else 0,
        student=rescored.estimated if rescored else 0,
        sure=rescored.stages[0].sure if rescored else 0,
        model="+".join(dict.fromkeys(stage.model for stage in stages)),
    )
    if rescored is None:
        return RescoredWindow(context.plan, search_response, None, outcome)
    return RescoredWindow(
        context.plan,
        search_response,
        rescored.order,
        outcome,
        edits=rescored.edits,
        teams=rescored.teams,
    )


async def read_response_off_loop(
    content: bytes, known: KnownSources | None = None
) -> SearchResponse:
    """`read_search_response`, in a thread if it may take long.

    Raises Unreadable or ForwardUnchanged.
    """
    with step("read"):
        if is_quick_to_read(content):
            await next_turn()
            with suppress(TooManySteps):
                return read_search_response(content, _STEPS_ON_THE_LOOP, known)
        return await run_unless_busy(
            len(content), lambda: read_search_response(content, None, known), 0
        )


async def cut_page(window: RescoredWindow, search_request: SearchRequest) -> bytes:
    """The answer with the client's page in the window's order."""
    search_response = window.search_response
    # Splicing takes two microseconds per hit, and copies the text. With edits, the page's hits are
    # read again, and words are marked in passages.
    size = 512 * len(search_response.hits) + len(search_response.text) // 16
    if window.edits is not None:
        size += len(search_response.text)
        size += _WORDS_COST * window.edits.count_characters(search_request.size)
    with step("splice"):
        return await run_unless_busy(
            size,
            lambda: splice_response(
                search_response,
                window.order,
                search_request.start,
                search_request.size,
                window.plan.scores,
                window.edits,
            ),
            READ_ON_THE_LOOP,
        )


async def _rescore(
    search_response: SearchResponse,
    search_request: SearchRequest,
    context: SearchContext,
    head: RequestHead | None,
    deadline: float,
    whole: bool,
) -> _Rescored:
    plan, interleave = context.plan, context.interleave
    places: int | None = search_request.start + search_request.size
    if whole or interleave is not None or context.on_rescored is not None:
        places = None
    sources = None
    if not search_request.text_in_response:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                with step("text_fetch"):
                    sources = await _fetch_text(search_response, context, head)
        except TimeoutError:
            raise DeadlinePassed("the text was not fetched in time") from None
    # Reading, cutting and scoring may each take a millisecond without waiting for anything. Other
    # requests wait for one of these steps at most, of one search.
    await next_turn()
    if time.monotonic() >= deadline:
        raise DeadlinePassed("the search got no turn in time")
    with step("prepare"):
        hits = search_response.window(plan.rescore_window, sources)

    async def run(
        plan: Plan, chosen: ChosenPassages | None, deadline: float | None = None
    ) -> tuple[ChosenPassages, Rescoring]:
        if deadline is None:
            deadline = time.monotonic() + plan.deadline_ms / 1000
        query_text = search_request.query_text
        if chosen is None:
            with step("prepare"):
                chosen = await context.passage_cutter.choose_passages(
                    plan, query_text, hits, deadline, partly=True
                )
        await next_turn()
        scorer = ScorerInTurns(context.models.scorer(deadline))
        rescoring = await rescore(
            plan, query_text, chosen, scorer, breadth_first=True, places=places
        )
        if scorer.scored is not None:
            record_step(current_step(), "fuse", scorer.scored, time.monotonic())
        if context.on_rescored is not None:
            context.on_rescored(search_response, chosen, rescoring)
        return chosen, rescoring

    if interleave is None:
        chosen, rescoring = await run(plan, None, deadline)
        order: Order = tuple((one.position, one.score) for one in rescoring.ranking)
        edits = await _list_edits(hits, [(plan, chosen, rescoring)], {}, search_request, context)
        return _Rescored(order, rescoring.scored, rescoring.estimated, rescoring.stages, edits)
    both = await rescore_for_teams(interleave, len(hits), run)
    if both.find_shortfall() is not None:
        # One plan would be judged by less than it can do.
        raise DeadlinePassed("a plan of an interleave did not score all hits")
    pieces = list_search_pieces(search_request, PAGE)
    order, teams = both.mix(draw_seed([interleave.caller, *pieces]))
    parts = list(zip(both.plans, both.chosen, both.rescorings, strict=True))
    edits = await _list_edits(hits, parts, by_position(order, teams), search_request, context)
    first = both.rescorings[0]
    return _Rescored(order, first.scored, first.estimated, both.stages, edits, teams)


async def _list_edits(
    hits: Sequence[Hit],
    parts: Sequence[tuple[Plan, ChosenPassages, Rescoring]],
    teams: Mapping[int, str],
    search_request: SearchRequest,
    context: SearchContext,
) -> PageEdits | None:
    """What the pages show beside the order; `parts` has one entry, or one for each team."""
    plan, section = context.plan, context.section
    if not wants_edits(plan, section):
        return None
    all_details = []
    for part_plan, chosen, rescoring in parts:
        spreads = [context.models.scorer(None).spread(stage.model) for stage in part_plan.stages]
        work = partial(list_details, part_plan, hits, chosen, rescoring, section.min_score, spreads)
        size = sum(len(one.title) + len(one.body) for one in chosen.documents)
        try:
            all_details.append(await off_loop(_WORDS_COST * size, work))
        except Busy:
            raise Overloaded("too many searches wait for their details") from None
    details = all_details[0]
    if teams:
        # Each hit is explained by the team that chose it.
        details = tuple(
            all_details[teams.get(position) == "b"][position] for position in range(len(hits))
        )
    return replace(create_edits(details, search_request, plan, section), teams=teams)


async def _fetch_text(
    search_response: SearchResponse, context: SearchContext, head: RequestHead | None
) -> Sequence[Mapping[str, Any]]:
    """The sources of the window's hits. Raises TextNotFetched."""
    if head is None:
        raise TextNotFetched("the text is not in the answer")
    hits = search_response.hits[: context.plan.rescore_window]
    written = write_text_fetch(head, hits, list_plan_fields(context.plan))
    try:
        response = await context.upstream.exchange(*written, limit=BODY_LIMIT)
        if response.head.status != 200:
            raise TextNotFetched(f"OpenSearch answered {response.head.status}")
        content, _ = await decode_answer(response)
        return await run_unless_busy(len(content), lambda: read_texts(content, hits), 0)
    except (UpstreamError, ForwardUnchanged) as error:
        raise TextNotFetched(str(error)) from None


def find_skip_reason(search_response: SearchResponse) -> str | None:
    """Why these hits must keep their order, or None."""
    if search_response.shards_failed:
        return "shard_failures"
    if not search_response.hits:
        return "no_hits"
    if not search_response.scored:
        return "sorted"
    return "timed_out" if search_response.timed_out or search_response.terminated_early else None
