"""Reads the searches of an `_msearch`, and replaces some of them in its bytes.

The body has pairs of JSON lines: a header that says where to search, and the search. The rules are
those of OpenSearch's `MultiSearchRequest.readMultiLineFormat`. In any doubt the whole request is
skipped, because one line that OpenSearch reads differently shifts all lines after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from sidecar.config.limits import Limits
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.url_options import COPY_OPTIONS, FORMAT_OPTIONS, INDEX_OPTIONS
from sidecar.opensearch_rules.ext_sections import write_head_for
from sidecar.opensearch_rules.request_headers import SearchHeaders, read_headers
from sidecar.relay.front import Request
from sidecar.relay.heads import RequestHead
from sidecar.spans.json_spans import NestingTooDeep, NotJson, read_document, read_unique_value
from sidecar.spans.url_parameters import (
    BadUrl,
    TooManyParameters,
    read_url_parameters,
)

Section = TypeVar("Section")

_INDEX_KEYS = ("index", "indices")

# fmt: off
_HEADER_KEYS = frozenset({
    *_INDEX_KEYS, *INDEX_OPTIONS, *COPY_OPTIONS, "expandWildcards", "ignoreUnavailable",
    "allowNoIndices", "ignoreThrottled", "search_type", "request_cache", "requestCache",
    "allow_partial_search_results", "cancel_after_time_interval", "cancelAfterTimeInterval",
    "phase_took", "ccs_minimize_roundtrips", "ccsMinimizeRoundtrips",
})
_HARMLESS_IN_URL = frozenset({
    *INDEX_OPTIONS, *FORMAT_OPTIONS, "routing", "search_type", "max_concurrent_searches",
    "max_concurrent_shard_requests", "pre_filter_shard_size", "cancel_after_time_interval",
    "ccs_minimize_roundtrips",
})
# fmt: on
_HARMLESS_VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"filter_path": ("",), "format": ("json",)}
)
_REASONS_IN_URL: Mapping[str, str] = MappingProxyType(
    {
        "filter_path": "filter_path",
        "format": "reply_format",
        "source": "source_parameter",
        "source_content_type": "source_parameter",
    }
)


@dataclass(frozen=True, slots=True)
class Item:
    """One search of an `_msearch`; `body[start:end]` is its body line without the line feed.

    `names` is its index list, decoded; an empty list means all indexes. `header` has the other
    members of its header line.
    """

    names: tuple[str, ...]
    header: Mapping[str, Any]
    start: int
    end: int


def read_items(body: bytes, default: tuple[str, ...], limits: Limits) -> tuple[Item, ...] | Skip:
    """The searches of a decompressed body; `default` is the URL's index list.

    Never raises. Returns a Skip if OpenSearch might see other items, or if there are too many.
    """
    if not body.endswith(b"\n") or body.startswith(b"\n"):
        return Skip("multi_search")  # the first is an error, and OpenSearch ignores the second
    # An item has two lines, and an empty line may follow the last item.
    if body.count(b"\n") > 2 * limits.multi_search_items + 1:
        return Skip("limits.multi_search_items")
    lines = [match.span() for match in re.finditer(rb"([^\n]*)\n", body)]
    lines = [(start, end - 1) for start, end in lines]
    if len(lines) % 2:
        # OpenSearch ignores a header without a search. An empty one is no mistake: some clients end
        # the body with an extra line feed.
        start, end = lines.pop()
        if start != end:
            return Skip("multi_search")
    items = []
    for header, search in zip(lines[::2], lines[1::2], strict=True):
        names_and_members = _read_header(body[slice(*header)], default, limits)
        if isinstance(names_and_members, Skip):
            return names_and_members
        items.append(Item(*names_and_members, *search))
    return tuple(items)


def read_item_headers(head: RequestHead) -> SearchHeaders:
    """The headers that decide about each item."""
    headers = read_headers(head)
    # Each line is JSON, whatever the Content-Type of the whole body is.
    content_type = (headers.content_type or b"").lower().replace(b"x-ndjson", b"json")
    return replace(headers, content_type=content_type)


def cut_sections(
    body: bytes,
    items: Sequence[Item],
    has_route: Callable[[Sequence[str]], bool],
    read: Callable[[bytes], tuple[Section, bytes] | None],
) -> tuple[bytes, Mapping[int, Section]]:
    """The body without the sections of items that have a route, and the sections by the items'
    positions. The same body if there are none.

    `read` returns a line's section and the line without it, or None if it has none.
    """
    sections = {}
    lines = []
    for position, item in enumerate(items):
        if not has_route(item.names):
            continue
        found = read(body[item.start : item.end])
        if found is not None:
            sections[position], cut = found
            lines.append((item, cut))
    return replace_searches(body, lines), sections


def read_url(target: bytes, limits: Limits) -> Mapping[str, str] | Skip:
    """The URL's parameters, decoded; a Skip if one of them forbids changing the items."""
    try:
        listed = read_url_parameters(target, limits.url_parameters)
    except TooManyParameters:
        return Skip("limits.url_parameters")
    except BadUrl:
        return Skip("url_syntax")
    parameters = {one.name: one.value for one in listed}
    for name, value in parameters.items():
        if name not in _HARMLESS_IN_URL and value not in _HARMLESS_VALUES.get(name, ()):
            return Skip(_REASONS_IN_URL.get(name, "unknown_parameter"))
    return parameters


def replace_searches(body: bytes, searches: Iterable[tuple[Item, bytes]]) -> bytes:
    """The body with new search lines for these items, which are in their order; all else stays."""
    pieces = []
    behind = 0
    for item, line in searches:
        pieces += [body[behind : item.start], line]
        behind = item.end
    return b"".join([*pieces, body[behind:]])


def write_search_target(item: Item, url: Mapping[str, str]) -> bytes:
    """The target of a `_search` of the same indexes and shards as the item.

    `url` is the result of `read_url`. The item's header replaces parameters of the same name.
    """
    path = f"/{quote(','.join(item.names), safe=',', errors='replace')}" if item.names else ""
    values = {**url, **item.header}
    texts = {name: _encode(value) for name, value in values.items() if value is not None}
    return f"{path}/_search?{urlencode(texts, errors='replace')}".encode()


def write_item_search(
    head: RequestHead, item: Item, line: bytes, url: Mapping[str, str]
) -> Request:
    """The `_search` that does the same as an item; `head` is that of the `_msearch`."""
    fields = [field for field in head.fields if field[0] != b"content-type"]
    fields.append((b"content-type", b"Content-Type: application/json"))
    target = write_search_target(item, url)
    return Request(write_head_for(head.replace(target=target, fields=tuple(fields)), line), line)


def _encode(value: object) -> str:
    """A value of a header line as it is written in a URL."""
    if isinstance(value, list):
        return ",".join(_encode(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_header(
    line: bytes, default: tuple[str, ...], limits: Limits
) -> tuple[tuple[str, ...], Mapping[str, Any]] | Skip:
    """Index list and other members of a header line; a Skip if OpenSearch might read others."""
    if line.count(b",") > limits.index_names + len(_HEADER_KEYS):
        return Skip("limits.index_names")
    try:
        header = read_document(line.decode(), read_unique_value) if line else {}
    except NestingTooDeep:
        return Skip("limits.nesting")
    except (UnicodeDecodeError, NotJson):
        return Skip("multi_search")
    if not isinstance(header, dict) or not header.keys() <= _HEADER_KEYS:
        return Skip("multi_search")
    named = [header.pop(key) for key in _INDEX_KEYS if key in header]
    match named:
        case []:
            names = default
        case [str(expression)]:
            names = tuple(expression.split(","))
        case [list(listed)] if all(isinstance(name, str) and "," not in name for name in listed):
            names = tuple(listed)
        case _:
            return Skip("multi_search")
    return names, MappingProxyType(header)
