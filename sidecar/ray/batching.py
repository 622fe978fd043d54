"""Reads the texts of several calls together: what calls have in common is read once.

`Batch` is Ray Serve's `serve.batch`: it collects calls while the model reads those before them. A
batch is read in parts of a few texts, so that calls whose callers have gone meanwhile are left out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DeadlinePassed, RescoreError
from pipelines.scoring import Scorer
from sidecar.api.doors import TextEmbedder

Vectors = list[NDArray[np.float32]]

_C = TypeVar("_C")
_V = TypeVar("_V")

_TEXTS: Final = 32
"""Texts of a part, unless one call has more: some tenths of a second on one core."""


class Batch(Protocol):
    """Makes a function for one call out of a function for several calls."""

    def __call__(
        self, read: Callable[[list[_C]], Awaitable[list[_V]]]
    ) -> Callable[[_C], Awaitable[_V]]: ...


class ReplicaModels(Protocol):
    """The loaded models."""

    def bi_encoder(self, name: str) -> TextEmbedder | None: ...

    def scorer(self, deadline: float | None) -> Scorer: ...


@dataclass(slots=True, eq=False)
class VectorCall:
    """Texts whose vectors a caller wants. `deadline`: in seconds of `loop.time()`."""

    texts: tuple[str, ...]
    as_queries: bool
    deadline: float
    gone: bool = False
    """Whether nobody waits for the answer any more."""


@dataclass(slots=True, eq=False)
class PairCall:
    """Texts whose scores a caller wants. `deadline`: in seconds of `loop.time()`."""

    query: str
    texts: tuple[str, ...]
    deadline: float
    gone: bool = False
    """Whether nobody waits for the answer any more."""


_AnyCall = TypeVar("_AnyCall", VectorCall, PairCall)


class BatchedModel:
    """One model. Belongs to one event loop."""

    def __init__(self, name: str, models: ReplicaModels, batch: Batch) -> None:
        self._name = name
        self._models = models
        self._scores = batch(self._read_pairs)
        self._vectors = batch(self._read_texts)
        # A call with one text, such as a query text, does not wait for the texts of others.
        self._one_vector = batch(self._read_texts)

    @property
    def dimensions(self) -> int | None:
        """Length of a vector; None for a cross-encoder."""
        embedder = self._models.bi_encoder(self._name)
        return None if embedder is None else embedder.dimensions

    async def vectors(self, call: VectorCall) -> Vectors:
        """One vector of length 1 for each text. Raises RescoreError unless all were read."""
        read = self._one_vector if len(call.texts) == 1 else self._vectors
        return await _answer(read, call)

    async def scores(self, call: PairCall) -> list[float]:
        """One score for each text. Raises RescoreError unless all were read."""
        return await _answer(self._scores, call)

    async def _read_texts(self, calls: list[VectorCall]) -> list[Vectors | RescoreError]:
        embedder = self._models.bi_encoder(self._name)
        assert embedder is not None  # only bi-encoders are asked for vectors

        async def read(group: Sequence[VectorCall]) -> list[Vectors]:
            texts = [text for call in group for text in call.texts]
            latest = max(call.deadline for call in group)
            as_queries = group[0].as_queries
            vectors = iter(await embedder.embed(texts, latest, as_queries=as_queries))
            return [[next(vectors) for _ in call.texts] for call in group]

        return await _read_groups(calls, lambda call: call.as_queries, read)

    async def _read_pairs(self, calls: list[PairCall]) -> list[list[float] | RescoreError]:
        async def read(group: Sequence[PairCall]) -> list[list[float]]:
            texts = [text for call in group for text in call.texts]
            scorer = self._models.scorer(max(call.deadline for call in group))
            scores = await scorer.score(self._name, group[0].query, texts)
            whole = [score for score in scores if score is not None]
            if len(whole) < len(scores):
                raise DeadlinePassed("not all texts were read in time")
            given = iter(whole)
            return [[next(given) for _ in call.texts] for call in group]

        return await _read_groups(calls, lambda call: call.query, read)


async def _read_groups(
    calls: Sequence[_AnyCall],
    key: Callable[[_AnyCall], object],
    read: Callable[[Sequence[_AnyCall]], Awaitable[list[_V]]],
) -> list[_V | RescoreError]:
    """Read the calls of each key together. An error is for the calls of its part alone."""
    groups: dict[object, list[_AnyCall]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    values: dict[int, _V | RescoreError] = {}

    async def read_one(group: Sequence[_AnyCall]) -> None:
        waiting = deque(group)
        while part := _take_part(waiting):
            try:
                read_values: Sequence[_V | RescoreError] = await read(part)
            except RescoreError as error:
                read_values = [error] * len(part)
            values.update((id(call), one) for call, one in zip(part, read_values, strict=True))

    await asyncio.gather(*map(read_one, groups.values()))
    gone = DeadlinePassed("the caller has gone")
    return [values.get(id(call), gone) for call in calls]


def _take_part(waiting: deque[_AnyCall]) -> list[_AnyCall]:
    """Take the next calls, of about `_TEXTS` texts, and drop those whose callers have gone."""
    part: list[_AnyCall] = []
    texts = 0
    while waiting and (not part or texts + len(waiting[0].texts) <= _TEXTS):
        call = waiting.popleft()
        if not call.gone:
            part.append(call)
            texts += len(call.texts)
    return part


async def _answer(read: Callable[[_AnyCall], Awaitable[_V | RescoreError]], call: _AnyCall) -> _V:
    try:
        value = await read(call)
    except asyncio.CancelledError:
        call.gone = True
        raise
    if isinstance(value, RescoreError):
        raise value
    return value
