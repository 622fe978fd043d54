"""Which parts of a search response `filter_path` leaves.

The rules are those of OpenSearch's `FilterPath` and `FilterPathBasedFilter`: patterns are matched
key by key, arrays do not count as a step, and an exclusion wins. Where the two supported versions
or a reader of the manual might differ, the answer is "not left": the search then passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sidecar.opensearch.field_patterns import matches

_READ_OF_EVERY_ANSWER: Final = (
    ("_shards", "failed"),
    ("timed_out",),
    ("hits", "hits", "_index"),
    ("hits", "hits", "_id"),
    ("hits", "hits", "_score"),
)

_BLANKS: Final = bytes(range(0x21)).decode()  # what Java's String.trim takes away
_UNESCAPED_DOT: Final = re.compile(r"(?<!\\)\.")

# OpenSearch takes request lines of 4 KiB unless told otherwise; more would take long to judge.
_LONGEST: Final = 4096

_Pattern = tuple[str, ...]


def order_is_left(filter_path: str) -> bool:
    """Whether all that a new order needs stays, text aside; `filter_path` is the decoded value.

    That is each hit's identity and score, and what tells that the search was a whole one.
    """
    filters = _read(filter_path)
    return all(_is_left(path, filters) for path in _READ_OF_EVERY_ANSWER)


def fields_are_left(filter_path: str, fields: Iterable[str]) -> bool:
    """Whether every one of the dotted `fields` of `_source` stays.

    A dotted field may be spelled as one key (`{"a.b": 1}`) or as objects, so that it is certain
    to stay only together with the whole of `_source`.
    """
    filters = _read(filter_path)
    source = ("hits", "hits", "_source")
    return _is_left(source, filters) or all(
        "." not in field and _is_left((*source, field), filters) for field in fields
    )


class _Filters(NamedTuple):
    includes: tuple[_Pattern, ...]
    excludes: tuple[_Pattern, ...]


def _read(filter_path: str) -> _Filters:
    if len(filter_path) > _LONGEST:
        return _Filters((), (("**",),))
    texts = [text.strip(_BLANKS) for text in filter_path.split(",")]
    return _Filters(
        tuple(_split(text) for text in texts if text and not text.startswith("-")),
        tuple(_split(text[1:].strip(_BLANKS)) for text in texts if text.startswith("-")),
    )


def _is_left(path: Sequence[str], filters: _Filters) -> bool:
    """Whether the value at this path and everything in it stays."""
    if any(_may_meet(pattern, path) for pattern in filters.excludes):
        return False
    # Exclusions alone, or nothing at all, leave the rest.
    return not filters.includes or _reaches(filters.includes, path)


def _split(text: str) -> _Pattern:
    return tuple(segment.replace("\\.", ".") for segment in _UNESCAPED_DOT.split(text))


def _reaches(patterns: Iterable[_Pattern], path: Sequence[str]) -> bool:
    """Whether a pattern ends at the path or at an object around it."""
    waiting = set(patterns)
    for key in path:
        stepped = set()
        for first, *rest in waiting:
            if _fits(first, key):
                stepped.add(tuple(rest))
                if first == "**":  # any number of keys, at least one
                    stepped.add((first, *rest))
        if () in stepped:
            return True
        waiting = stepped
    return False


def _may_meet(pattern: _Pattern, path: Sequence[str]) -> bool:
    """Whether an exclusion might take away the path, an object around it, or a part of it."""
    for segment, key in zip(pattern, path, strict=False):
        if segment in ("**", "") or "\\" in segment:
            return True
        if not _fits(segment, key):
            return False
    return True


def _fits(segment: str, key: str) -> bool:
    return "\\" not in segment and matches(segment, key)
