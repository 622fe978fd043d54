"""The line of the doors that only score: which requests are admitted, and which one reads next.

Work is text that a model has not read yet, counted in bytes. The line measures how long a byte
takes, so it knows how long a request takes. The rules:

- A request that finds nobody in the line is always admitted, so that the measure stays current.
- Another request is admitted if, with it, every request in the line still ends before its deadline.
  Otherwise it is refused at once, with the seconds after which it would be admitted.
- The request with the earliest deadline reads next; within one API, whose requests all have the
  same time, that is the first that came. A shorter one reads before it if all others can wait that
  long. A request reads a slice of about a quarter of a second, then the line decides again. So a
  short request need not wait for all of a long one.
- If the models turn out slower than expected, those that cannot end in time any more are refused
  then, not at their deadline.

If all requests read in turn instead, as searches do, all end late together under overload. For a
model, the whole line is one search among the others, so searches of the proxy do not wait longer
when more requests are in the line.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from pipelines.errors import BadScores, DeadlinePassed, Overloaded
from pipelines.scoring import Scorer
from sidecar.metrics import Metrics

MOST_PLACES = 64
"""Requests in the line; each one's documents are in memory."""

SLICE_SECONDS = 0.25

_FIRST_SLICE = 1024
"""Bytes of a model's first slice, whose time is only good enough to find the size of the next."""

_TEXT_BYTES = 64
"""What a text costs beside its bytes: the query text of a pair, the model's own tokens."""

_MOST_BYTES = 2048
"""Models cut longer texts."""

_OLDER_SHARE = 0.98
"""The weight of a slice in the measured speed, relative to that of the slice after it. So about the
last twelve seconds count: other work on the machine slows single slices several times."""

_MEASURED_SLICES = 4
"""A model's speed is known once it has read this number of slices. Before, nobody is refused."""

_TOLERANCE = 1.2
"""Work may take this much longer than expected before a request that waits is refused."""


class LineFull(Overloaded):
    """The request cannot be scored in time, so it is refused; `retry_after_s` is 1 or more."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(wait_s))


def count_work(texts: Iterable[str]) -> int:
    """The work of texts, in bytes. Takes a millisecond for some megabytes."""
    sizes = (len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return sum(_TEXT_BYTES + min(size, _MOST_BYTES) for size in sizes)


@dataclass(slots=True)
class _Speed:
    """How long a model took for the latest slices."""

    slices: int = 0
    seconds: float = 0.0
    work: float = 0.0

    def learn(self, seconds: float, work: int) -> None:
        self.slices += 1
        self.seconds = self.seconds * _OLDER_SHARE + seconds
        self.work = self.work * _OLDER_SHARE + work

    @property
    def seconds_per_byte(self) -> float:
        """0 as long as the speed is not known."""
        return self.seconds / self.work if self.slices >= _MEASURED_SLICES else 0.0

    @property
    def slice_work(self) -> int:
        """Bytes of the next slice."""
        return int(SLICE_SECONDS * self.work / self.seconds) if self.seconds else _FIRST_SLICE


@dataclass(slots=True, eq=False)
class LinePlace:
    """A request in the line. `work`: the bytes that it has still to read, by model."""

    deadline: float
    number: int
    work: dict[str, int]
    turn: asyncio.Future[None] | None = None
    refused: LineFull | None = None

    @property
    def waits(self) -> bool:
        """Whether it could read now; else it reads, or is between two slices."""
        return self.turn is not None and not self.turn.done()


@dataclass(slots=True)
class ScoringLine:
    """One line for all models, as they share a processor. Belongs to one event loop.

    `clock` gives seconds, as `time.monotonic`; deadlines are of the same clock.
    """

    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    _places: list[LinePlace] = field(default_factory=list)
    _speeds: dict[str, _Speed] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _reading: bool = False

    @contextmanager
    def enter(self, deadline: float, work: Mapping[str, int]) -> Iterator[LinePlace]:
        """Be in the line with this work, in bytes by model. Raises LineFull."""
        place = LinePlace(deadline, next(self._numbers), dict(work))
        if self._places:
            wait = self._wait_of(place)
            if wait > 0:
                self.metrics.scoring_refused.labels("entry").inc()
                raise LineFull("other requests need the models until the deadline", wait)
        self._places.append(place)
        self._places.sort(key=lambda place: (place.deadline, place.number))
        self.metrics.scoring_line.inc()
        try:
            yield place
        finally:
            self._places.remove(place)
            self.metrics.scoring_line.dec()

    @asynccontextmanager
    async def turn(self, place: LinePlace, model: str, work: int) -> AsyncIterator[None]:
        """Wait until it is this place's turn to read this number of bytes in the model, then read.

        Raises LineFull or DeadlinePassed if it cannot read in time.
        """
        if place.refused is not None:
            raise place.refused
        turn = place.turn = asyncio.get_running_loop().create_future()
        self._give_turn()
        try:
            async with asyncio.timeout_at(place.deadline):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._end_turn()
            if isinstance(error, TimeoutError):
                raise DeadlinePassed("other requests were read until the deadline") from None
            raise
        started = self.clock()
        try:
            yield
        except DeadlinePassed:
            # It took at least this long.
            self._learn(place, model, self.clock() - started, work)
            raise
        else:
            self._learn(place, model, self.clock() - started, work)
        finally:
            self._end_turn()

    def slice_work(self, model: str) -> int:
        """The bytes that the model reads in a quarter of a second."""
        return self._speed(model).slice_work

    def _speed(self, model: str) -> _Speed:
        return self._speeds.setdefault(model, _Speed())

    def _learn(self, place: LinePlace, model: str, seconds: float, work: int) -> None:
        self._speed(model).learn(seconds, work)
        place.work[model] = max(0, place.work.get(model, 0) - work)

    def _seconds(self, place: LinePlace) -> float:
        return sum(work * self._speed(model).seconds_per_byte for model, work in place.work.items())

    def _wait_of(self, newcomer: LinePlace) -> float:
        """Seconds until the newcomer would be admitted; 0 or less: now."""
        until_empty = sum(map(self._seconds, self._places))
        if len(self._places) >= MOST_PLACES:
            return max(1.0, until_empty / MOST_PLACES)
        end = self.clock()
        late = 0.0
        before = [place for place in self._places if place.deadline <= newcomer.deadline]
        after = self._places[len(before) :]
        end += sum(map(self._seconds, before))
        for place in [newcomer, *after]:
            end += self._seconds(place)
            late = max(late, end - place.deadline)
        return min(late, until_empty)

    def _give_turn(self) -> None:
        """Let the next one read, unless somebody reads."""
        if self._reading:
            return
        chosen: LinePlace | None = None
        shortest = (math.inf, math.inf)
        now = self.clock()
        ahead = 0.0
        # How long all places so far can wait.
        spare = math.inf
        for place in self._places:
            if place.refused is not None:
                continue
            seconds = self._seconds(place)
            # While speeds are not known, the bytes decide.
            size = (seconds, sum(place.work.values()))
            if place.waits and (chosen is None or (size < shortest and spare > SLICE_SECONDS)):
                chosen, shortest = place, size
            ahead += seconds
            spare = min(spare, place.deadline - now - ahead * _TOLERANCE)
        if chosen is not None and chosen.turn is not None:
            self._reading = True
            chosen.turn.set_result(None)

    def _end_turn(self) -> None:
        self._reading = False
        self._refuse_late()
        # Not now: the place that has just read comes back for its next slice first.
        asyncio.get_running_loop().call_soon(self._give_turn)

    def _refuse_late(self) -> None:
        """Refuse those that cannot end in time any more; if none can, the first one is tried."""
        now = self.clock()
        ahead = 0.0
        late: list[tuple[LinePlace, float]] = []
        staying = [place for place in self._places if place.refused is None]
        for place in staying:
            seconds = self._seconds(place)
            if (ahead + seconds) / _TOLERANCE > place.deadline - now:
                late.append((place, ahead))
            else:
                ahead += seconds
        for place, wait in late[1 if len(late) == len(staying) else 0 :]:
            place.refused = LineFull("the models are slower than expected", wait)
            self.metrics.scoring_refused.labels("waiting").inc()
            if place.turn is not None and place.waits:
                place.turn.set_exception(place.refused)


@dataclass(frozen=True, slots=True)
class ScorerInLine(Scorer):
    """A `Scorer` that reads slice by slice, each when it is its place's turn.

    `unread` has the texts, by model, that the model has not read yet. All others need no turn.
    """

    scorer: Scorer
    line: ScoringLine
    place: LinePlace
    unread: Mapping[str, frozenset[str]]

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        """See `Scorer`. Raises RescoreError if nothing was scored."""
        unread = self.unread.get(model, frozenset())
        known = [text for text in texts if text not in unread]
        # Equal texts once: they must have equal scores, and another batch may round differently.
        waiting = [text for text in dict.fromkeys(texts) if text in unread]
        scores: dict[str, float | None] = {}
        start = 0
        while start < len(waiting):
            end = _end_of_slice(waiting, start, self.line.slice_work(model))
            some = waiting[start:end]
            try:
                async with self.line.turn(self.place, model, count_work(some)):
                    values = await self.scorer.score(model, query_text, some)
            except (DeadlinePassed, Overloaded):
                if not start and not known:
                    raise
                break
            scores |= _pair(some, values)
            start = end
        if known:
            scores |= _pair(known, await self.scorer.score(model, query_text, known))
        return [scores.get(text) for text in texts]

    def spread(self, model: str) -> float:
        """See `Scorer`."""
        return self.scorer.spread(model)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        return await self.scorer.estimate(model, query_text, texts)


def _pair(texts: Sequence[str], values: Sequence[float | None]) -> dict[str, float | None]:
    if len(values) != len(texts):
        raise BadScores(f"the scorer gave {len(values)} scores for {len(texts)} texts")
    return dict(zip(texts, values, strict=True))


def _end_of_slice(texts: Sequence[str], start: int, work: int) -> int:
    """Where a slice of at most this work ends; it has at least one text."""
    end = start + 1
    left = work - count_work(texts[start:end])
    while end < len(texts) and (left := left - count_work(texts[end : end + 1])) >= 0:
        end += 1
    return end
