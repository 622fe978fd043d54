"""One search of a routed index, from the request's bytes to the answer's, on one screen.

Whatever cannot be done ends in OpenSearch's own order: the request is forwarded as it came or,
where the widened answer is already there, the client's page is cut out of it untouched.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Final

from pipelines.plan import Plan
from sidecar.opensearch.answer_rescoring import Search, cut_page, rescore_answer
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    AsItCame,
    decode_answer,
    decoded_body,
    encode,
    fetch,
    read_headers,
)
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.plugin_ext import PLUGIN_PLAN, PluginSection, read_plugin_section
from sidecar.opensearch.search_request import (
    SearchRequest,
    read_search_request,
    reason_of_headers,
    widen_window,
)
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.window_cache import KeptWindow, fetch_whole_pages
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Response
from sidecar.relay.heads import RequestHead

_WHATEVER_THE_WINDOW: Final = (401, 403, 404)
"""Refusals of the caller or the index: the client's own search would get the same."""


async def search_and_rescore(request: Request, search: Search) -> tuple[Forward | Answer, Outcome]:
    """Answer one taken search, and say what became of it."""
    section = _plugin_section(request)
    if section is not None:
        search = _as_the_section_says(request, search, section)
    readable = section.request if section else request
    try:
        if not search.plan.enabled:
            raise AsItCame("skipped", "disabled")
        found = _read(readable, search.plan)
        key = b""
        if search.windows is not None:
            key = search.windows.key(request.head, found)
            kept = search.windows.find(key, search.plan, found)
            if kept is not None:
                return await _answer_from(kept, found, request.head)
            found = fetch_whole_pages(found, search.plan.rescore_window)
        search.expect(found.query_text)
        response = await fetch(readable.head, *widen_window(found), search.upstream)
        if response.head.status in _WHATEVER_THE_WINDOW:
            outcome = Outcome(search.plan_name, "skipped", "refused")
            return _answered(response, outcome), outcome
        if response.head.status != 200:
            # It may be an error that only the wider window caused, so the client gets its own.
            raise AsItCame("failed", "upstream_status")
        answered = time.monotonic()
        content, coding = decode_answer(response)
        window = await rescore_answer(content, found, search, readable.head)
    except AsItCame as end:
        outcome = Outcome(search.plan_name, end.status, end.reason)
        return await leave_alone(request, outcome, search.upstream), outcome
    if search.windows is not None and window.outcome.status != "skipped":
        search.windows.keep(key, found, window, response, coding)
    body = await encode(await cut_page(window, found), coding)
    outcome = replace(window.outcome, ms=(time.monotonic() - answered) * 1000)
    head = response.head.write_client(content_length=len(body), add=(outcome.header(),))
    return Answer(head, body), outcome


async def _answer_from(
    kept: KeptWindow, found: SearchRequest, head: RequestHead
) -> tuple[Answer, Outcome]:
    """A further page of a window that is kept."""
    begun = time.monotonic()
    body = await encode(await cut_page(kept.window, found), kept.coding)
    ms = (time.monotonic() - begun) * 1000
    outcome = replace(kept.window.outcome, ms=ms, cached=True)
    return Answer(kept.answer_head(head, len(body), outcome), body), outcome


async def leave_alone(request: Request, outcome: Outcome, upstream: Exchanger) -> Forward | Answer:
    """OpenSearch's own answer to a search, with what became of it in the head.

    The request is forwarded as it came, unless it carries the Kendra plugin's section, which a
    cluster without the plugin refuses. Then the rest of it is sent, and the answer is held
    whole; where that cannot be done, the request goes as it came after all.
    """
    section = _plugin_section(request)
    if section is not None:
        head, body = section.request.head.write_upstream(), section.request.body
        with contextlib.suppress(UpstreamError):
            response = await upstream.exchange(head, body, limit=BODY_LIMIT)
            return _answered(response, outcome)
    return Forward((outcome.header(),))


def _answered(response: Response, outcome: Outcome) -> Answer:
    """OpenSearch's answer as it is, with what became of the search in the head."""
    length = len(response.body)
    head = response.head.write_client(content_length=length, add=(outcome.header(),))
    return Answer(head, response.body)


def _plugin_section(request: Request) -> PluginSection | None:
    """The Kendra plugin's section, if the request has one that can be cut out."""
    try:
        section = read_plugin_section(request.head, decoded_body(request))
    except AsItCame:
        return None
    if section and reason_of_headers(read_headers(request.head), True) in (
        "signed",
        "content_type",
    ):
        return None
    return section


def _as_the_section_says(request: Request, search: Search, section: PluginSection) -> Search:
    # A plan that the request names goes before the one for the plugin's applications.
    if search.plugin_plan is not None and request.head.get(b"x-rescore-plan") is None:
        search = replace(search, plan_name=PLUGIN_PLAN, plan=search.plugin_plan)
    return replace(search, plan=section.apply(search.plan))


def _read(request: Request, plan: Plan) -> SearchRequest:
    body = decoded_body(request)
    found = read_search_request(request.head.target, body, read_headers(request.head), plan)
    if isinstance(found, Skip):
        raise AsItCame("skipped", found.reason)
    return found
