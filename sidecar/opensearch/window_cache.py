"""Rescored windows, kept for some seconds, so that further pages of a search are slices of one.

Page 1 is always asked anew and takes the place of what was kept, so a document that was just
indexed is found. A deeper page is cut out of the kept window without asking OpenSearch: together
the pages hold each hit of the window once, even when the index changes between them.

A window belongs to the caller that OpenSearch gave it to. Its key holds every field of the
request's head but for those in `_OF_ONE_REQUEST`, as any other may decide what a caller may see.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.plan import Plan
from sidecar.metrics import Metrics
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.search_request import MAX_RESULT_WINDOW, SearchRequest
from sidecar.opensearch.search_response import ReadHits
from sidecar.relay.front import Response
from sidecar.relay.heads import RequestHead, ResponseHead

# Other for each request, and without influence on what is found. The body's length differs by
# the page's number in it; its content is a part of the key by itself.
_OF_ONE_REQUEST = frozenset(
    {
        *(b"content-length", b"expect", b"x-opaque-id", b"x-request-id"),
        *(b"traceparent", b"tracestate", b"baggage", b"b3"),
        *(b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled"),
    }
)
# What OpenSearch repeats in its answer as the request had it.
_REPEATED = (b"x-opaque-id", b"x-request-id")

_PAGE = ("from", "size")

# What is parsed of a hit beside its source, which takes about as much as its text.
_HIT_BYTES = 1000


@dataclass(frozen=True, slots=True)
class RescoredWindow:
    """A widened answer with the order that its hits got; None leaves them as they are."""

    plan: Plan
    read: ReadHits
    order: tuple[tuple[int, float | None], ...] | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """A window as it is kept: with the answer's head and the coding of its body."""

    window: RescoredWindow
    head: ResponseHead
    coding: bytes
    fetched: int
    """Hits that were asked for; fewer in the window means that there are no more."""

    until: float
    """When it is forgotten, in seconds of the monotonic clock."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        read = self.window.read
        return 2 * sys.getsizeof(read.text) + _HIT_BYTES * len(read.hits)

    def holds(self, found: SearchRequest) -> bool:
        """Whether the whole page can be cut out of it."""
        hits = len(self.window.read.hits)
        return found.start + found.size <= hits or hits < self.fetched

    def answer_head(self, head: RequestHead, length: int, outcome: Outcome) -> bytes:
        """The answer's head for the request with this one."""
        repeated = [
            name + b": " + value
            for name in _REPEATED
            if self.head.get(name) is not None and (value := head.get(name)) is not None
        ]
        return self.head.write_client(
            content_length=length, drop=_REPEATED, add=(*repeated, outcome.header())
        )


class WindowCache:
    """The windows rescored last, in bounded memory. Belongs to one event loop."""

    def __init__(self, seconds: float, max_bytes: int, metrics: Metrics) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, KeptWindow] = OrderedDict()
        # Without it nobody can tell from a key in memory whose it is.
        self._secret = secrets.token_bytes(32)
        self._hits = metrics.window_lookups.labels("hit")
        self._misses = metrics.window_lookups.labels("miss")
        self._held = metrics.window_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def key(self, head: RequestHead, found: SearchRequest) -> bytes:
        """What all pages of one caller's search have in common; `head` is the client's."""
        digest = hashlib.blake2b(key=self._secret, digest_size=16)
        for piece in _pieces(head, found):
            digest.update(b"%d:" % len(piece) + piece)
        return digest.digest()

    def find(self, key: bytes, plan: Plan, found: SearchRequest) -> KeptWindow | None:
        """The window that this page can be cut from, if it is a deeper one.

        With the first page a search begins anew: what was kept of it is forgotten.
        """
        if not found.start:
            self._forget(key)
            return None
        kept = self._kept.get(key)
        if kept is not None and kept.until <= time.monotonic():
            self._forget(key)
            kept = None
        if kept is None or kept.window.plan != plan or not kept.holds(found):
            self._misses.inc()
            return None
        self._hits.inc()
        self._kept.move_to_end(key)
        return kept

    def keep(
        self,
        key: bytes,
        found: SearchRequest,
        window: RescoredWindow,
        response: Response,
        coding: bytes,
    ) -> None:
        """Keep the window of a search for its other pages, and forget old ones for it."""
        self._forget(key)
        until = time.monotonic() + self._seconds
        kept = KeptWindow(window, response.head, coding, found.fetch, until)
        if kept.size > self._max_bytes:
            return
        self._kept[key] = kept
        self._bytes += kept.size
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))
        self._held.set(self._bytes)

    def _forget(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size
            self._held.set(self._bytes)


def fetch_whole_pages(found: SearchRequest, rescore_window: int) -> SearchRequest:
    """The search with so many hits to fetch that no page is half within the rescore window.

    The page that holds the window's last hit ends behind it unless the window is a multiple of
    the page's size; it has to be cut from the same answer as the pages before it.
    """
    pages = -(-(rescore_window - found.start) // found.size)
    whole = found.start + pages * found.size
    return replace(found, fetch=max(found.fetch, min(whole, MAX_RESULT_WINDOW)))


def _pieces(head: RequestHead, found: SearchRequest) -> Iterator[bytes]:
    for name, line in head.fields:
        if name not in _OF_ONE_REQUEST:
            yield line
    # No field line begins like this, so that what follows cannot be taken for one.
    yield b" "
    yield found.target.partition(b"?")[0]
    for parameter in found.parameters:
        if parameter.name not in _PAGE:
            yield parameter.name.encode("utf-8", "surrogatepass")
            yield found.target[parameter.start : parameter.end]
    yield b" "
    for member, value in found.members.items():
        if member not in _PAGE:
            yield member.encode("utf-8", "surrogatepass")
            yield found.text[value.start : value.end].encode("utf-8", "surrogatepass")
