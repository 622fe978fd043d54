"""Caches rescored windows, so that further pages of a search agree with its first page.

The first page is always searched again and replaces what was cached, so newly indexed documents are
found. For some seconds, a further page is cut out of the cached window without a request to
OpenSearch. For some minutes after that, OpenSearch searches again, and its hits get the window's
order (window_order.py). Together the pages contain each hit of the window once.

A window belongs to the caller who got it from OpenSearch. Its key includes every field of the
request's head except those in `OF_ONE_REQUEST`, because any other field may decide what a caller
may see. If OpenSearch refuses a caller, all windows of that caller are removed. If an index is
deleted, all windows with its hits are removed.

With several workers, only orders are cached. A further page may reach another worker than the first
one, so its worker asks the others for the newest order; and OpenSearch decides again what the
caller may see.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipelines.plan import Plan
from sidecar.adoption.interleaving import NO_TEAM
from sidecar.expiring_cache import ExpiringCache, NoOtherCaches, OtherCaches
from sidecar.metrics import Metrics
from sidecar.opensearch.callers import OF_ONE_REQUEST, Callers
from sidecar.opensearch.ended_indexes import EndedIndexes
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.page_edits import PageEdits
from sidecar.opensearch.search_request import SearchRequest
from sidecar.opensearch.search_response import SearchResponse
from sidecar.opensearch.ubi_section import UbiSection
from sidecar.opensearch.window_order import Order, WindowOrder
from sidecar.relay.heads import RequestHead, ResponseHead

PAGE: Final = ("from", "size")

# Fields of the request that OpenSearch repeats in its answer. Only release 3 repeats the second.
_OPAQUE_ID: Final = b"x-opaque-id"
_REQUEST_ID: Final = b"x-request-id"

# Fields that are the same in all answers to one caller. All other fields may belong to one answer:
# `Set-Cookie`, `Warning`, `Date`, and whatever a gateway adds.
_OF_EVERY_ANSWER: Final = frozenset(
    {
        *(b"content-type", b"content-encoding", b"content-language", b"vary", b"server"),
        *(b"x-opensearch-version", b"x-elastic-product", b"strict-transport-security"),
        *(b"x-content-type-options", b"x-frame-options", b"content-security-policy"),
        *(b"cache-control", b"pragma", b"referrer-policy", b"permissions-policy"),
    }
)
_CORS: Final = b"access-control-"

# Memory of a parsed hit without its source. The parsed source takes about as much as its text.
_HIT_BYTES: Final = 1000

_KIND: Final = "windows"
_ALONE: Final = NoOtherCaches()

_ORDERS_SHARE: Final = 4
"""One quarter of the memory is for orders, the rest for windows."""


@dataclass(frozen=True, slots=True)
class RescoredWindow:
    """The response to a widened search, with the new order of its hits; None is OpenSearch's order.

    If `sources_apart` is true, the hits have only the fields that the plan reads, and the client's
    own `_source` must be fetched for the hits of a page. `edits` is what its pages show beside the
    order. With `interleave`, `teams` has the team of each place of the order.
    """

    plan: Plan
    search_response: SearchResponse
    order: Order | None
    outcome: Outcome
    sources_apart: bool = False
    edits: PageEdits | None = None
    teams: str = ""

    def describe_page(self, search_request: SearchRequest, ubi: UbiSection | None) -> Outcome:
        """The outcome, with what the page shows; `ubi` asks for the ids of its hits."""
        return replace(
            self.outcome,
            dropped=self._count_left_out(search_request),
            teams=self._page_teams(search_request),
            hit_ids=self._page_ids(search_request, ubi.object_id_field) if ubi else (),
        )

    def _count_left_out(self, search_request: SearchRequest) -> int | None:
        """How many hits of the page are left out because of their scores; None if nobody asked."""
        if self.edits is None or not self.edits.has_min_score:
            return None
        return sum(self._leaves_out(position) for _, position in self._page(search_request))

    def _page_teams(self, search_request: SearchRequest) -> str:
        """The team of each hit that the page shows; empty without `interleave`."""
        if not self.teams:
            return ""
        shown = self._shown(search_request)
        return "".join(self.teams[place : place + 1] or NO_TEAM for place, _ in shown)

    def _page_ids(self, search_request: SearchRequest, field: str | None) -> tuple[str, ...]:
        """The id of each hit that the page shows: the value of `field`, else `_id`."""
        hits = self.search_response.hits
        shown = [hits[position] for _, position in self._shown(search_request)]
        values = [hit.source.get(field) if field else None for hit in shown]
        return tuple(
            str(value) if isinstance(value, str | int) else hit.id
            for hit, value in zip(shown, values, strict=True)
        )

    def _page(self, search_request: SearchRequest) -> list[tuple[int, int]]:
        """Each place of the page with its hit's position in OpenSearch's order."""
        places = [position for position, _ in self.order or ()]
        places += range(len(places), len(self.search_response.hits))
        page = slice(search_request.start, search_request.start + search_request.size)
        return list(enumerate(places))[page]

    def _shown(self, search_request: SearchRequest) -> list[tuple[int, int]]:
        return [one for one in self._page(search_request) if not self._leaves_out(one[1])]

    def _leaves_out(self, position: int) -> bool:
        return self.edits is not None and self.edits.leaves_out(position)


@dataclass(frozen=True, slots=True)
class CachedWindow:
    """A window in the cache, with the answer's head and the coding of its body."""

    window: RescoredWindow
    head: ResponseHead
    coding: bytes
    fetched: int
    """How many hits were requested. If the window has fewer, there are no more."""

    request_id_repeated: bool
    """Whether OpenSearch repeats `X-Request-Id`, according to its latest answer."""

    @property
    def size(self) -> int:
        """About how many bytes of memory the window takes."""
        search_response = self.window.search_response
        edits = self.window.edits
        return (
            2 * sys.getsizeof(search_response.text)
            + _HIT_BYTES * len(search_response.hits)
            + (edits.size if edits else 0)
        )

    def holds(self, search_request: SearchRequest) -> bool:
        """Whether the whole page can be cut out of the window."""
        hits = len(self.window.search_response.hits)
        if search_request.hybrid is not None and search_request.start >= hits:
            return False  # OpenSearch answers with an error
        return search_request.start + search_request.size <= hits or hits < self.fetched

    def concerns(self, ended: EndedIndexes) -> bool:
        """Whether one of its hits may belong to an index that has ended."""
        return any(
            map(ended.may_have, {hit.index_name for hit in self.window.search_response.hits})
        )

    def answer_head(self, head: RequestHead, length: int, lines: Sequence[bytes]) -> bytes:
        """The head of the answer to a request with this head; `lines` are added."""
        names = ((b"X-Opaque-Id", _OPAQUE_ID), (b"X-Request-Id", _REQUEST_ID))
        repeated = [
            field_name + b": " + value
            for field_name, name in names
            if (value := head.get(name)) and (name == _OPAQUE_ID or self.request_id_repeated)
        ]
        dropped = [name for name, _ in self.head.fields if not _is_of_every_answer(name)]
        return self.head.write_client(content_length=length, drop=dropped, add=(*repeated, *lines))


class WindowCache:
    """The most recent windows, and the orders of more windows. Belongs to one event loop."""

    def __init__(
        self,
        seconds: float,
        order_seconds: float,
        max_bytes: int,
        metrics: Metrics,
        callers: Callers,
        others: OtherCaches = _ALONE,
    ) -> None:
        """`others`: the other workers' caches."""
        orders_bytes = max_bytes // _ORDERS_SHARE
        self._windows = ExpiringCache[CachedWindow](
            0 if others.exist else seconds, max_bytes - orders_bytes
        )
        self._others = others
        self._orders = ExpiringCache[WindowOrder](order_seconds, orders_bytes)
        self._callers = callers
        self._request_id_repeated = False
        self._hits = metrics.window_lookups.labels("hit")
        self._ordered = metrics.window_lookups.labels("order")
        self._misses = metrics.window_lookups.labels("miss")
        self._held = metrics.window_bytes
        self._successor: WindowCache | None = None

    def __len__(self) -> int:
        return len(self._windows)

    def succeed(self, successor: WindowCache) -> None:
        """Let another cache take over. Searches that have begun may still use this one; what they
        learn of refusals and deleted indexes, the successor learns too."""
        self._successor = successor
        self._held.set(0)

    def drop(self) -> None:
        """Free the memory of all windows and orders, after the last search."""
        self._windows.forget_where(lambda _: True)
        self._orders.forget_where(lambda _: True)

    def key(self, head: RequestHead, search_request: SearchRequest, section: bytes = b"") -> bytes:
        """The key that all pages of one caller's search share; `head` is the client's.

        `section` says what the client's body asks of the sidecar.
        """
        return self._callers.digest((section, *_list_pieces(head, search_request)))

    def find(
        self, key: bytes, plan: Plan, search_request: SearchRequest, head: RequestHead
    ) -> CachedWindow | WindowOrder | None:
        """The window that a further page can be cut out of, or the order that it must agree with.

        None for a first page: it starts a search again, so its window and order are removed.
        """
        self._others.offer(_KIND, self._orders.find_entry)
        if not search_request.start:
            self._windows.forget(key)
            self._orders.forget(key)
            self._show_size()
            return None
        cached_window = self._windows.find(key)
        # OpenSearch refuses a request with two different values of `X-Opaque-Id`.
        one_value = len(set(head.get_all(_OPAQUE_ID))) < 2
        if (
            cached_window is not None
            and cached_window.window.plan == plan
            and cached_window.holds(search_request)
            and one_value
        ):
            self._hits.inc()
            return cached_window
        order = self._orders.find(key)
        if order is not None and order.plan == plan:
            self._ordered.inc()
            return order
        self._misses.inc()
        return None

    async def catch_up(self, key: bytes) -> None:
        """Take over the order of another worker, if it is newer than this one's."""
        await self._orders.catch_up(self._others, _KIND, key)

    def keep(
        self,
        key: bytes,
        caller: bytes,
        window: RescoredWindow,
        answered: tuple[ResponseHead, bytes, int],
        requested: RequestHead,
    ) -> None:
        """Cache the window of a search for its further pages.

        `answered` has the answer's head, its content coding, and the number of hits that were
        requested; `requested` is the client's head.
        """
        head, coding, fetched = answered
        if requested.get(_REQUEST_ID):
            self._request_id_repeated = head.get(_REQUEST_ID) is not None
        cached_window = CachedWindow(window, head, coding, fetched, self._request_id_repeated)
        self._windows.put(key, caller, cached_window, cached_window.size)
        self._show_size()

    def keep_order(self, key: bytes, caller: bytes, order: WindowOrder) -> None:
        """Cache the order of a window for its further pages; its time starts again."""
        self._orders.put(key, caller, order, order.size)
        self._show_size()

    def forget_window(self, key: bytes) -> None:
        """Remove a window whose hits have changed in OpenSearch; its order stays."""
        self._windows.forget(key)
        self._show_size()

    def forget_caller(self, caller: bytes) -> None:
        """Remove all windows of a caller whose request OpenSearch has refused."""
        self._windows.forget_owner(caller)
        self._orders.forget_owner(caller)
        self._show_size()
        if self._successor is not None:
            self._successor.forget_caller(caller)

    def forget_indexes(self, ended: EndedIndexes) -> None:
        """Remove the windows that may have hits of these indexes."""
        self._windows.forget_where(lambda cached_window: cached_window.concerns(ended))
        self._show_size()
        if self._successor is not None:
            self._successor.forget_indexes(ended)

    def _show_size(self) -> None:
        if self._successor is None:
            self._held.set(self._windows.held_bytes + self._orders.held_bytes)


def fetch_whole_pages(search_request: SearchRequest, rescore_window: int) -> SearchRequest:
    """The search, with enough hits to fetch that no page straddles the window's end.

    Unless the window is a multiple of the page's size, the page with the window's last hit ends
    behind the window. It must be cut out of the same answer as the pages before it.
    """
    pages = -(-(rescore_window - search_request.start) // search_request.size)
    whole = search_request.start + pages * search_request.size
    return replace(
        search_request, fetch=max(search_request.fetch, min(whole, search_request.fetch_limit))
    )


def _is_of_every_answer(name: bytes) -> bool:
    return name in _OF_EVERY_ANSWER or name.startswith(_CORS)


def _list_pieces(head: RequestHead, search_request: SearchRequest) -> Iterator[bytes]:
    for name, line in head.fields:
        if name not in OF_ONE_REQUEST:
            yield line
    # No field line begins with a blank, so the next pieces cannot be mistaken for field lines.
    yield b" "
    yield from list_search_pieces(search_request, PAGE)


def list_search_pieces(search_request: SearchRequest, without: Sequence[str]) -> Iterator[bytes]:
    """The bytes of a search's path, parameters and body members, except those in `without`."""
    yield search_request.target.partition(b"?")[0]
    for parameter in search_request.parameters:
        if parameter.name not in without:
            yield parameter.name.encode("utf-8", "surrogatepass")
            yield search_request.target[parameter.start : parameter.end]
    yield b" "
    for member, value in search_request.members.items():
        if member not in without:
            yield member.encode("utf-8", "surrogatepass")
            yield search_request.text[value.start : value.end].encode("utf-8", "surrogatepass")
