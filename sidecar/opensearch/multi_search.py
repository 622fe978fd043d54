"""One `_msearch`: rescores the items of indexes that have a route, each like a `_search`.

Items are rescored one after the other, and all within one deadline. So an `_msearch` takes no
longer than a single search, and leaves the models to other searches in between. Each item has a
fair share of the time (item_deadlines.py).

Each item is judged on its own. Items whose error may have its cause in the widened window are sent
once more, together, without the items that succeeded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sidecar.config.limits import Limits
from sidecar.event_loop.loop_turns import next_turn
from sidecar.event_loop.off_loop import NEW
from sidecar.opensearch.answer_rescoring import (
    SearchContext,
    cut_page,
    find_skip_reason,
    rescore_hits,
)
from sidecar.opensearch.exchange import (
    FinalAnswer,
    ForwardUnchanged,
    decode_answer,
    decode_body,
    encode,
    fetch,
    hand_on,
    run_unless_busy,
)
from sidecar.opensearch.item_deadlines import ItemDeadlines
from sidecar.opensearch.multi_search_answer import (
    ContextOf,
    ItemRetry,
    WidenedItem,
    is_success,
    judge_item,
    read_responses,
    write_header,
)
from sidecar.opensearch.multi_search_request import replace_searches, write_search_target
from sidecar.opensearch.outcome import Outcome, Status
from sidecar.opensearch.refusals import judge, read_error_causes
from sidecar.opensearch.routed_items import (
    RoutedItems,
    Shadow,
    UbiUse,
    read_routed_items,
    skip_all,
    skip_default_pipelines,
)
from sidecar.opensearch.search_request import widen_window
from sidecar.opensearch.search_response import SearchResponse
from sidecar.opensearch.ubi_section import UbiSection
from sidecar.opensearch.window_cache import RescoredWindow
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Response
from sidecar.relay.heads import RequestHead
from sidecar.spans.json_spans import replace_spans
from sidecar.tracing.steps import step

_REQUEST_BYTE_COST = 10
"""How many times longer a byte of a request takes to read than one of an answer: fifty short items
take 2 ms."""

_REFUSED_CALLER = (401, 403)


@dataclass(slots=True)
class FollowUps:
    """What follows an `_msearch` that has its answer: shadows, and queries to write."""

    shadows: list[Shadow] = field(default_factory=list)
    queries: list[tuple[UbiSection, Outcome]] = field(default_factory=list)


async def search_all_and_rescore(
    request: Request,
    names: tuple[str, ...],
    context_of: ContextOf,
    limits: Limits,
    follow_ups: FollowUps,
    ubi_use: UbiUse = "ignore",
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Forward | Answer, Sequence[Outcome]]:
    """Answer one `_msearch`, and return the outcome of each item that has a route.

    `names` is the index list of the URL. `follow_ups` gets the shadows, and the queries for User
    Behavior Insights. If the widened request gets no usable answer, the whole request is forwarded
    unchanged. The items share their deadline by `clock`, which is monotonic, in seconds.
    """
    try:
        body = await decode_body(request, limits)
        size = len(request.head.target) + _REQUEST_BYTE_COST * len(body)
        multi_search = await run_unless_busy(
            size,
            lambda: read_routed_items(request, body, names, context_of, limits, ubi_use),
            line=NEW,
        )
    except ForwardUnchanged as error:
        outcomes = skip_all(error.reason, names, context_of)
        return _forward(outcomes), _sort(outcomes)
    follow_ups.shadows += multi_search.shadows
    multi_search = await skip_default_pipelines(multi_search, request.head)
    reply, outcomes = await _answer(request, multi_search, clock)
    follow_ups.queries += [(ubi, outcomes[place]) for place, ubi in multi_search.ubi.items()]
    return reply, _sort(outcomes)


async def _answer(
    request: Request, multi_search: RoutedItems, clock: Callable[[], float]
) -> tuple[Forward | Answer, Mapping[int, Outcome]]:
    """The reply, and the outcomes by position."""
    instead = multi_search.instead
    if not multi_search.widened:
        return _forward(multi_search.skipped, instead), multi_search.skipped
    widened = multi_search.widened
    first = widened[min(widened)]
    first.context.expect(first.search_request.query_text)

    def fail_all(status: Status, reason: str) -> Mapping[int, Outcome]:
        failed = {
            position: Outcome(item.context.plan_name, status, reason)
            for position, item in widened.items()
        }
        return {**multi_search.skipped, **failed}

    try:
        edited_body = replace_searches(
            multi_search.body,
            ((item.item, widen_window(item.search_request)[1]) for item in widened.values()),
        )
        response = await _fetch(request.head, edited_body, first.context.upstream)
        content, coding = await decode_answer(response)
        content, rescored = await _rescore_items(content, multi_search, request.head, clock)
        body = await encode(content, coding)
    except ForwardUnchanged as error:
        outcomes = fail_all(error.status, error.reason)
        return _forward(outcomes, instead), outcomes
    except FinalAnswer as error:
        if error.response.head.status in _REFUSED_CALLER and first.context.windows is not None:
            first.context.windows.forget_caller(first.keys.caller)
        outcomes = fail_all(error.status, error.reason)
        return hand_on(error.response, write_header(_sort(outcomes))), outcomes
    outcomes = {**multi_search.skipped, **rescored}
    line = write_header(_sort(outcomes))
    head = response.head.write_client(content_length=len(body), add=(line,))
    return Answer(head, body), outcomes


async def _rescore_items(
    content: bytes, multi_search: RoutedItems, head: RequestHead, clock: Callable[[], float]
) -> tuple[bytes, Mapping[int, Outcome]]:
    """The answer, with the page of each widened item in its new order."""
    start = clock()
    responses = await read_responses(content, len(multi_search.items))
    outcomes: dict[int, Outcome] = {}
    to_rescore: dict[int, tuple[WidenedItem, SearchResponse]] = {}
    retries: dict[int, ItemRetry] = {}
    for position, widened_item in multi_search.widened.items():
        await next_turn()  # an item may need no waiting; other requests get their turn
        verdict = await judge_item(responses, position, widened_item)
        if isinstance(verdict, ItemRetry):
            retries[position] = verdict
        elif isinstance(verdict, Outcome):
            outcomes[position] = verdict
            windows = widened_item.context.windows
            if verdict.reason == "refused" and windows is not None:
                windows.forget_caller(widened_item.keys.caller)
        else:
            to_rescore[position] = widened_item, verdict
    texts: dict[int, str] = {}
    if retries:
        # The deadline does not include the time that OpenSearch takes.
        start -= clock()
        texts, narrowed = await _retry_items(multi_search, retries, head)
        start += clock()
        to_rescore |= narrowed
        outcomes |= {position: retry.outcome for position, retry in retries.items()}
    deadlines = ItemDeadlines(
        {position: item.context for position, (item, _) in to_rescore.items()},
        frozenset(at for at, (_, one) in to_rescore.items() if find_skip_reason(one) is None),
    )
    for position in deadlines.order:
        await next_turn()
        widened_item, search_response = to_rescore[position]
        context = deadlines.take(position, (clock() - start) * 1000)
        item_start = time.monotonic()
        with step("item") as item:
            item.note("item", position)
            window = await _rescore(search_response, widened_item, context, head, multi_search.url)
            page = await cut_page(window, widened_item.search_request)
        texts[position] = page.decode("utf-8", "surrogatepass")
        shown = window.describe_page(widened_item.search_request, widened_item.context.ubi)
        outcomes[position] = replace(shown, ms=(time.monotonic() - item_start) * 1000)
    edits = [
        (responses.items[position].start, responses.items[position].end, text)
        for position, text in texts.items()
    ]
    text = responses.text
    return await run_unless_busy(
        len(text), lambda: replace_spans(text, edits).encode("utf-8", "surrogatepass")
    ), outcomes


async def _rescore(
    search_response: SearchResponse,
    widened_item: WidenedItem,
    context: SearchContext | None,
    head: RequestHead,
    url: Mapping[str, str],
) -> RescoredWindow:
    """The item's window; in OpenSearch's order without a `context`, whose deadline has passed."""
    if context is None:
        context = widened_item.context
        outcome = Outcome(context.plan_name, "failed", "deadline")
        return RescoredWindow(context.plan, search_response, None, outcome)
    target = write_search_target(widened_item.item, url)
    return await rescore_hits(
        search_response, widened_item.search_request, context, head.replace(target=target)
    )


async def _retry_items(
    multi_search: RoutedItems, retries: Mapping[int, ItemRetry], head: RequestHead
) -> tuple[dict[int, str], dict[int, tuple[WidenedItem, SearchResponse]]]:
    """The responses to items that were sent as the client wrote them, and those of narrowed items.

    If OpenSearch refuses this request as a whole, the items keep their errors.
    """
    lines = []
    for position, retry in retries.items():
        item = multi_search.items[position]
        header_start = multi_search.items[position - 1].end + 1 if position else 0
        # OpenSearch ignores an empty line at the beginning of a request.
        lines.append(multi_search.body[header_start : item.start - 1].strip() or b"{}")
        if retry.narrowed is None:
            lines.append(multi_search.body[item.start : item.end])
        else:
            lines.append(widen_window(retry.narrowed.search_request)[1])
    upstream = multi_search.widened[next(iter(retries))].context.upstream
    try:
        response = await _fetch(head, b"".join(line + b"\n" for line in lines), upstream)
    except FinalAnswer:
        return {}, {}
    content, _ = await decode_answer(response)
    responses = await read_responses(content, len(retries))
    texts: dict[int, str] = {}
    narrowed: dict[int, tuple[WidenedItem, SearchResponse]] = {}
    for place, (position, retry) in enumerate(retries.items()):
        if retry.narrowed is not None:
            verdict = await judge_item(responses, place, retry.narrowed)
            if isinstance(verdict, SearchResponse):
                narrowed[position] = retry.narrowed, verdict
                continue
            # After a second refusal, no third request is sent.
            raise ForwardUnchanged(retry.outcome.status, retry.outcome.reason or "upstream_status")
        texts[position] = responses.text_of(place)
        if retry.outcome.reason in ("upstream_status", "shard_failures"):
            widened_item = multi_search.widened[position]
            if is_success(responses.items[place].value):
                lessons = widened_item.context.lessons
                names = multi_search.names_of(position)
                lessons.learn_trouble(widened_item.keys, "refused", names)
    return texts, narrowed


async def _fetch(head: RequestHead, body: bytes, upstream: Exchanger) -> Response:
    """OpenSearch's answer to the request with this body in place of the client's.

    Raises ForwardUnchanged or FinalAnswer if its status is not 200.
    """
    response = await fetch(head, head.target, body, upstream)
    status = response.head.status
    if status == 200:
        return response
    if judge(status, read_error_causes(response.body)) == "own":
        raise ForwardUnchanged("failed", "upstream_status")
    if status < 429:
        raise FinalAnswer(response, "skipped", "refused")
    raise FinalAnswer(response, "failed", "upstream_status")


def _forward(outcomes: Mapping[int, Outcome], instead: Request | None = None) -> Forward:
    in_order = _sort(outcomes)
    return Forward((write_header(in_order),) if in_order else (), instead)


def _sort(outcomes: Mapping[int, Outcome]) -> Sequence[Outcome]:
    return [outcomes[position] for position in sorted(outcomes)]
