"""One search of an index with a route, from the request's bytes to the answer's bytes.

If anything fails, the client gets OpenSearch's own order. The client's own search is sent; or, if
the widened answer is already there, the client's page is cut out of it in its original order.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from sidecar.config.limits import Limits
from sidecar.kendra_plugin.section import (
    PLUGIN_PLAN,
    PluginSection,
    has_plugin_section,
    read_plugin_section,
)
from sidecar.opensearch.answer_rescoring import (
    SearchContext,
    cut_page,
    read_response_off_loop,
    rescore_hits,
)
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    FinalAnswer,
    ForwardUnchanged,
    decode_answer,
    decode_body,
    encode,
    hand_on,
    read_request,
)
from sidecar.opensearch.index_lessons import LessonKeys
from sidecar.opensearch.interleaved_rescoring import TEAMS_HEADER, by_position
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.own_sources import SourcesChanged
from sidecar.opensearch.page_edits import wants_edits
from sidecar.opensearch.search_request import (
    SearchRequest,
    read_search_request,
)
from sidecar.opensearch.search_response import Unreadable
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.widened_search import (
    Widened,
    WidenedSearchRefused,
    add_own_sources,
    send_widened_search,
)
from sidecar.opensearch.window_cache import (
    CachedWindow,
    RescoredWindow,
    WindowCache,
    fetch_whole_pages,
)
from sidecar.opensearch.window_order import (
    WindowOrder,
    apply_order,
    apply_teams,
    continue_order,
    record_no_order,
    record_order,
)
from sidecar.opensearch_rules.request_headers import find_forbidding_header, read_headers
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Exchanger, Forward, Request
from sidecar.relay.heads import RequestHead
from sidecar.tracing.steps import note

_REFUSED_CALLER: Final = (401, 403)
_WITHOUT_PAGE: Final = ("no_hits", "result_window")
"""Reasons after which the client has got no page that further pages must agree with."""


class _Page(NamedTuple):
    """A page that a client requested, and the keys of what is cached for its search."""

    search_request: SearchRequest
    head: RequestHead
    context: SearchContext
    keys: LessonKeys
    window_key: bytes

    @property
    def end(self) -> int:
        """The number of hits up to the page's last one."""
        return self.search_request.start + self.search_request.size


async def search_and_rescore(
    request: Request, context: SearchContext
) -> tuple[Forward | Answer, Outcome]:
    """Answer one taken search, and return its outcome."""
    readable, context = await cut_section(request, context)
    try:
        return await answer_with_rescoring(readable, context)
    except WidenedSearchRefused as error:
        outcome = Outcome(context.plan_name, error.status, error.reason)
        return await _send_own_search(readable, context, outcome), outcome
    except ForwardUnchanged as error:
        outcome = Outcome(context.plan_name, error.status, error.reason, key=error.key)
        reply = await forward_without_rescoring(request, outcome, context.upstream, context.limits)
        return reply, outcome
    except FinalAnswer as error:
        outcome = Outcome(context.plan_name, error.status, error.reason)
        return hand_on(error.response, outcome.header()), outcome


async def cut_section(request: Request, context: SearchContext) -> tuple[Request, SearchContext]:
    """The request without the Kendra plugin's section, and the context with that section's plan."""
    section = await _read_section(request, context.limits)
    if section is None:
        return request, context
    return section.request, _apply_section(request, context, section)


async def answer_with_rescoring(request: Request, context: SearchContext) -> tuple[Answer, Outcome]:
    """The answer to one search, whose body has no section of the Kendra plugin.

    Raises ForwardUnchanged if the client's own search must be sent, and FinalAnswer if the client
    must get OpenSearch's answer to the widened search.
    """
    if not context.plan.enabled:
        raise ForwardUnchanged("skipped", "disabled")
    search_request = await read_search(request, context)
    keys = context.lessons.keys(request.head, search_request)
    try:
        return await _answer_page(request.head, search_request, context, keys)
    except FinalAnswer as error:
        if error.response.head.status in _REFUSED_CALLER and context.windows is not None:
            context.windows.forget_caller(keys.caller)
        raise


async def _answer_page(
    head: RequestHead, search_request: SearchRequest, context: SearchContext, keys: LessonKeys
) -> tuple[Answer, Outcome]:
    windows = context.windows
    if windows is None:
        return await _answer_from_upstream(_Page(search_request, head, context, keys, b""), None)
    page = _Page(
        search_request,
        head,
        context,
        keys,
        windows.key(head, search_request, repr(context.section).encode()),
    )
    if search_request.start:
        await windows.catch_up(page.window_key)
    cached = windows.find(page.window_key, context.plan, search_request, head)
    if isinstance(cached, CachedWindow) and cached.window.outcome.sure:
        window = cached.window
        known = record_order(window.plan, window.outcome, window.search_response, window.order)
        cached = cached if known.orders(page.end) else known
    if isinstance(cached, CachedWindow):
        try:
            return await _answer_from_cache(cached, page)
        except SourcesChanged:
            windows.forget_window(page.window_key)
            cached = windows.find(page.window_key, context.plan, search_request, head)
            assert not isinstance(cached, CachedWindow)
    page = page._replace(
        search_request=fetch_whole_pages(search_request, context.plan.rescore_window)
    )
    if cached is not None and cached.hits is None:
        # The earlier pages had OpenSearch's order.
        assert cached.outcome.reason is not None
        raise ForwardUnchanged(cached.outcome.status, cached.outcome.reason, cached.outcome.key)
    try:
        return await _answer_from_upstream(page, cached)
    except ForwardUnchanged as error:
        if cached is None and error.reason not in _WITHOUT_PAGE:
            outcome = Outcome(context.plan_name, error.status, error.reason, key=error.key)
            window_order = record_no_order(context.plan, outcome)
            windows.keep_order(page.window_key, keys.caller, window_order)
        raise


async def _answer_from_upstream(
    page: _Page, window_order: WindowOrder | None
) -> tuple[Answer, Outcome]:
    """A page of hits that OpenSearch finds now: rescored, or in the order of earlier pages."""
    context = page.context
    goes_on = window_order is not None and not window_order.orders(page.end)
    if window_order is None or goes_on:
        context.expect(page.search_request.query_text)
    widened = await send_widened_search(page.search_request, context, page.head, page.keys)
    started, plan = widened.started, context.plan
    deadline = context.finish_time.models_deadline(started, plan.deadline_ms)
    window = None
    if window_order is None or goes_on:
        window = await rescore_hits(
            *(widened.search_response, widened.search_request, context, page.head),
            deadline=deadline,
        )
        window = replace(window, sources_apart=widened.sources_apart)
    if window_order is not None:
        if window is None or window.order is None:
            window = await _reorder(widened, page, window_order)
        else:
            order = continue_order(widened.search_response, window_order, window.order)
            window = replace(window, order=order)
    assert window is not None
    _store(page, widened, window)
    try:
        complete_window = await _complete(window, page)
    except SourcesChanged:
        window_order = record_order(
            context.plan, window.outcome, window.search_response, window.order, window.teams
        )
        widened = await send_widened_search(
            page.search_request, context, page.head, page.keys, one_step=True
        )
        complete_window = replace(
            await _reorder(widened, page, window_order), outcome=window.outcome
        )
        _store(page, widened, complete_window)
    body = await encode(await cut_page(complete_window, page.search_request), widened.coding)
    shown = complete_window.describe_page(page.search_request, context.ubi)
    if window_order is None and not window.sources_apart and shown.reason == "deadline":
        context.finish_time.record(deadline, time.monotonic(), plan.deadline_ms)
    outcome = replace(shown, ms=_ms_since(started))
    head = widened.head.write_client(content_length=len(body), add=_write_lines(outcome, page))
    return Answer(head, body), outcome


def _ms_since(start: float) -> float:
    return (time.monotonic() - start) * 1000


def _write_lines(outcome: Outcome, page: _Page) -> tuple[bytes, ...]:
    """The header lines of a rescored answer."""
    if outcome.teams and (page.head.get(TEAMS_HEADER) or b"").lower() == b"on":
        return outcome.header(), b"X-Rescore-Teams: " + outcome.teams.encode()
    return (outcome.header(),)


async def _reorder(widened: Widened, page: _Page, window_order: WindowOrder) -> RescoredWindow:
    context, plan = page.context, page.context.plan
    search_response = widened.search_response
    order = apply_order(search_response, window_order) if search_response.scored else None
    # What this page shows behind the sure hits, later pages must agree with.
    sure = window_order.outcome.sure if window_order.orders(page.end) else 0
    outcome = replace(window_order.outcome, order_kept=True, cached=False, sure=sure)
    edits = None
    if order is not None and wants_edits(plan, context.section):
        # Only the order was kept; the scores and passages must be found again.
        rescored = await rescore_hits(search_response, widened.search_request, context, page.head)
        edits = rescored.edits
    teams = apply_teams(search_response, window_order)
    if edits is not None and teams and order is not None:
        edits = replace(edits, teams=by_position(order, teams))
    return RescoredWindow(
        plan, search_response, order, outcome, widened.sources_apart, edits, teams
    )


async def _answer_from_cache(cached_window: CachedWindow, page: _Page) -> tuple[Answer, Outcome]:
    """A further page of a cached window."""
    start = time.monotonic()
    window = await _complete(cached_window.window, page)
    body = await encode(await cut_page(window, page.search_request), cached_window.coding)
    shown = window.describe_page(page.search_request, page.context.ubi)
    outcome = replace(shown, ms=_ms_since(start), cached=True)
    head = cached_window.answer_head(page.head, len(body), _write_lines(outcome, page))
    return Answer(head, body), outcome


async def _complete(window: RescoredWindow, page: _Page) -> RescoredWindow:
    """The window with the `_source` that the client asked for in the page's hits."""
    if not window.sources_apart:
        return window
    return await add_own_sources(window, page.search_request, page.context, page.head, page.keys)


def _store(page: _Page, widened: Widened, window: RescoredWindow) -> None:
    windows: WindowCache | None = page.context.windows
    if windows is None or window.outcome.reason == "no_hits":
        return
    caller = page.keys.caller
    window_order = record_order(
        window.plan, window.outcome, window.search_response, window.order, window.teams
    )
    windows.keep_order(page.window_key, caller, window_order)
    if window.outcome.status != "skipped":
        answered = (widened.head, widened.coding, widened.search_request.fetch)
        windows.keep(page.window_key, caller, window, answered, page.head)


async def forward_without_rescoring(
    request: Request, outcome: Outcome, upstream: Exchanger, limits: Limits
) -> Forward | Answer:
    """OpenSearch's own answer to a search, with the outcome in its head.

    The request is forwarded unchanged, unless it has the Kendra plugin's section, which a cluster
    without the plugin refuses. Then the request is sent without the section, and the answer is held
    in memory. If that fails, the request is forwarded unchanged after all.
    """
    section = await _read_section(request, limits)
    if section is not None:
        return await exchange_or_forward(section.request, outcome, upstream)
    return Forward((outcome.header(),))


async def exchange_or_forward(
    request: Request, outcome: Outcome, upstream: Exchanger
) -> Forward | Answer:
    """OpenSearch's answer to a request that differs from the client's, with the outcome in its
    head. If there is no answer, the client's own request is forwarded."""
    with contextlib.suppress(UpstreamError):
        message = request.head.write_with_body(request.body, drop=(b"expect",))
        response = await upstream.exchange(*message, limit=BODY_LIMIT)
        return hand_on(response, outcome.header())
    return Forward((outcome.header(),))


def forward_instead(
    reply: Forward | Answer, request: Request, readable: Request
) -> Forward | Answer:
    """The reply; if it forwards a request that had a section for the sidecar, it forwards the
    request without the section (`readable`)."""
    if isinstance(reply, Forward) and readable is not request:
        return replace(reply, instead=readable)
    return reply


async def _send_own_search(
    request: Request, context: SearchContext, outcome: Outcome
) -> Forward | Answer:
    """The answer to the client's own search, after OpenSearch refused the widened one.

    The answer is held in memory and not streamed, to learn from it: if the client's search
    succeeds, the widened window was the cause.
    """
    message = request.head.write_with_body(request.body, drop=(b"expect",))
    try:
        response = await context.upstream.exchange(*message, limit=BODY_LIMIT)
    except UpstreamError:
        return Forward((outcome.header(),))
    if response.head.status == 200:
        with contextlib.suppress(ForwardUnchanged, Unreadable):
            content, _ = await decode_answer(response)
            search_response = await read_response_off_loop(content)
            search_request = await read_search(request, context)
            if not search_response.shards_failed:
                keys = context.lessons.keys(request.head, search_request)
                context.lessons.learn_trouble(keys, "refused", search_request.target)
    return hand_on(response, outcome.header())


async def _read_section(request: Request, limits: Limits) -> PluginSection | None:
    """The Kendra plugin's section, if the request has one that can be cut out."""
    try:
        if not has_plugin_section(await decode_body(request, limits)):
            return None
        read = partial(read_plugin_section, request.head, limits=limits)
        section = await read_request(request, limits, read)
    except ForwardUnchanged:
        return None
    if section and find_forbidding_header(read_headers(request.head), True) in (
        "signed",
        "content_type",
    ):
        return None
    return section


def _apply_section(
    request: Request, context: SearchContext, section: PluginSection
) -> SearchContext:
    # A plan that the request names wins over the plan for the plugin's applications.
    named = context.section.plan is not None or request.head.get(b"x-rescore-plan") is not None
    if context.plugin_plan is not None and not named:
        context = replace(context, plan_name=PLUGIN_PLAN, plan=context.plugin_plan)
    return replace(context, plan=section.apply(context.plan))


async def read_search(request: Request, context: SearchContext) -> SearchRequest:
    """The search in a request without other sections. Raises ForwardUnchanged."""
    head, limits = request.head, context.limits
    headers = context.section.apply(read_headers(head))
    search_request = await read_request(
        request,
        limits,
        lambda body: read_search_request(
            head.target, body, headers, context.plan, limits, pipelines=context.pipelines
        ),
    )
    if isinstance(search_request, Skip):
        raise ForwardUnchanged("skipped", search_request.reason, search_request.key)
    note("query_text", search_request.query_text)
    return search_request
