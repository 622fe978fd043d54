"""One `_msearch`: the items of routed indexes are rescored, each as if it were a `_search`.

Items are rescored one after the other, the first one first, and all of them within one deadline:
an `_msearch` waits for a model like a single search, so it neither takes longer than one nor
takes the models away from others. Items that the deadline does not reach keep their order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sidecar.opensearch.answer_rescoring import Search, cut_page, rescore_answer
from sidecar.opensearch.exchange import (
    AsItCame,
    decode_answer,
    decoded_body,
    encode,
    fetch,
    off_loop,
    read_headers,
)
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_array,
    read_document,
    read_object,
    read_value,
    replace_spans,
)
from sidecar.opensearch.multi_search_request import (
    Item,
    read_items,
    read_url,
    replace_searches,
    search_target,
)
from sidecar.opensearch.outcome import FIELD, Outcome, Status
from sidecar.opensearch.search_request import (
    SearchRequest,
    read_search_request,
    widen_window,
)
from sidecar.opensearch.search_response import Unreadable, read_hits, splice_response
from sidecar.opensearch.skip_reasons import Skip
from sidecar.relay.front import Answer, Forward, Request, Response
from sidecar.relay.heads import RequestHead

SearchOf = Callable[[Sequence[str]], Search | Outcome | None]
"""What a search of an index list needs, or why this request's searches are not rescored; None
where the list has no plan."""

_DEARER = 10
"""Times that a request's bytes cost more to read than an answer's: fifty short items, 2 ms."""

_WORST_FIRST: tuple[Status, ...] = ("failed", "skipped", "partial", "applied")


@dataclass(frozen=True, slots=True)
class _Widened:
    """An item that is to be rescored."""

    item: Item
    found: SearchRequest
    search: Search


@dataclass(frozen=True, slots=True)
class _Read:
    """A request: its decompressed body, its URL's parameters, how many items it has.

    The items that have a route stand by their position in `left`, with what became of them, or
    in `widened`.
    """

    body: bytes
    url: Mapping[str, str]
    count: int
    left: Mapping[int, Outcome]
    widened: Mapping[int, _Widened]


async def search_all_and_rescore(
    request: Request, names: tuple[str, ...], search_of: SearchOf
) -> tuple[Forward | Answer, Sequence[Outcome]]:
    """Answer one `_msearch`, and say what became of each of its items that has a route.

    `names` is the index list of its URL. When a widened item gets no proper answer, the whole
    request is forwarded as it came.
    """
    size = _DEARER * len(request.body)
    read = await off_loop(size, lambda: _read(request, names, search_of))
    if not read.widened:
        return _forward(read.left)
    first = min(read.widened)
    read.widened[first].search.expect(read.widened[first].found.query_text)
    try:
        response = await _fetch(request.head, read)
        content, coding = decode_answer(response)
        content, rescored = await _rescore_items(content, read, request.head)
    except AsItCame as end:
        failed = {
            position: Outcome(one.search.plan_name, end.status, end.reason)
            for position, one in read.widened.items()
        }
        return _forward({**read.left, **failed})
    outcomes = _in_order({**read.left, **rescored})
    body = await encode(content, coding)
    head = response.head.write_client(content_length=len(body), add=(_header(outcomes),))
    return Answer(head, body), outcomes


async def _rescore_items(
    content: bytes, read: _Read, head: RequestHead
) -> tuple[bytes, Mapping[int, Outcome]]:
    """The answer with the page of each widened item in its new order."""
    begun = time.monotonic()
    text, responses = await off_loop(len(content), lambda: _read_responses(content, read))
    outcomes = {}
    edits = []
    for position, one in read.widened.items():
        await asyncio.sleep(0)  # an item may be done without waiting: others want their turn
        start, end = responses[position].start, responses[position].end
        answer = text[start:end].encode("utf-8", "surrogatepass")
        left_ms = one.search.plan.deadline_ms - (time.monotonic() - begun) * 1000
        if left_ms >= 1:
            plan = one.search.plan.model_copy(update={"deadline_ms": int(left_ms)})
            target = search_target(one.item, read.url)
            started = time.monotonic()
            window = await rescore_answer(
                answer, one.found, replace(one.search, plan=plan), head.replace(target=target)
            )
            page = await cut_page(window, one.found)
            outcomes[position] = replace(window.outcome, ms=(time.monotonic() - started) * 1000)
        else:
            page = await off_loop(len(answer), partial(_cut_page, answer, one.found))
            outcomes[position] = Outcome(one.search.plan_name, "failed", "deadline")
        edits.append((start, end, page.decode("utf-8", "surrogatepass")))
    return await off_loop(
        len(text), lambda: replace_spans(text, edits).encode("utf-8", "surrogatepass")
    ), outcomes


def _read(request: Request, names: tuple[str, ...], search_of: SearchOf) -> _Read:
    try:
        body = decoded_body(request)
    except AsItCame as end:
        body = b""
        items: tuple[Item, ...] | Skip = Skip(end.reason)
    else:
        items = read_items(body, names)
    if isinstance(items, Skip):
        # Which items it has is not known, only where they look unless they say otherwise.
        search = search_of(names)
        if search is None:
            return _Read(body, {}, 0, {}, {})
        plan_name = search.plan if isinstance(search, Outcome) else search.plan_name
        return _Read(body, {}, 0, {0: Outcome(plan_name, "skipped", items.reason)}, {})

    url = read_url(request.head.target)
    headers = read_headers(request.head)
    headers = replace(
        headers,
        # The lines are JSON whatever the body as a whole is called.
        content_type=(headers.content_type or b"").lower().replace(b"x-ndjson", b"json"),
        x_rescore_query=headers.x_rescore_query if len(items) == 1 else None,
    )
    left: dict[int, Outcome] = {}
    widened: dict[int, _Widened] = {}
    for position, item in enumerate(items):
        search = search_of(item.names)
        if search is None:
            continue
        if isinstance(search, Outcome):
            left[position] = search
            continue
        found: SearchRequest | Skip
        if isinstance(url, Skip):
            found = url
        elif item.start == item.end:
            # For a `_search` no body means every document; here it is an error.
            found = Skip("body_syntax")
        else:
            line = body[item.start : item.end]
            found = read_search_request(b"", line, headers, search.plan)
        if isinstance(found, SearchRequest):
            widened[position] = _Widened(item, found, search)
        else:
            left[position] = Outcome(search.plan_name, "skipped", found.reason)
    return _Read(body, {} if isinstance(url, Skip) else url, len(items), left, widened)


async def _fetch(head: RequestHead, read: _Read) -> Response:
    """The answer to the request with its widened items."""
    body = replace_searches(
        read.body, ((one.item, widen_window(one.found)[1]) for one in read.widened.values())
    )
    upstream = next(iter(read.widened.values())).search.upstream
    response = await fetch(head, head.target, body, upstream)
    if response.head.status != 200:
        raise AsItCame("failed", "upstream_status")
    return response


def _read_responses(content: bytes, read: _Read) -> tuple[str, Sequence[Spanned]]:
    """The answer as text, and the response to each item in it; all widened ones are proper."""
    try:
        text = content.decode("utf-8", "surrogatepass")
        root = read_document(text, partial(read_object, readers={"responses": _read_array}))
    except (UnicodeDecodeError, NotJson):
        raise AsItCame("failed", "unreadable") from None
    responses = root["responses"].value if "responses" in root else ()
    if len(responses) != read.count:
        raise AsItCame("failed", "unreadable")
    for position in read.widened:
        response = responses[position].value
        if not isinstance(response, dict) or response.get("status") != 200:
            raise AsItCame("failed", "upstream_status")
    return text, responses


def _read_array(text: str, start: int) -> tuple[list[Spanned], int]:
    return read_array(text, start, read_value)


def _cut_page(answer: bytes, found: SearchRequest) -> bytes:
    """The client's page of a widened response, in its original order."""
    try:
        read = read_hits(answer)
    except Unreadable:
        raise AsItCame("failed", "unreadable") from None
    if read.shards_failed:
        raise AsItCame("failed", "shard_failures")
    return splice_response(read, None, found.start, found.size)


def _forward(outcomes: Mapping[int, Outcome]) -> tuple[Forward, Sequence[Outcome]]:
    ordered = _in_order(outcomes)
    return Forward((_header(ordered),) if ordered else ()), ordered


def _in_order(outcomes: Mapping[int, Outcome]) -> Sequence[Outcome]:
    return [outcomes[position] for position in sorted(outcomes)]


def _header(outcomes: Sequence[Outcome]) -> bytes:
    """One header line for all items that have a route: the worst status, its first reason."""
    worst = min(outcomes, key=lambda outcome: _WORST_FIRST.index(outcome.status))
    rescored = [one for one in outcomes if one.status in ("applied", "partial")]
    parts: list[str] = [worst.status]
    if worst.reason:
        parts.append(f"reason={worst.reason}")
    parts.append(f"plan={'+'.join(dict.fromkeys(one.plan for one in outcomes))}")
    parts += [f"items={len(outcomes)}", f"rescored={len(rescored)}"]
    if rescored:
        parts.append(f"ms={sum(one.ms for one in outcomes):.1f}")
    return FIELD + b": " + "; ".join(parts).encode("ascii")
