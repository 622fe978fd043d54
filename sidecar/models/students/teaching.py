"""Teaches a student: its vectors of the lessons' passages become like the model's own.

Adam (Kingma and Ba 2015) minimises one minus the cosine. Each step touches only the rows of its
batch. The sums over a text's pieces are matrix products with the counts of the pieces, because
these are many times faster in numpy than sums over rows that are gathered by number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.passage_store import round_vectors
from sidecar.models.students.student import Student, count_pieces

_RATE = 3e-3
_BATCH = 256
_SMALLEST_BATCH = 16
# Few lessons make smaller batches, so that a pass has at least this number of steps.
_STEPS = 40
_FIRST_DECAY, _SECOND_DECAY, _TINY = 0.9, 0.999, 1e-8
# The vectors of a new piece begin as the mean of its passages' vectors, less the mean of all. The
# mean over a text's pieces makes the differences small; the factor makes up for that.
_SPREAD = 4.0
# A piece of few passages begins near zero: this number of passages halves the distance.
_DOUBT = 2.0
# The strength of the ridge, in passages: with this number of lessons, it is as strong as the mean
# direction of the readings. From 30 to 300 the result is the same.
_RIDGE = 100.0
_FREQUENT_PIECES = 200
_SEED = 2026


@dataclass(frozen=True, slots=True)
class Lessons:
    """Passages as the model has read them; n in each."""

    pieces: Sequence[Pieces]
    codes: NDArray[np.int8]
    """The model's vectors as one byte a number, shape (n, dimensions)."""

    scales: FloatArray
    """What each vector's codes are multiplied with, shape (n,)."""

    held_out: NDArray[np.bool_]
    """Which passages never teach, but judge; shape (n,)."""

    def __len__(self) -> int:
        return len(self.pieces)

    def take(self, places: NDArray[np.intp]) -> Lessons:
        """Some of the lessons, in this order."""
        return Lessons(
            [self.pieces[place] for place in places],
            self.codes[places],
            self.scales[places],
            self.held_out[places],
        )

    def vectors(self) -> FloatArray:
        """The model's vectors, shape (n, dimensions)."""
        return self.codes * self.scales[:, None]


@dataclass(slots=True)
class _Table:
    """The rows that are being learned, in float, and what Adam remembers of each."""

    pieces: NDArray[np.uint32]
    vectors: FloatArray
    logs: FloatArray
    """The logarithms of the weights."""

    bias: FloatArray


def make_first_student(identity: str, readings: FloatArray) -> Student:
    """The student before the first lesson, from the model's readings of pieces (`readings.py`).

    Tokenizers give low numbers to frequent pieces. So the number stands for the frequency, and
    frequent pieces count less.
    """
    codes, scales = round_vectors(readings)
    numbers = np.arange(len(readings), dtype=np.uint32)
    weights = np.log1p((numbers + 1) / _FREQUENT_PIECES).astype(np.float32)
    bias = np.zeros(readings.shape[1], np.float32)
    return Student(identity, numbers, codes, scales, weights, bias, lessons=0, taught_at=0.0)


def split_lessons(lessons: Lessons) -> tuple[Lessons, Lessons]:
    """The lessons that teach, and those that judge."""
    held_out = lessons.held_out
    return lessons.take(np.flatnonzero(~held_out)), lessons.take(np.flatnonzero(held_out))


def mean_cosine(student: Student, lessons: Lessons) -> float:
    """The mean cosine of the student's vectors with the model's; 0 for a text it knows nothing of.

    0 without lessons.
    """
    if not len(lessons):
        return 0.0
    _, vectors = student.vectors(lessons.pieces)
    return float((vectors * lessons.vectors()).sum(axis=1).mean())


def teach(
    identity: str,
    lessons: Lessons,
    former: Student | None = None,
    readings: FloatArray | None = None,
    passes: int = 3,
    report: Callable[[float], object] = lambda share: None,
) -> Student:
    """A student that has learned from all of the lessons.

    `former`: the table to start from, if lessons have taught it. If not, the student starts from
    `readings` (`readings.py`) if there are some, or from the lessons alone.
    Takes 0.2 ms of one core for a lesson of 100 pieces and a pass. `report` gets the share of the
    work that is done. Raises ValueError without lessons.
    """
    if not len(lessons):
        raise ValueError("there are no lessons")
    table = _begin(lessons, former, readings)
    rows = [np.searchsorted(table.pieces, one) for one in lessons.pieces]
    first = [np.zeros_like(table.vectors), np.zeros_like(table.logs), np.zeros_like(table.bias)]
    second = [np.zeros_like(one) for one in first]
    values = [table.vectors, table.logs, table.bias]
    batches = list(_batches(len(lessons), passes))
    for step, batch in enumerate(batches, start=1):
        texts = [rows[place] for place in batch]
        expected = lessons.codes[batch] * lessons.scales[batch, None]
        touched, gradients = _gradients(table, texts, expected)
        places: list[NDArray[np.intp] | slice] = [touched, touched, slice(None)]
        # The rate falls to a tenth, so that the last steps only settle.
        rate = _RATE * (1 - 0.9 * step / len(batches))
        for value, one, two, gradient, place in zip(
            values, first, second, gradients, places, strict=True
        ):
            _adam(value, one, two, gradient, place, step, rate)
        report(step / len(batches))
    codes, scales = round_vectors(table.vectors)
    former_lessons = former.lessons if former is not None else 0
    return Student(
        identity,
        table.pieces,
        codes,
        scales,
        np.exp(table.logs),
        table.bias,
        max(len(lessons), former_lessons),
        time.time(),
    )


def _begin(lessons: Lessons, former: Student | None, readings: FloatArray | None) -> _Table:
    """The former table or the readings, with rows for the new pieces of the lessons."""
    expected = lessons.vectors()
    mean = expected.mean(axis=0)
    pieces, sums, passages = _sum_by_piece(lessons, expected - mean)
    vectors = _SPREAD * sums / (passages + _DOUBT)[:, None]
    # The rarer a piece is, the more it says: its inverse document frequency.
    logs = np.log(np.log1p(len(lessons) / passages))
    if former is None or not former.lessons:
        if readings is None:
            return _Table(pieces, vectors, logs.astype(np.float32), mean)
        return _begin_from_readings(lessons, readings, _Table(pieces, vectors, passages, mean))
    known = np.union1d(former.pieces, pieces)
    table = _Table(
        known,
        np.zeros((len(known), former.dimensions), np.float32),
        np.zeros(len(known), np.float32),
        former.bias.copy(),
    )
    new = np.searchsorted(known, pieces)
    table.vectors[new], table.logs[new] = vectors, logs
    old = np.searchsorted(known, former.pieces)
    table.vectors[old] = former.codes * former.scales[:, None]
    table.logs[old] = np.log(former.weights)
    return table


def _begin_from_readings(lessons: Lessons, readings: FloatArray, counted: _Table) -> _Table:
    """The readings, mapped so that their weighted means come close to the model's vectors.

    Ridge regression. `counted` has the pieces of the lessons as they would begin without readings;
    its `logs` are their numbers of passages.
    """
    known = np.union1d(counted.pieces, np.arange(len(readings), dtype=np.uint32))
    places = np.searchsorted(known, counted.pieces)
    passages = np.zeros(len(known), np.float32)
    passages[places] = counted.logs
    logs = np.log(np.log1p(len(lessons) / (passages + 1)))
    vectors = np.zeros((len(known), len(counted.bias)), np.float32)
    vectors[places] = counted.vectors
    weights = np.exp(logs[: len(readings)])
    means = np.zeros_like(lessons.codes, np.float32)
    for start in range(0, len(lessons), _BATCH):
        texts = [one[one < len(readings)] for one in lessons.pieces[start : start + _BATCH]]
        owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        counts = count_pieces(owners, np.concatenate(texts).astype(np.intp), len(texts))
        shares = counts.counts * weights[counts.rows]
        totals = shares.sum(axis=1, keepdims=True)
        shares /= np.where(totals > 0, totals, 1)
        means[start : start + _BATCH] = shares @ readings[counts.rows]
    centre = means.mean(axis=0)
    means -= centre
    gram = means.T @ means
    gram[np.diag_indices_from(gram)] += _RIDGE * gram.trace() / (len(lessons) * len(gram)) + _TINY
    mapping = np.linalg.solve(gram, means.T @ (lessons.vectors() - counted.bias))
    vectors[: len(readings)] = (readings - centre) @ mapping
    return _Table(known, vectors, logs.astype(np.float32), counted.bias)


def _sum_by_piece(
    lessons: Lessons, vectors: FloatArray
) -> tuple[NDArray[np.uint32], FloatArray, FloatArray]:
    """All pieces, the sum of the vectors of each one's passages, and the number of these."""
    different = [np.unique(one) for one in lessons.pieces]
    pieces = np.unique(np.concatenate(different)) if different else np.empty(0, np.uint32)
    sums = np.zeros((len(pieces), vectors.shape[1]), np.float32)
    passages = np.zeros(len(pieces), np.float32)
    for start in range(0, len(lessons), _BATCH):
        block = different[start : start + _BATCH]
        owners = np.repeat(np.arange(len(block)), [len(one) for one in block])
        rows = np.searchsorted(pieces, np.concatenate(block))
        counts = count_pieces(owners, rows, len(block))
        sums[counts.rows] += counts.counts.T @ vectors[start : start + _BATCH]
        passages[counts.rows] += counts.counts.sum(axis=0)
    return pieces, sums, passages


def _batches(lessons: int, passes: int) -> Iterator[NDArray[np.intp]]:
    generator = np.random.default_rng(_SEED)
    size = min(_BATCH, max(_SMALLEST_BATCH, lessons // _STEPS))
    for _ in range(passes):
        order = generator.permutation(lessons)
        for start in range(0, lessons, size):
            yield order[start : start + size]


def _gradients(
    table: _Table, texts: Sequence[NDArray[np.intp]], expected: FloatArray
) -> tuple[NDArray[np.intp], tuple[FloatArray, FloatArray, FloatArray]]:
    """The rows of a batch, and the loss's gradients: of their vectors, of the logarithms of their
    weights, and of the bias."""
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    counts = count_pieces(owners, np.concatenate(texts), len(texts))
    vectors, weights = table.vectors[counts.rows], np.exp(table.logs[counts.rows])
    shares = counts.counts * weights
    totals = shares.sum(axis=1, keepdims=True)
    shares /= np.where(totals > 0, totals, 1)
    means = shares @ vectors
    sums = means + table.bias
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), _TINY)
    units = sums / lengths
    cosines = (units * expected).sum(axis=1, keepdims=True)
    # The gradient of 1 - cosine, as the mean over the batch.
    upstream = (cosines * units - expected) / (lengths * len(texts))
    of_vectors = shares.T @ upstream
    of_logs = (of_vectors * vectors).sum(axis=1) - shares.T @ (upstream * means).sum(axis=1)
    return counts.rows, (of_vectors, of_logs, upstream.sum(axis=0))


def _adam(
    value: FloatArray,
    first: FloatArray,
    second: FloatArray,
    gradient: FloatArray,
    place: NDArray[np.intp] | slice,
    step: int,
    rate: float,
) -> None:
    """One step of Adam for some rows of a value; the others keep what it remembers of them."""
    one = first[place] * _FIRST_DECAY
    one += (1 - _FIRST_DECAY) * gradient
    two = second[place] * _SECOND_DECAY
    two += (1 - _SECOND_DECAY) * gradient * gradient
    first[place], second[place] = one, two
    two *= 1 / (1 - _SECOND_DECAY**step)
    np.sqrt(two, out=two)
    two += _TINY
    one *= rate / (1 - _FIRST_DECAY**step)
    value[place] -= one / two
