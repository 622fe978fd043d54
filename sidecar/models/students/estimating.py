"""Estimates passages' scores with a student, and measures how good the estimates are.

A passage's vector by the student is remembered by its digest, as the model's vectors are. So a
further search for the same passages costs a lookup.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.piece_rules import PieceRules
from sidecar.models.passage_store import PassageStore, remembered_digests
from sidecar.models.students.quick_table import QuickTable
from sidecar.models.students.student import Student
from sidecar.models.students.word_pieces import WordPieces
from sidecar.models.vectors import cosines

USELESS = 1.0
"""Error from which estimates are not used; see `Estimator.error`."""

PROBE_TEXTS = 16
"""Texts that are still estimated, to measure the error, while estimates are not used."""

# The first searches are not enough to judge by.
_FEWEST_SEARCHES = 32
# In fewer passages there is hardly an order to get right.
_FEWEST_PASSAGES = 4
_NEWEST_SHARE = 0.02
# The model reads first what promises most by estimate and words together. Among such passages, the
# slope is lower than among all, so less than this is not believed.
_LEAST_SLOPE = 0.3
# On nine judged collections, better than 1 for a student that nothing has taught.
_FIRST_SLOPE = 0.7
# Texts that are estimated together. Between two blocks it looks at the clock; if every word is new,
# the characters of one take 0.2 s.
_BLOCK = 32
_BLOCK_CHARACTERS = 1 << 16
# Where the tokenizer cuts the texts, estimates of a window of 100 take 50 ms or more, and the model
# needs the rest of the time.
_TIME_SHARE = 0.4
# A lookup of this number of passages takes half a millisecond; larger ones leave the event loop.
_LOOKUP_TEXTS = 256


class _Table(NamedTuple):
    """A student and what it has computed; both are replaced together."""

    quick: QuickTable
    known: PassageStore


class Estimator:
    """The student of one model, as searches use it; any thread may call it."""

    def __init__(
        self,
        name: str,
        read_pieces: Callable[[Sequence[str]], Sequence[Pieces]],
        memory_bytes: int,
        metrics: Metrics,
        rules: PieceRules | None = None,
    ) -> None:
        """`memory_bytes`: the bound for remembered vectors. `read_pieces`, `rules`: those of the
        backend (`backends.base.PieceReader`)."""
        self._cut = WordPieces(read_pieces, rules)
        self._memory_bytes = memory_bytes
        self._table: _Table | None = None
        self._lock = threading.Lock()
        self._moments = np.zeros(3)
        self._searches = 0
        self._estimates = metrics.student_estimates.labels(name)
        metrics.student_error.labels(name).set_function(lambda: self.error or 0.0)
        metrics.student_lessons.labels(name).set_function(self._count_lessons)
        metrics.student_taught.labels(name).set_function(self._taught_at)

    @property
    def student(self) -> Student | None:
        """The student in use; None before the first."""
        return self._table.quick.student if self._table else None

    @property
    def error(self) -> float | None:
        """The error of estimates as a share of what there is to know; None if not yet measured.

        Within the passages that the model reads for one search, the difference of two scores
        decides, not their height. So this is the standard deviation of estimate minus cosine,
        divided by that of the cosines: 0 for the model itself, 1 for an estimate that is the same
        for all passages. It is that of the estimates as `estimate` gives them, so after `slope`.
        """
        moments = self._measured()
        if moments is None:
            return None
        slope, (estimated, common, exact) = self.slope, moments
        return float(np.sqrt(max(0.0, 1 + (slope * estimated - 2 * common) * slope / exact)))

    @property
    def slope(self) -> float:
        """What the differences of one search's estimates are multiplied with; 0.3 to 1.

        The slope of the regression of cosines on estimates within a search, so differences of
        estimates are as large as those of cosines that they stand for. If not yet measured, 1, and
        less for a student without lessons.
        """
        moments = self._measured()
        if moments is None:
            return 1.0 if self.student is not None and self.student.lessons else _FIRST_SLOPE
        estimated, common, _ = moments
        return min(1.0, max(_LEAST_SLOPE, common / estimated if estimated else 0.0))

    def _measured(self) -> tuple[float, float, float] | None:
        """Variance of estimates, their covariance with the cosines, and variance of these."""
        with self._lock:
            estimated, common, exact = self._moments.tolist()
            if self._searches < _FEWEST_SEARCHES or not exact:
                return None
            return estimated, common, exact

    @property
    def is_useful(self) -> bool:
        """Whether there is a student whose estimates are better than none."""
        error = self.error
        return self._table is not None and (error is None or error < USELESS)

    def use(self, student: Student) -> None:
        """Estimate with this student from now on; the former one's vectors and error are gone."""
        quick = QuickTable(student)
        with self._lock:
            self._table = _Table(quick, PassageStore(student.dimensions, self._memory_bytes))
            self._moments = np.zeros(3)
            self._searches = 0

    def look_up(self, digests: Sequence[bytes]) -> tuple[NDArray[np.bool_], FloatArray]:
        """Which passages' vectors are remembered, and these vectors; takes microseconds.

        A text that the student knows nothing of is remembered as the zero vector.
        """
        table = self._table
        if table is None:
            return np.zeros(len(digests), np.bool_), np.zeros((len(digests), 0), np.float32)
        return table.known.get(digests)

    def _vectors(self, table: _Table, texts: Sequence[str], until: float | None) -> FloatArray:
        """The vectors of texts, shape (len(texts), dimensions); new ones are remembered.

        Those that are not begun at `until` have the zero vector.
        """
        digests = remembered_digests(texts)
        known, vectors = table.known.get(digests)
        new: dict[bytes, list[int]] = {}
        for place in np.flatnonzero(~known).tolist():
            new.setdefault(digests[place], []).append(place)
        keys = {key: texts[places[0]] for key, places in new.items()}
        for block in _blocks(keys):
            if until is not None and time.monotonic() >= until:
                break
            cut = self._cut([keys[key] for key in block])
            computed = table.known.put(block, table.quick.vectors(cut))
            for key, vector in zip(block, computed, strict=True):
                vectors[new[key]] = vector
        return vectors

    async def estimate(
        self, query: FloatArray, texts: Sequence[str], deadline: float | None = None
    ) -> list[float | None] | None:
        """The cosine of each text's vector with the query's; None if estimates are of no use.

        Their distances from their mean are multiplied with `slope`.

        A text without any piece that the student knows gets None. New texts are computed in a
        thread, from the first to the last, for a part of the time until `deadline` (seconds of the
        monotonic clock), since the model needs the rest; those that are left get None.
        """
        table = self._table
        if table is None:
            return None
        useful = self.is_useful
        # Without use, a few are still compared with what the model reads, as that may change.
        texts = texts if useful else texts[:PROBE_TEXTS]
        vectors: FloatArray | None = None
        if len(texts) <= _LOOKUP_TEXTS:
            here, stored = table.known.get(remembered_digests(texts))
            vectors = stored if here.all() else None
        if vectors is None:
            vectors = await self._compute(table, texts, deadline)
        if not useful:
            return None
        known: list[bool] = np.asarray(vectors.any(axis=1)).tolist()
        self._estimates.inc(sum(known))
        estimates = np.asarray(cosines(vectors, query))
        if any(known):
            mean = estimates[known].mean()
            estimates = mean + self.slope * (estimates - mean)
        return [
            estimate if some else None
            for estimate, some in zip(estimates.tolist(), known, strict=True)
        ]

    async def _compute(
        self, table: _Table, texts: Sequence[str], deadline: float | None
    ) -> FloatArray:
        until = None
        if deadline is not None:
            now = time.monotonic()
            until = now + _TIME_SHARE * max(0.0, deadline - now)
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.to_thread(self._vectors, table, texts, until)
        except TimeoutError:
            # The thread is in its last block, or waits for its turn.
            _, vectors = table.known.get(remembered_digests(texts))
            return vectors

    def compare(self, query: FloatArray, scores: Mapping[bytes, float]) -> None:
        """Measure the error with the cosines of passages that the model has read for one search.

        Only those whose estimates are remembered count. `scores` is by the passages' digests.
        """
        if self._table is None:
            return
        _, vectors = self.look_up(list(scores))
        known = vectors.any(axis=1)
        exact = np.fromiter(scores.values(), np.float64, len(scores))[known]
        self.measure(cosines(vectors[known], query), exact.tolist())

    def measure(self, estimates: Sequence[float], cosines: Sequence[float]) -> None:
        """Compare estimates of one search's passages with the model's cosines."""
        if len(estimates) < _FEWEST_PASSAGES:
            return
        (estimated, common), (_, exact) = np.cov(estimates, cosines, bias=True)
        with self._lock:
            self._searches += 1
            share = max(_NEWEST_SHARE, 1 / self._searches)
            # Moving means over searches.
            self._moments += share * (np.array([estimated, common, exact]) - self._moments)

    def _count_lessons(self) -> float:
        return float(self._table.quick.student.lessons) if self._table else 0.0

    def _taught_at(self) -> float:
        return self._table.quick.student.taught_at if self._table else 0.0


def _blocks(texts: Mapping[bytes, str]) -> Iterator[list[bytes]]:
    """The keys in blocks, of a bounded number of texts and of their characters."""
    block: list[bytes] = []
    characters = 0
    for key, text in texts.items():
        if block and (len(block) == _BLOCK or characters + len(text) > _BLOCK_CHARACTERS):
            yield block
            block, characters = [], 0
        block.append(key)
        characters += len(text)
    if block:
        yield block
