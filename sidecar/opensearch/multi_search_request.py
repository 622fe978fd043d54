"""Read an `_msearch`: the searches in it, and its bytes with some of them replaced.

The body is lines of JSON, in pairs: a header that says where to search, and the search. The rules
are those of OpenSearch's `MultiSearchRequest.readMultiLineFormat`. What is not certain is a Skip
of the whole request, because one line read differently would shift all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from sidecar.opensearch.json_spans import NotJson, read_document, read_unique_value
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.url_parameters import BadUrl, read_url_parameters

_INDEX_KEYS = ("index", "indices")

# fmt: off
_HEADER_KEYS = frozenset({
    *_INDEX_KEYS, "search_type", "routing", "preference", "request_cache", "requestCache",
    "allow_partial_search_results", "expand_wildcards", "expandWildcards", "ignore_unavailable",
    "ignoreUnavailable", "allow_no_indices", "allowNoIndices", "ignore_throttled",
    "ignoreThrottled", "cancel_after_time_interval", "cancelAfterTimeInterval", "phase_took",
    "ccs_minimize_roundtrips", "ccsMinimizeRoundtrips",
})
_HARMLESS_IN_URL = frozenset({
    "max_concurrent_searches", "max_concurrent_shard_requests", "pre_filter_shard_size",
    "cancel_after_time_interval", "search_type", "ccs_minimize_roundtrips", "routing",
    "typed_keys", "rest_total_hits_as_int", "expand_wildcards", "ignore_unavailable",
    "allow_no_indices", "ignore_throttled", "pretty", "human", "error_trace",
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

    `names` is its index list, decoded; empty when everything is searched. `header` is what else
    its header line says.
    """

    names: tuple[str, ...]
    header: Mapping[str, Any]
    start: int
    end: int


def read_items(body: bytes, default: tuple[str, ...]) -> tuple[Item, ...] | Skip:
    """The searches of a decompressed body; `default` is the URL's index list.

    Never raises: a Skip when it is not certain that OpenSearch sees the same items.
    """
    if not body.endswith(b"\n") or body.startswith(b"\n"):
        return Skip("multi_search")  # an error, and a line that OpenSearch passes over
    lines = [match.span() for match in re.finditer(rb"([^\n]*)\n", body)]
    lines = [(start, end - 1) for start, end in lines]
    if len(lines) % 2:
        # A header without a search is passed over. Only an empty one is no mistake: some clients
        # end the body with one line feed more.
        start, end = lines.pop()
        if start != end:
            return Skip("multi_search")
    items = []
    for header, search in zip(lines[::2], lines[1::2], strict=True):
        read = _read_header(body[slice(*header)], default)
        if read is None:
            return Skip("multi_search")
        items.append(Item(*read, *search))
    return tuple(items)


def read_url(target: bytes) -> Mapping[str, str] | Skip:
    """The URL's parameters, decoded; a Skip when one keeps the items from being changed."""
    try:
        parameters = {one.name: one.value for one in read_url_parameters(target)}
    except BadUrl:
        return Skip("url_syntax")
    for name, value in parameters.items():
        if name not in _HARMLESS_IN_URL and value not in _HARMLESS_VALUES.get(name, ()):
            return Skip(_REASONS_IN_URL.get(name, "unknown_parameter"))
    return parameters


def replace_searches(body: bytes, searches: Iterable[tuple[Item, bytes]]) -> bytes:
    """The body with other body lines for these items, in their order; all else stays."""
    pieces = []
    behind = 0
    for item, line in searches:
        pieces += [body[behind : item.start], line]
        behind = item.end
    return b"".join([*pieces, body[behind:]])


def search_target(item: Item, url: Mapping[str, str]) -> bytes:
    """The target of the `_search` that looks where the item looks.

    `url` as of `read_url`; where the item's header says the same again, the header counts.
    """
    path = f"/{quote(','.join(item.names), safe=',', errors='replace')}" if item.names else ""
    said = {**url, **item.header}
    texts = {name: _spelled(value) for name, value in said.items() if value is not None}
    return f"{path}/_search?{urlencode(texts, errors='replace')}".encode()


def _spelled(value: object) -> str:
    """A header line's value as a URL has it."""
    if isinstance(value, list):
        return ",".join(_spelled(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_header(
    line: bytes, default: tuple[str, ...]
) -> tuple[tuple[str, ...], Mapping[str, Any]] | None:
    """Index list and other members of a header line; None when they are not certain."""
    try:
        header = read_document(line.decode(), read_unique_value) if line else {}
    except (UnicodeDecodeError, NotJson):
        return None
    if not isinstance(header, dict) or not header.keys() <= _HEADER_KEYS:
        return None
    named = [header.pop(key) for key in _INDEX_KEYS if key in header]
    match named:
        case []:
            names = default
        case [str(expression)]:
            names = tuple(expression.split(","))
        case [list(listed)] if all(isinstance(name, str) and "," not in name for name in listed):
            names = tuple(listed)
        case _:
            return None
    return names, MappingProxyType(header)
