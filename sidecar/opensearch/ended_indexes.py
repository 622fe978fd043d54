"""Requests after which cached hits may no longer be shown.

Such a request ends an index (deletes it, closes it, or takes it out of an alias), or changes what
callers may see. Only its head is read. If the head does not name the indexes, or names them in a
way that only OpenSearch can resolve, all indexes count as ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sidecar.opensearch_rules.name_patterns import matches
from sidecar.spans.url_parameters import BadUrl, decode_escapes

# `/_close` with an alias closes the indexes behind it, whose names are not known here.
_CONCERNS_ALL: Final = re.compile(
    rb"/_(?:close|alias(?:es)?|data_stream|(?:opendistro|plugins)/_security)\b"
)
_PLAIN: Final = re.compile(r"[^-<_*][^<>:]*|\*").fullmatch


@dataclass(frozen=True, slots=True)
class EndedIndexes:
    """Indexes that have ended, as patterns of their names; no patterns mean all indexes."""

    patterns: tuple[str, ...] = ()

    def may_have(self, index_name: str) -> bool:
        """Whether this index may have ended."""
        return not self.patterns or any(matches(pattern, index_name) for pattern in self.patterns)


def read_ended_indexes(method: bytes, target: bytes, status: int) -> EndedIndexes | None:
    """Which indexes a request may have ended, after OpenSearch answered it with this status.

    None if it ended none. Runs for every forwarded request, so the first check is quick.
    """
    if method == b"GET" or status >= 300 or not _may_end_indexes(method, target):
        return None
    path = target.partition(b"?")[0]
    if _CONCERNS_ALL.search(path):
        return EndedIndexes()
    segments = [segment for segment in path.split(b"/") if segment]
    # Only `DELETE /NAMES` deletes indexes; the paths of documents are longer.
    if method != b"DELETE" or len(segments) != 1:
        return None
    try:
        names = decode_escapes(segments[0], plus_is_blank=False).split(",")
    except BadUrl:
        return EndedIndexes()
    if not all(_PLAIN(name) for name in names):
        return EndedIndexes()
    return EndedIndexes(tuple(names))


def _may_end_indexes(method: bytes, target: bytes) -> bool:
    return method == b"DELETE" or (
        method != b"HEAD"
        and (b"/_close" in target or b"/_alias" in target or b"/_security/" in target)
    )
