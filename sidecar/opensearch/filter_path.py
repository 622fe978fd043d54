"""Which parts of a search response remain after `filter_path`.

The rules are those of OpenSearch's `FilterPath` and `FilterPathBasedFilter`: patterns are matched
key by key, arrays do not count as a step, and exclusions win. Where the two supported versions of
OpenSearch or its manual might differ, a part counts as removed, so the search is not rescored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sidecar.opensearch_rules.limits import REQUEST_LINE_BYTES
from sidecar.opensearch_rules.name_patterns import matches

_NEEDED_PATHS: Final = (
    ("_shards", "failed"),
    ("timed_out",),
    ("hits", "hits", "_index"),
    ("hits", "hits", "_id"),
    ("hits", "hits", "_score"),
)

_BLANKS: Final = bytes(range(0x21)).decode()  # what Java's String.trim removes
_UNESCAPED_DOT: Final = re.compile(r"(?<!\\)\.")

_Pattern = tuple[str, ...]


def keeps_order(filter_path: str) -> bool:
    """Whether everything remains that a new order needs, except for the text.

    That is each hit's index, id and score, and whether the search was complete. `filter_path` is
    the decoded value.
    """
    filters = _read(filter_path)
    return all(_remains(path, filters) for path in _NEEDED_PATHS)


def keeps_fields(filter_path: str, fields: Iterable[str]) -> bool:
    """Whether each of the dotted `fields` of `_source` remains.

    A dotted field may be written as one key (`{"a.b": 1}`) or as nested objects. So it remains for
    certain only if the whole `_source` remains.
    """
    filters = _read(filter_path)
    source = ("hits", "hits", "_source")
    return _remains(source, filters) or all(
        "." not in field and _remains((*source, field), filters) for field in fields
    )


def keeps_hit_member(filter_path: str, name: str) -> bool:
    """Whether this member of each hit remains, with everything in it."""
    return _remains(("hits", "hits", name), _read(filter_path))


class _Filters(NamedTuple):
    includes: tuple[_Pattern, ...]
    excludes: tuple[_Pattern, ...]


def _read(filter_path: str) -> _Filters:
    if len(filter_path) > REQUEST_LINE_BYTES:  # it would take long to judge
        return _Filters((), (("**",),))
    texts = [text.strip(_BLANKS) for text in filter_path.split(",")]
    return _Filters(
        tuple(_split(text) for text in texts if text and not text.startswith("-")),
        tuple(_split(text[1:].strip(_BLANKS)) for text in texts if text.startswith("-")),
    )


def _remains(path: Sequence[str], filters: _Filters) -> bool:
    """Whether the value at this path remains, with everything in it."""
    if any(_may_meet(pattern, path) for pattern in filters.excludes):
        return False
    # Without inclusions, everything that is not excluded remains.
    return not filters.includes or _reaches(filters.includes, path)


def _split(text: str) -> _Pattern:
    return tuple(segment.replace("\\.", ".") for segment in _UNESCAPED_DOT.split(text))


def _reaches(patterns: Iterable[_Pattern], path: Sequence[str]) -> bool:
    """Whether a pattern ends at the path or at an object around it."""
    open_patterns = set(patterns)
    for key in path:
        next_patterns = set()
        for first, *rest in open_patterns:
            if _fits(first, key):
                next_patterns.add(tuple(rest))
                if first == "**":  # any number of keys, at least one
                    next_patterns.add((first, *rest))
        if () in next_patterns:
            return True
        open_patterns = next_patterns
    return False


def _may_meet(pattern: _Pattern, path: Sequence[str]) -> bool:
    """Whether an exclusion might remove the path, an object around it, or a part of it."""
    for segment, key in zip(pattern, path, strict=False):
        if segment in ("**", "") or "\\" in segment:
            return True
        if not _fits(segment, key):
            return False
    return True


def _fits(segment: str, key: str) -> bool:
    return "\\" not in segment and matches(segment, key)
