"""Sends the widened search to OpenSearch, and learns from the answer.

The search is narrowed to what the index serves, and made in two steps if documents are large. If
OpenSearch refuses it, the error decides what is sent next. A search whose indexes have a default
search pipeline is judged like one that names it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sidecar.event_loop.loop_turns import search_age_s
from sidecar.opensearch.answer_rescoring import SearchContext, read_widened_response
from sidecar.opensearch.default_pipelines import NO_DEFAULT, DefaultPipeline
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    FinalAnswer,
    ForwardUnchanged,
    decode_answer,
    fetch,
    run_unless_busy,
)
from sidecar.opensearch.index_lessons import LessonKeys
from sidecar.opensearch.own_sources import (
    SourcesChanged,
    asks_for_versions,
    measure_spare_bytes,
    put_sources,
    read_sources,
    reduce_to_plan_fields,
    write_source_fetch,
)
from sidecar.opensearch.pipelines import judge_default, names_pipeline
from sidecar.opensearch.refusals import (
    REFUSED_STATUSES,
    Cause,
    are_shards_missing,
    judge,
    read_error_causes,
    read_result_window,
)
from sidecar.opensearch.search_request import SearchRequest, list_plan_fields, widen_window
from sidecar.opensearch.search_response import SearchResponse
from sidecar.opensearch.window_cache import RescoredWindow
from sidecar.relay.errors import ResponseTooLarge, UpstreamError
from sidecar.relay.front import Response
from sidecar.relay.heads import RequestHead, ResponseHead

TWO_STEPS_FROM: Final = 8 << 20
"""A search is made in two steps if the hits beyond the page have this many bytes that the plan does
not read.

OpenSearch must parse each source to filter it, which takes about as long as sending it over a
network of 2.4 Gbit/s. So two steps save memory and the sidecar's own time, rather than the client's
time: for 100 documents of 200 KB the sidecar computes 19 ms instead of 39, for documents of 20 KB
11 ms instead of 10."""


class WidenedSearchRefused(ForwardUnchanged):
    """OpenSearch refused the widened search; the client's own search may succeed."""


@dataclass(frozen=True, slots=True)
class Widened:
    """The response to a widened search, with the answer's head and content coding.

    `search_request` is the search, narrowed to the hits that were fetched. If `sources_apart` is
    true, the hits have only the fields that the plan reads. `started` is when the answer arrived,
    in seconds of the monotonic clock, less the time that the sidecar took before it sent the
    search: from then on, all time is the sidecar's.
    """

    search_request: SearchRequest
    search_response: SearchResponse
    head: ResponseHead
    coding: bytes
    sources_apart: bool
    started: float


async def send_widened_search(
    search_request: SearchRequest,
    context: SearchContext,
    head: RequestHead,
    keys: LessonKeys,
    one_step: bool = False,
) -> Widened:
    """Fetch the hits of a window; `head` is the client's.

    Raises ForwardUnchanged if the client's own search must be sent (WidenedSearchRefused if
    OpenSearch refused the widened one), and FinalAnswer if no other search may be sent.
    """
    before_s = search_age_s()
    lessons = context.lessons
    if lessons.is_paused(keys):
        raise ForwardUnchanged("skipped", "resting")
    limit = lessons.fetch_limit(keys)
    if limit is not None:
        search_request = narrow(search_request, limit)
    default = await find_default(search_request, context, head, keys.caller)
    _raise_for_default(default, context)
    # As for a search that names a pipeline, which may change the `_source`.
    one_step = one_step or default != NO_DEFAULT
    fields = list_plan_fields(context.plan)
    hits_beyond_page = max(0, search_request.fetch - search_request.size)
    first_step = None
    if not one_step and lessons.spare_bytes(keys) * hits_beyond_page >= TWO_STEPS_FROM:
        first_step = reduce_to_plan_fields(search_request, fields)
    while True:
        try:
            edited = widen_window(first_step or search_request)
            response = await fetch(head, *edited, context.upstream)
            started = time.monotonic() - before_s
            content, coding = await _decode(response)
        except ForwardUnchanged as error:
            if error.reason != "too_large":
                raise
            if first_step is None and not one_step:
                first_step = reduce_to_plan_fields(search_request, fields)
                if first_step is not None:
                    continue
            lessons.learn_trouble(keys, "too_large", search_request.target)
            raise
        if response.head.status == 200:
            search_response = await read_widened_response(
                content, search_request, context.known_sources
            )
            causes = search_response.causes
        else:
            search_response = None
            causes = read_error_causes(content)
        result_window = read_result_window(causes, search_request.fetch)
        if result_window is not None and (limit is None or result_window < limit):
            lessons.learn_limit(keys, result_window, search_request.target)
            limit, search_request = result_window, narrow(search_request, result_window)
            first_step = first_step and reduce_to_plan_fields(search_request, fields)
            continue
        break
    if search_response is None:
        _raise_for_error(response, causes, context, keys, search_request)
    elif search_response.shards_failed and not are_shards_missing(causes):
        # The cause may be a document beyond the client's page, which the client did not request.
        raise WidenedSearchRefused("failed", "shard_failures")
    assert search_response is not None
    lessons.learn_success(keys)
    _raise_for_default(look_up_again(default, context), context)
    if limit is None:
        lessons.forget_limit(keys)
    if first_step is None and search_request.text_in_response:
        lessons.learn_spare_bytes(keys, measure_spare_bytes(search_response, fields))
    sources_apart = first_step is not None
    return Widened(search_request, search_response, response.head, coding, sources_apart, started)


async def find_default(
    search_request: SearchRequest, context: SearchContext, head: RequestHead, caller: bytes
) -> DefaultPipeline:
    """The default pipeline of the indexes that a search searches, unless it names one itself.

    `head` is the client's head of a `_search` of these indexes, and `caller` the client's digest.
    """
    pipelines = context.default_pipelines
    in_url = {parameter.name for parameter in search_request.parameters}
    if pipelines is None or names_pipeline((in_url, search_request.members)):
        return NO_DEFAULT
    question = pipelines.question(head, caller)
    return NO_DEFAULT if question is None else await pipelines.find(question, context.upstream)


def look_up_again(default: DefaultPipeline, context: SearchContext) -> DefaultPipeline:
    """The same, after a search's answer: OpenSearch may have said by now which pipeline it is."""
    pipelines = context.default_pipelines
    if default.pending is None or pipelines is None:
        return default
    return pipelines.look_up(default.pending)


async def add_own_sources(
    window: RescoredWindow,
    search_request: SearchRequest,
    context: SearchContext,
    head: RequestHead,
    keys: LessonKeys,
) -> RescoredWindow:
    """The window with the `_source` that the client asked for, in the hits of the page.

    Raises SourcesChanged if the documents have changed or cannot be fetched, and FinalAnswer if
    OpenSearch is overloaded.
    """
    search_response = window.search_response
    places = [position for position, _ in window.order or ()]
    places += range(len(places), len(search_response.hits))
    positions = places[search_request.start : search_request.start + search_request.size]
    if not positions:
        return window
    hits = [search_response.hits[position] for position in positions]
    message = write_source_fetch(head, search_request, hits)
    try:
        response = await context.upstream.exchange(*message, limit=BODY_LIMIT)
    except (ResponseTooLarge, UpstreamError):
        raise SourcesChanged("the sources could not be fetched") from None
    if response.head.status == 429 or response.head.status >= 500:
        context.lessons.learn_trouble(keys, "overload", search_request.target)
        raise FinalAnswer(response, "failed", "upstream_status")
    if response.head.status != 200:
        raise SourcesChanged(f"OpenSearch answered {response.head.status}")
    try:
        content, _ = await _decode(response)
    except ForwardUnchanged:
        raise SourcesChanged("the answer cannot be read") from None
    # Sources are read one by one, each by Python's own JSON scanner.
    keep_versions = asks_for_versions(search_request)
    filled, spare = await run_unless_busy(
        len(content), partial(_fill, content, search_response, positions, keep_versions)
    )
    context.lessons.learn_spare_bytes(keys, spare)
    return replace(window, search_response=filled)


def narrow(search_request: SearchRequest, limit: int) -> SearchRequest:
    """The search, for at most as many hits as the index serves.

    Raises ForwardUnchanged for a page beyond the limit.
    """
    if search_request.start + search_request.size > limit:
        raise ForwardUnchanged("skipped", "result_window")
    return replace(
        search_request,
        fetch=min(search_request.fetch, limit),
        fetch_limit=min(search_request.fetch_limit, limit),
    )


def _raise_for_default(default: DefaultPipeline, context: SearchContext) -> None:
    """Raise ForwardUnchanged if the default pipeline forbids a new order."""
    skip = judge_default(default.name, context.pipelines)
    if skip is not None:
        raise ForwardUnchanged("skipped", skip.reason, skip.key)


def _fill(
    content: bytes, search_response: SearchResponse, positions: Sequence[int], keep_versions: bool
) -> tuple[SearchResponse, float]:
    sources = read_sources(content, search_response, positions)
    filled = put_sources(search_response, positions, sources, keep_versions)
    return filled, max(0.0, (len(filled.text) - len(search_response.text)) / len(positions))


async def _decode(response: Response) -> tuple[bytes, bytes]:
    """The answer's body without its coding, and the coding; empty for an error that is not JSON."""
    try:
        return await decode_answer(response)
    except ForwardUnchanged:
        if response.head.status == 200:
            raise
        return b"", b"identity"


def _raise_for_error(
    response: Response,
    causes: Sequence[Cause],
    context: SearchContext,
    keys: LessonKeys,
    search_request: SearchRequest,
) -> None:
    """Raise FinalAnswer or WidenedSearchRefused for an answer that is an error."""
    status = response.head.status
    match judge(status, causes):
        case "overload":
            context.lessons.learn_trouble(keys, "overload", search_request.target)
            raise FinalAnswer(response, "failed", "upstream_status")
        case "same" if status in REFUSED_STATUSES:
            raise FinalAnswer(response, "skipped", "refused")
        case "same":
            raise FinalAnswer(response, "failed", "upstream_status")
        case "own":
            raise WidenedSearchRefused("failed", "upstream_status")
