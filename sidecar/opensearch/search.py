"""One search of a routed index, from the request's bytes to the answer's, on one screen.

Whatever cannot be done ends in OpenSearch's own order: the request is forwarded as it came or,
where the widened answer is already there, the client's page is cut out of it untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipelines.errors import DeadlinePassed, RescoreError
from pipelines.plan import Plan
from pipelines.rescore import Prepared, Rescoring, rescore
from pipelines.scoring import Scorer
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    AsItCame,
    decode_answer,
    decoded_body,
    fetch,
    off_loop,
    read_headers,
)
from sidecar.opensearch.outcome import Outcome, Status
from sidecar.opensearch.plugin_ext import PLUGIN_PLAN, PluginSection, read_plugin_section
from sidecar.opensearch.search_request import (
    SearchRequest,
    fields_read,
    read_search_request,
    reason_of_headers,
    widen_window,
)
from sidecar.opensearch.search_response import ReadHits, Unreadable, read_hits, splice_response
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.text_fetch import TextNotFetched, read_texts, write_text_fetch
from sidecar.relay.content_coding import encode_content
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Response
from sidecar.relay.heads import RequestHead
from sidecar.split_documents import SplitDocuments

_WHATEVER_THE_WINDOW: Final = (401, 403, 404)
"""Refusals of the caller or the index: the client's own search would get the same."""

_log: Final = logging.getLogger("sidecar.search")


OnRescored = Callable[[ReadHits, Prepared, Rescoring], object]
"""Is told how a search came to its order: OpenSearch's hits, their passages, and the outcome."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where the work of one search is done: its plan, OpenSearch, and the models.

    `scorer` gives the scorer for a deadline in seconds of the monotonic clock. `documents` are
    those that were cut into passages before. `plugin_plan` is
    what a search with the Kendra plugin's section in `ext` gets in place of `plan`, if there is
    one; its name is PLUGIN_PLAN.
    """

    plan_name: str
    plan: Plan
    upstream: Exchanger
    scorer: Callable[[float], Scorer]
    documents: SplitDocuments
    plugin_plan: Plan | None = None
    on_rescored: OnRescored | None = None


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
        response = await fetch(readable.head, *widen_window(found), search.upstream)
        if response.head.status in _WHATEVER_THE_WINDOW:
            outcome = Outcome(search.plan_name, "skipped", "refused")
            return _answered(response, outcome), outcome
        if response.head.status != 200:
            # It may be an error that only the wider window caused, so the client gets its own.
            raise AsItCame("failed", "upstream_status")
        content, coding = decode_answer(response)
        body, outcome = await rescore_answer(content, found, search, readable.head)
    except AsItCame as end:
        outcome = Outcome(search.plan_name, end.status, end.reason)
        return await leave_alone(request, outcome, search.upstream), outcome
    body = await off_loop(len(body), lambda: encode_content(body, coding))
    head = response.head.write_client(content_length=len(body), add=(outcome.header(),))
    return Answer(head, body), outcome


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


async def rescore_answer(
    content: bytes, found: SearchRequest, search: Search, head: RequestHead | None = None
) -> tuple[bytes, Outcome]:
    """The client's page of a widened answer, in its new order; and what became of the search.

    `head` is the client's, of a `_search` of the same indices: text that the answer does not
    carry is fetched with it. Without it such a search keeps its order, with reason `text_fetch`.

    Raises AsItCame when the answer is not one that the client's own search would have got.
    """
    answered = time.monotonic()
    filtered = any(parameter.name == "filter_path" for parameter in found.parameters)
    try:
        read = await off_loop(len(content), lambda: read_hits(content))
    except Unreadable:
        # Beside what it is told to, `filter_path` takes away what is empty: `hits.hits` too.
        if filtered:
            raise AsItCame("skipped", "no_hits") from None
        raise AsItCame("failed", "unreadable") from None
    if read.shards_failed:
        # Perhaps on a document beyond the client's page, which it never asked for.
        raise AsItCame("failed", "shard_failures")
    if filtered and found.start >= len(read.hits):
        raise AsItCame("skipped", "no_hits")  # an empty page, which only OpenSearch can filter

    rescoring: Rescoring | None = None
    status: Status = "applied"
    reason = _reason_to_leave(read)
    if reason is not None:
        status = "skipped"
    else:
        try:
            rescoring = await _rescore(read, found, search, head, answered)
        except RescoreError as error:
            status, reason = "failed", error.reason
        except Exception:
            _log.exception("a rescoring of plan %s failed; it is a bug", search.plan_name)
            status, reason = "failed", "error"
        else:
            for report in rescoring.stages:
                if report.scored < report.groups:
                    status, reason = "partial", report.reason or "deadline"

    order = [(ranked.position, ranked.score) for ranked in rescoring.ranking] if rescoring else None
    page = await off_loop(
        len(content),
        lambda: splice_response(read, order, found.start, found.size, search.plan.scores),
    )
    return page, Outcome(
        plan=search.plan_name,
        status=status,
        reason=reason,
        window=search.plan.rescore_window,
        scored=rescoring.scored if rescoring else 0,
        model="+".join(dict.fromkeys(stage.model for stage in search.plan.stages)),
        ms=(time.monotonic() - answered) * 1000,
    )


async def _rescore(
    read: ReadHits,
    found: SearchRequest,
    search: Search,
    head: RequestHead | None,
    answered: float,
) -> Rescoring:
    plan = search.plan
    deadline = answered + plan.deadline_ms / 1000
    hits = read.window(plan.rescore_window)
    if not found.text_in_reply:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                sources = await _fetch_text(read, search, head)
        except TimeoutError:
            raise DeadlinePassed("the text was not fetched in time") from None
        hits = read.window(plan.rescore_window, sources)
    prepared = await search.documents.prepare(plan, found.query_text, hits, deadline)
    rescoring = await rescore(plan, found.query_text, prepared, search.scorer(deadline))
    if search.on_rescored is not None:
        search.on_rescored(read, prepared, rescoring)
    return rescoring


async def _fetch_text(
    read: ReadHits, search: Search, head: RequestHead | None
) -> Sequence[Mapping[str, Any]]:
    """The sources of the window's hits."""
    if head is None:
        raise TextNotFetched("the text is not in the answer")
    hits = read.hits[: search.plan.rescore_window]
    written = write_text_fetch(head, hits, fields_read(search.plan))
    try:
        response = await search.upstream.exchange(*written, limit=BODY_LIMIT)
        if response.head.status != 200:
            raise TextNotFetched(f"OpenSearch answered {response.head.status}")
        content, _ = decode_answer(response)
    except (UpstreamError, AsItCame) as error:
        raise TextNotFetched(str(error)) from None
    return await off_loop(len(content), lambda: read_texts(content, hits))


def _answered(response: Response, outcome: Outcome) -> Answer:
    """OpenSearch's answer as it is, with what became of the search in the head."""
    length = len(response.body)
    head = response.head.write_client(content_length=length, add=(outcome.header(),))
    return Answer(head, response.body)


def _reason_to_leave(read: ReadHits) -> str | None:
    """Why these hits are not to be put into another order."""
    if not read.hits:
        return "no_hits"
    if not read.scored:
        return "sorted"
    return "timed_out" if read.timed_out or read.terminated_early else None


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
