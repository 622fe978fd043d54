"""What earlier searches have shown about an index: why widened searches fail, how large hits are.

A lesson belongs to one caller and to one index list as that caller writes it. Other callers may be
allowed to see other hits, and no caller can spoil a lesson for others. After a failure, widened
searches are tried again, each time after twice the time. A search that fails without widening too
teaches nothing.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from sidecar.bounded_cache import BoundedCache
from sidecar.metrics import Metrics
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.search_request import SearchRequest
from sidecar.opensearch.window_cache import list_search_pieces
from sidecar.relay.heads import RequestHead

_log: Final = logging.getLogger("sidecar.search")

Trouble = Literal["overload", "too_large", "refused"]
"""`overload`: OpenSearch answered 429 or 5xx. `too_large`: the answer exceeds the memory bound.
`refused`: OpenSearch refused the widened search, and answered the client's own search."""

_PAUSES: Final = {"overload": (10.0, 600.0), "too_large": (600.0, 14_400.0)}
_PAUSES_REFUSED: Final = (600.0, 14_400.0)
"""For how many seconds searches are not widened: after the first failure, and at most."""

_REFUSALS_IN_A_ROW: Final = 3
"""A single refusal may have its cause in one document or query."""

_LIMIT_SECONDS: Final = (600.0, 14_400.0)

_NO_RENDERING_SECONDS: Final = 600.0

_NEWEST_SHARE: Final = 0.3

_LESSONS: Final = 4096
"""Maximum number of lessons of each kind, of a few hundred bytes each."""

# Members that a lesson ignores, because they depend on what a user searches for.
_NOT_IN_SHAPE: Final = ("from", "size", "q", "query", "post_filter", "min_score")


class LessonKeys(NamedTuple):
    """Digests of the caller; of caller and index list; of these and what is fetched per hit."""

    caller: bytes
    indexes: bytes
    shape: bytes


@dataclass(slots=True)
class _Limit:
    hits: int
    times: int
    until: float


@dataclass(slots=True)
class _Shape:
    trouble: Trouble | None = None
    times: int = 0
    paused_until: float = 0.0
    spare_bytes: float = 0.0


class IndexLessons:
    """The lessons of one sidecar, in bounded memory. Belongs to one event loop.

    `of`: whose lessons they are, for the log.
    """

    def __init__(
        self, callers: Callers, metrics: Metrics, of: Literal["searches", "shadows"] = "searches"
    ) -> None:
        self._callers = callers
        self._of = of
        self._counts = metrics.index_lessons
        self._limits = BoundedCache[bytes, _Limit](_LESSONS)
        self._shapes = BoundedCache[bytes, _Shape](_LESSONS)
        self._no_rendering = BoundedCache[bytes, float](_LESSONS)

    def __len__(self) -> int:
        return len(self._limits) + len(self._shapes) + len(self._no_rendering)

    def caller(self, head: RequestHead) -> bytes:
        """The digest of the caller who sends this head."""
        return self._callers.caller(head)

    def keys(
        self, head: RequestHead, search_request: SearchRequest, item_of: str | None = None
    ) -> LessonKeys:
        """The keys of a search's lessons; `head` is the client's.

        `item_of` is the index list of an item of an `_msearch`. Items have lessons of their own.
        """
        caller = self._callers.caller(head)
        path, *shape = list_search_pieces(search_request, _NOT_IN_SHAPE)
        if item_of is not None:
            path = b"item " + item_of.encode("utf-8", "surrogatepass")
        return LessonKeys(
            caller,
            self._callers.digest((caller, path)),
            self._callers.digest((caller, path, *shape)),
        )

    def fetch_limit(self, keys: LessonKeys) -> int | None:
        """The largest `from` + `size` that the indexes serve; None if no limit is known."""
        limit = self._limits.get(keys.indexes)
        return limit.hits if limit is not None and limit.until > time.monotonic() else None

    def learn_limit(self, keys: LessonKeys, hits: int, target: bytes) -> None:
        """Note that OpenSearch serves at most this number of hits."""
        known = self._limits.pop(keys.indexes)
        times = 1 if known is None else known.times + 1
        until = time.monotonic() + _doubled(_LIMIT_SECONDS, times)
        self._limits.put(keys.indexes, _Limit(hits, times, until))
        if known is None or known.hits != hits:
            self._counts.labels("result_window").inc()
            _log.info(
                "%r: the index serves at most %d hits (index.max_result_window), fewer than the "
                "plan's rescore_window; only these are rescored",
                _path(target),
                hits,
            )

    def forget_limit(self, keys: LessonKeys) -> None:
        """Note that a search beyond the limit was served."""
        self._limits.pop(keys.indexes)

    def is_paused(self, keys: LessonKeys) -> bool:
        """Whether a recent failure keeps searches from being widened."""
        shape = self._shapes.get(keys.shape)
        return shape is not None and shape.paused_until > time.monotonic()

    def learn_trouble(self, keys: LessonKeys, trouble: Trouble, target: bytes) -> None:
        """Note that a widened search failed.

        Do not call it if the client's own search fails too.
        """
        shape = self._shape(keys)
        shape.times = shape.times + 1 if shape.trouble == trouble else 1
        first_time = shape.trouble != trouble or not shape.paused_until
        shape.trouble = trouble
        times = shape.times
        if trouble == "refused":
            times -= _REFUSALS_IN_A_ROW - 1
            first_time = times == 1
        if times < 1:
            return
        seconds = _doubled(_PAUSES.get(trouble, _PAUSES_REFUSED), times)
        shape.paused_until = time.monotonic() + seconds
        if first_time:
            self._counts.labels(trouble).inc()
            _log.info(
                "%r: the widened search failed (%s); similar %s are not rescored for %d s",
                _path(target),
                trouble,
                self._of,
                seconds,
            )

    def learn_success(self, keys: LessonKeys) -> None:
        """Note that a widened search was answered."""
        shape = self._shapes.get(keys.shape)
        if shape is not None and shape.trouble is not None:
            shape.trouble, shape.times, shape.paused_until = None, 0, 0.0

    def spare_bytes(self, keys: LessonKeys) -> float:
        """About how many bytes of each hit the plan does not read; 0 if that is not known."""
        shape = self._shapes.get(keys.shape)
        return 0.0 if shape is None else shape.spare_bytes

    def learn_spare_bytes(self, keys: LessonKeys, spare: float) -> None:
        """Note how many bytes of each hit of an answer the plan does not read."""
        if not spare and keys.shape not in self._shapes:
            return
        shape = self._shape(keys)
        share = _NEWEST_SHARE if shape.spare_bytes else 1.0
        shape.spare_bytes += share * (spare - shape.spare_bytes)

    def may_not_render(self, caller: bytes) -> bool:
        """Whether OpenSearch has recently refused to render a template for this caller."""
        return (self._no_rendering.get(caller) or 0.0) > time.monotonic()

    def learn_no_rendering(self, caller: bytes) -> None:
        """Note that OpenSearch refused to render a template for this caller."""
        if self._no_rendering.get(caller) is None:
            self._counts.labels("render_refused").inc()
            _log.info(
                "an account has no permission to render templates; its searches by template are "
                "not rescored"
            )
        self._no_rendering.put(caller, time.monotonic() + _NO_RENDERING_SECONDS)

    def _shape(self, keys: LessonKeys) -> _Shape:
        shape = self._shapes.get(keys.shape)
        if shape is None:
            shape = _Shape()
            self._shapes.put(keys.shape, shape)
        return shape


def _doubled(seconds: tuple[float, float], times: int) -> float:
    first, most = seconds
    return min(most, first * float(1 << min(times - 1, 30)))


def _path(target: bytes) -> str:
    return target.partition(b"?")[0].decode("latin-1")[:200]
