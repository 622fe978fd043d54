"""The two ways to score, behind the core's `Scorer` seam.

A cross-encoder reads every pair of query text and passage. A bi-encoder reads the query text and
the passages that it has not read before; a search whose passages are all stored costs one short
text.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipelines.errors import BadScores, DeadlinePassed, ModelFailed, Overloaded
from pipelines.scoring import Scorer
from sidecar.metrics import Metrics
from sidecar.models.backends.base import BiEncoderBackend, CrossEncoderBackend, FloatArray
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore, passage_digest
from sidecar.models.scheduling import Schedule

Scores = list[float | None]

_QUERY_VECTORS = 1024
# Looking up so many passages takes half a millisecond; then the event loop gets its turn.
_LOOKUP_TEXTS = 256


class TextScorer(Protocol):
    """One model and its way to score."""

    def expect(self, query_text: str) -> None: ...

    async def score(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores: ...

    def close(self) -> None: ...


class CrossEncoderScorer:
    """Reads every pair anew: a pair's score cannot be kept, as the query text is in it."""

    def __init__(self, name: str, backend: CrossEncoderBackend, metrics: Metrics) -> None:
        self._backend = backend
        self._schedule = Schedule(name, metrics)

    def expect(self, query_text: str) -> None:
        """Nothing can be read without the passages."""

    async def score(self, query_text: str, texts: Sequence[str], deadline: float | None) -> Scores:
        return await self._schedule.run(functools.partial(self._read, query_text), texts, deadline)

    def close(self) -> None:
        self._schedule.close()

    def _read(self, query_text: str, texts: Sequence[str]) -> list[float]:
        scores = _finite(self._backend.score_pairs(query_text, texts), (len(texts),))
        return [float(score) for score in scores]


class BiEncoderScorer:
    """Compares the query's vector with the passages' by their cosine.

    Passages that two searches want at once are read once: the model's thread looks into the
    store again before each chunk, and it is the only one that fills the store. Passages that were
    not reached before the deadline are read when the thread has time, for the next search.
    """

    def __init__(
        self,
        name: str,
        backend: BiEncoderBackend,
        store: PassageStore,
        metrics: Metrics,
        keeper: PassageKeeper | None = None,
    ) -> None:
        """`keeper` has the store's files, if it has any."""
        self._backend = backend
        self._store = store
        self._schedule = Schedule(name, metrics)
        self._keeper = keeper
        # Touched by the event loop alone, so it needs no lock.
        self._queries: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._expected: dict[bytes, asyncio.Task[FloatArray]] = {}
        self._hits = metrics.passage_lookups.labels(name, "hit")
        self._misses = metrics.passage_lookups.labels(name, "miss")
        metrics.passages_stored.labels(name).set_function(store.__len__)

    def expect(self, query_text: str) -> None:
        """Begin to read a query text whose passages are not known yet."""
        key = passage_digest(query_text)
        if key in self._queries or key in self._expected:
            return
        task = asyncio.get_running_loop().create_task(self._read_expected(key, query_text))
        self._expected[key] = task

        def end(ended: asyncio.Task[FloatArray]) -> None:
            del self._expected[key]
            # Perhaps no search wanted it: then nobody else asks how it ended.
            _ = ended.cancelled() or ended.exception()

        task.add_done_callback(end)

    async def score(self, query_text: str, texts: Sequence[str], deadline: float | None) -> Scores:
        query = await self._query_vector(query_text, deadline)
        digests: list[bytes] = []
        scores: Scores = []
        missing: dict[bytes, str] = {}
        for start in range(0, len(texts), _LOOKUP_TEXTS):
            if start:
                await asyncio.sleep(0)
            block = texts[start : start + _LOOKUP_TEXTS]
            keys = [passage_digest(text) for text in block]
            found, vectors = self._store.get(keys)
            cosines = _cosines(vectors, query)
            digests += keys
            scores += [score if here else None for here, score in zip(found, cosines, strict=True)]
            missing.update(
                (key, text) for key, text, here in zip(keys, block, found, strict=True) if not here
            )
        known = sum(score is not None for score in scores)
        self._hits.inc(known)
        self._misses.inc(len(texts) - known)
        if not missing:
            return scores
        try:
            read = await self._schedule.run(self._read_passages, list(missing.values()), deadline)
        except Overloaded:
            if not known:
                raise
            return scores
        self._schedule.read_later(
            self._read_passages,
            [text for text, vector in zip(missing.values(), read, strict=True) if vector is None],
        )
        fresh = {
            key: _cosines(vector[None], query)[0]
            for key, vector in zip(missing, read, strict=True)
            if vector is not None
        }
        return [
            fresh.get(key) if score is None else score
            for key, score in zip(digests, scores, strict=True)
        ]

    def close(self) -> None:
        self._schedule.close()
        if self._keeper is not None:
            self._keeper.close()

    @property
    def identity(self) -> str:
        """Digest of weights and settings, as the backend says."""
        return self._backend.identity

    @property
    def store(self) -> PassageStore:
        """The vectors that are kept."""
        return self._store

    async def fill(self, texts: Sequence[str]) -> int:
        """Read those of the texts that are not stored, and say how many. Raises RescoreError."""
        keys = {passage_digest(text): text for text in texts}
        found, _ = self._store.get(list(keys))
        missing = [text for text, here in zip(keys.values(), found, strict=True) if not here]
        await self._schedule.run(self._read_passages, missing, None)
        return len(missing)

    async def flush(self) -> None:
        """Have everything on disk, if there is a place for it."""
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.flush)

    async def _query_vector(self, query_text: str, deadline: float | None) -> FloatArray:
        key = passage_digest(query_text)
        vector = self._queries.get(key)
        if vector is None and (expected := self._expected.get(key)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    # Another search may wait for the same one.
                    return await asyncio.shield(expected)
        elif vector is None:
            [vector] = await self._schedule.run(
                self._read_query, [query_text], deadline, lane="queries"
            )
        if vector is None:
            raise DeadlinePassed("the query text was not read in time")
        self._keep_query(key, vector)
        return vector

    async def _read_expected(self, key: bytes, query_text: str) -> FloatArray:
        [vector] = await self._schedule.run(self._read_query, [query_text], None, lane="queries")
        assert vector is not None  # there was no deadline
        self._keep_query(key, vector)
        return vector

    def _keep_query(self, key: bytes, vector: FloatArray) -> None:
        self._queries[key] = vector
        self._queries.move_to_end(key)
        if len(self._queries) > _QUERY_VECTORS:
            self._queries.popitem(last=False)

    def _read_query(self, texts: Sequence[str]) -> list[FloatArray]:
        shape = (len(texts), self._backend.dimensions)
        return list(_finite(self._backend.embed_queries(texts), shape))

    def _read_passages(self, texts: Sequence[str]) -> list[FloatArray]:
        digests = [passage_digest(text) for text in texts]
        found, vectors = self._store.get(digests)
        missing = [position for position, here in enumerate(found) if not here]
        if missing:
            shape = (len(missing), self._backend.dimensions)
            read = _finite(self._backend.embed_passages([texts[i] for i in missing]), shape)
            vectors[missing] = self._store.put([digests[i] for i in missing], read)
        return list(vectors)


class Models:
    """Every loaded model by name."""

    def __init__(self, scorers: Mapping[str, TextScorer]) -> None:
        self._scorers = dict(scorers)

    def bi_encoder(self, name: str) -> BiEncoderScorer | None:
        """The bi-encoder of this name, if it is one."""
        found = self._scorers.get(name)
        return found if isinstance(found, BiEncoderScorer) else None

    def scorer(self, deadline: float | None) -> Scorer:
        """A scorer for one search that must end by `deadline`, in seconds of `loop.time()`."""
        return _SearchScorer(self._scorers, deadline)

    def expect(self, models: Iterable[str], query_text: str) -> None:
        """Let those of the models that can begin to read the query text of a search to come.

        Call it in the event loop of the searches. It costs a short text where no search follows.
        """
        for name in models:
            if name in self._scorers:
                self._scorers[name].expect(query_text)

    def close(self) -> None:
        """End the threads and save what is kept; takes as long as a chunk and the disk do."""
        for scorer in self._scorers.values():
            scorer.close()


@dataclass(frozen=True, slots=True)
class _SearchScorer:
    scorers: Mapping[str, TextScorer]
    deadline: float | None

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> Scores:
        if model not in self.scorers:
            raise ModelFailed(f"there is no model {model!r} (there are: {', '.join(self.scorers)})")
        if not texts:
            return []
        scores = await self.scorers[model].score(query_text, texts, self.deadline)
        if all(score is None for score in scores):
            raise DeadlinePassed(f"model {model!r} read no text before the deadline")
        return scores


def _cosines(vectors: FloatArray, query: FloatArray) -> list[float]:
    """Row by row, not as a matrix product: that may round equal rows differently, and equal
    passages must tie."""
    cosines: list[float] = (vectors * query).sum(axis=1).tolist()
    return cosines


def _finite(numbers: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    if numbers.shape != shape:
        raise BadScores(f"the model answered with shape {numbers.shape}, not {shape}")
    if not np.isfinite(numbers).all():
        raise BadScores("the model answered with a number that is not finite")
    return numbers
