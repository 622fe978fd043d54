"""The items of an `_msearch` that have a route: which are widened, skipped, or only shadows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from sidecar.config.limits import Limits
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.exchange import ForwardUnchanged
from sidecar.opensearch.multi_search_answer import ContextOf, WidenedItem
from sidecar.opensearch.multi_search_request import (
    Item,
    cut_sections,
    read_item_headers,
    read_items,
    read_url,
    write_item_search,
    write_search_target,
)
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.pipelines import judge_default
from sidecar.opensearch.rescore_section import (
    RescoreSection,
    SectionMistake,
    may_cut,
    may_have_section,
    read_section,
)
from sidecar.opensearch.search_request import SearchRequest, read_search_request
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.ubi_section import UbiSection, may_have_ubi, read_ubi
from sidecar.opensearch.widened_search import find_default, narrow
from sidecar.opensearch_rules.ext_sections import write_head_for
from sidecar.opensearch_rules.request_headers import SearchHeaders
from sidecar.relay.front import Request
from sidecar.relay.heads import RequestHead

Shadow = tuple[Request, SearchContext]
"""A search that is rescored in the shadow, as a `_search`."""

UbiUse = Literal["ignore", "keep", "cut"]
"""What happens to `ext.ubi`: it is not read, it is read, or it is read and cut out."""


@dataclass(frozen=True, slots=True)
class _Sections:
    """What an item's `ext` says to the sidecar."""

    rescore: RescoreSection | SectionMistake | None = None
    ubi: UbiSection | None = None


_NOTHING: Final = _Sections()


@dataclass(frozen=True, slots=True)
class RoutedItems:
    """A parsed `_msearch`: its decompressed body, its URL's parameters, its items.

    Items that have a route are either in `skipped`, with their outcome, or in `widened`, both by
    position. `instead` is the request without sections for the sidecar, if it had some. `shadows`
    has the items that are rescored only in the shadow. `ubi` has what items say to User Behavior
    Insights, by position.
    """

    body: bytes
    url: Mapping[str, str]
    items: Sequence[Item]
    skipped: Mapping[int, Outcome]
    widened: Mapping[int, WidenedItem]
    instead: Request | None = None
    shadows: Sequence[Shadow] = ()
    ubi: Mapping[int, UbiSection] = field(default_factory=dict)

    def names_of(self, position: int) -> bytes:
        """An item's index list, for the log."""
        return ",".join(self.items[position].names).encode("utf-8", "replace")


def read_routed_items(
    request: Request,
    body: bytes,
    names: tuple[str, ...],
    context_of: ContextOf,
    limits: Limits,
    ubi_use: UbiUse,
) -> RoutedItems:
    """The items of an `_msearch` with this decoded body; `names` is the index list of the URL."""
    items = read_items(body, names, limits)
    if isinstance(items, Skip):
        return RoutedItems(body, {}, (), skip_all(items.reason, names, context_of), {})
    head, headers = request.head, read_item_headers(request.head)
    cut, sections = cut_sections(
        body,
        items,
        lambda listed: context_of(listed) is not None,
        partial(_read_sections, may_cut=may_cut(headers), ubi_use=ubi_use, limits=limits),
    )
    instead = None
    if cut != body:
        body, instead = cut, Request(write_head_for(head, cut), cut, request.client_address)
        items = read_items(body, names, limits)
        assert not isinstance(items, Skip)

    url = read_url(head.target, limits)
    if len(items) > 1:
        headers = replace(headers, x_rescore_query=None)
    skipped: dict[int, Outcome] = {}
    shadows: list[Shadow] = []
    widened: dict[int, WidenedItem] = {}
    for position, item in enumerate(items):
        asked = sections.get(position, _NOTHING)
        context = (
            context_of(item.names)
            if asked.rescore is None
            else context_of(item.names, asked.rescore)
        )
        if context is None:
            continue
        if isinstance(context, Outcome):
            skipped[position] = context
            continue
        line = body[item.start : item.end]
        if context.plan.mode == "shadow":
            skipped[position] = Outcome(context.plan_name, "shadow")
            if not isinstance(url, Skip):
                shadows.append((write_item_search(head, item, line, url), context))
            continue
        context = replace(context, ubi=asked.ubi)
        search_request = _read_search(line, url, headers, context)
        widened_item = (
            Outcome(context.plan_name, "skipped", search_request.reason, key=search_request.key)
            if isinstance(search_request, Skip)
            else _apply_lessons(item, search_request, context, head)
        )
        if isinstance(widened_item, Outcome):
            skipped[position] = widened_item
        else:
            widened[position] = widened_item
    return RoutedItems(
        body,
        {} if isinstance(url, Skip) else url,
        items,
        skipped,
        widened,
        instead,
        shadows,
        {position: asked.ubi for position, asked in sections.items() if asked.ubi is not None},
    )


async def skip_default_pipelines(multi_search: RoutedItems, head: RequestHead) -> RoutedItems:
    """The same, without widened items whose indexes have a default search pipeline that forbids a
    new order; `head` is that of the `_msearch`."""
    positions = list(multi_search.widened)
    judged = await asyncio.gather(
        *(
            _judge_default(one, multi_search.url, head)
            for one in map(multi_search.widened.__getitem__, positions)
        )
    )
    skipped = dict(multi_search.skipped)
    widened = {}
    for position, result in zip(positions, judged, strict=True):
        if isinstance(result, Outcome):
            skipped[position] = result
        else:
            widened[position] = result
    return replace(multi_search, skipped=skipped, widened=widened)


async def _judge_default(
    widened_item: WidenedItem, url: Mapping[str, str], head: RequestHead
) -> WidenedItem | Outcome:
    context, search_request = widened_item.context, widened_item.search_request
    if context.default_pipelines is None:
        return widened_item
    own_head = head.replace(target=write_search_target(widened_item.item, url))
    default = await find_default(search_request, context, own_head, widened_item.keys.caller)
    skip = judge_default(default.name, context.pipelines)
    if skip is not None:
        return Outcome(context.plan_name, "skipped", skip.reason, key=skip.key)
    return replace(widened_item, default=default)


def skip_all(reason: str, names: tuple[str, ...], context_of: ContextOf) -> Mapping[int, Outcome]:
    """The outcome of a request whose items are not read."""
    # The URL's index list says where items search by default; where they do search is not known.
    context = context_of(names)
    if context is None:
        return {}
    plan_name = context.plan if isinstance(context, Outcome) else context.plan_name
    return {0: Outcome(plan_name, "skipped", reason)}


def _read_sections(
    line: bytes, may_cut: bool, ubi_use: UbiUse, limits: Limits
) -> tuple[_Sections, bytes] | None:
    """The sections of an item's line, and the line without those that are cut out."""
    rescore, ubi = None, None
    if may_cut and may_have_section(line):
        found = read_section(line, limits)
        if found is not None:
            rescore, line = found
    if ubi_use != "ignore" and may_have_ubi(line):
        found_ubi = read_ubi(line, limits)
        if found_ubi is not None:
            ubi, without = found_ubi
            line = without if may_cut and ubi_use == "cut" else line
    return _Sections(rescore, ubi), line


def _read_search(
    line: bytes, url: Mapping[str, str] | Skip, headers: SearchHeaders, context: SearchContext
) -> SearchRequest | Skip:
    if isinstance(url, Skip):
        return url
    if not line:
        # A `_search` without a body finds all documents; an empty line here is an error.
        return Skip("body_syntax")
    return read_search_request(
        b"",
        line,
        context.section.apply(headers),
        context.plan,
        context.limits,
        pipelines=context.pipelines,
    )


def _apply_lessons(
    item: Item, search_request: SearchRequest, context: SearchContext, head: RequestHead
) -> WidenedItem | Outcome:
    """The item, narrowed to what its index serves; or its outcome, if it is not rescored."""
    keys = context.lessons.keys(head, search_request, ",".join(item.names))
    if context.lessons.is_paused(keys):
        return Outcome(context.plan_name, "skipped", "resting")
    limit = context.lessons.fetch_limit(keys)
    if limit is not None:
        try:
            search_request = narrow(search_request, limit)
        except ForwardUnchanged as error:
            return Outcome(context.plan_name, error.status, error.reason)
    return WidenedItem(item, search_request, context, keys)
