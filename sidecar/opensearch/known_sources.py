"""The sources of hits that were read before, so that the same bytes are not parsed again.

A source is known by its index and id, and used again only where an answer holds the same text at
the hit's own place. So a changed document is read anew, and a caller gets nothing that is not in
the caller's own answer.
"""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple

from sidecar.halves_cache import HalvesCache

# A key with its place in a dict, the tuples around the source, and an empty object.
_ENTRY_BYTES: Final = 500
# At most, of a parsed value beside its text: a number, a short string, its place in an object.
_VALUE_BYTES: Final = 120
_SIGNS: Final = ",[{"
# One source may take this share of the memory.
_LARGEST_SHARE: Final = 64


class KnownSource(NamedTuple):
    """A source as it stands in an answer, and its parsed value. Nobody may change the value."""

    text: str
    value: dict[str, Any]


class KnownSources:
    """The sources that were read last, in bounded memory. For use in any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._cache = HalvesCache[tuple[str, str], KnownSource](max_bytes)
        self._largest = max_bytes // _LARGEST_SHARE

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def held_bytes(self) -> int:
        """About how many bytes of memory are in use; never more than the bound."""
        return self._cache.size

    def find(self, index_name: str, id: str) -> KnownSource | None:
        """The source that the document had when it was read last."""
        return self._cache.get((index_name, id))

    def keep(self, index_name: str, id: str, source: KnownSource) -> None:
        """Store a source in place of the document's old one, unless it is very large."""
        text = source.text
        values = sum(map(text.count, _SIGNS))
        size = _ENTRY_BYTES + 2 * sys.getsizeof(text) + _VALUE_BYTES * values
        if size <= self._largest:
            self._cache.put((index_name, id), source, size)
