"""How bi-encoders score, and all loaded models, behind the core's `Scorer` seam.

A bi-encoder reads the query text, and the passages whose vectors are not stored. If all are stored,
a search costs one short text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from pipelines.errors import DeadlinePassed, Overloaded
from pipelines.scoring import Enough, Scorer
from sidecar.metrics import Metrics
from sidecar.models.backends.base import BiEncoderBackend, ClosableBackend, FloatArray
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore, passage_digest, remembered_digests
from sidecar.models.query_vectors import QueryVectors
from sidecar.models.scheduling import Schedule
from sidecar.models.search_scorer import SearchScorer
from sidecar.models.shared_store.shared_vectors import SharedVectors
from sidecar.models.students.teacher import Teacher
from sidecar.models.text_scorer import Scores, TextScorer
from sidecar.models.vectors import cosines, finite

# A lookup of this number of passages takes half a millisecond; then other tasks may run.
_LOOKUP_TEXTS = 512


class BiEncoderScorer:
    """Scores passages by the cosine of their vectors with the query's vector.

    Passages that two searches need at the same time are read once: only the model's thread fills
    the store, and it looks into the store again before each chunk. Passages that were not read
    before the deadline are read later, when the thread has time, for the next search.
    """

    def __init__(
        self,
        name: str,
        backend: BiEncoderBackend,
        store: PassageStore,
        metrics: Metrics,
        keeper: PassageKeeper | None = None,
        *,
        spread: float = 1.0,
        teacher: Teacher | None = None,
        schedule: Schedule | None = None,
        shared: SharedVectors | None = None,
    ) -> None:
        """`keeper`: keeps the store's files; None if it has no files. `spread`: of the scores.
        `teacher`: has the model's student; None if it has none. `schedule`: how the backend is
        called; one thread if omitted. `shared`: vectors that other sidecars share, if any."""
        self._backend = backend
        self._teacher = teacher
        self._shared = shared
        self._spread = spread
        self._store = store
        self._schedule = schedule or Schedule(name, metrics)
        self._keeper = keeper
        # A method of this object would be a cycle, which nothing frees after `gc.freeze`.
        self._read_query = partial(_read_queries, backend)
        self._queries = QueryVectors(self._schedule, self._read_query)
        self._hits = metrics.passage_lookups.labels(name, "hit")
        self._misses = metrics.passage_lookups.labels(name, "miss")
        self._size = metrics.passages_stored.labels(name)
        self.show_size()

    def show_size(self) -> None:
        """Let the metric of this model's vectors count those of this store."""
        self._size.set_function(self._store.__len__)

    def expect(self, query_text: str) -> None:
        """See `QueryVectors.expect`."""
        self._queries.expect(query_text)

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> Scores:
        query = await self._queries.find(query_text, deadline)
        if self._shared is not None:
            await self._shared.fetch(texts, deadline)
        digests: list[bytes] = []
        scores: Scores = []
        missing: dict[bytes, str] = {}
        for start in range(0, len(texts), _LOOKUP_TEXTS):
            if start:
                await asyncio.sleep(0)
            block = texts[start : start + _LOOKUP_TEXTS]
            keys = remembered_digests(block)
            is_stored, vectors = self._store.get(keys)
            new = cosines(vectors, query)
            digests += keys
            if is_stored.all():
                scores += new
                continue
            scores += [
                score if known else None for known, score in zip(is_stored, new, strict=True)
            ]
            missing.update(
                (key, text)
                for key, text, known in zip(keys, block, is_stored, strict=True)
                if not known
            )
        known_count = len(scores) - scores.count(None)
        self._hits.inc(known_count)
        self._misses.inc(len(texts) - known_count)
        if not missing:
            return scores
        new_scores: dict[bytes, float] = {}

        def add_scores(new_vectors: Sequence[FloatArray | None]) -> Scores:
            for key, vector in zip(missing, new_vectors, strict=True):
                if vector is not None and key not in new_scores:
                    new_scores[key] = cosines(vector[None], query)[0]
            return [
                new_scores.get(key) if score is None else score
                for key, score in zip(digests, scores, strict=True)
            ]

        new_vectors: list[FloatArray | None] = [None] * len(missing)
        if enough is None or not enough(scores):
            try:
                new_vectors = await self._schedule.run(
                    self._read_passages,
                    list(missing.values()),
                    deadline,
                    enough=enough and (lambda vectors: enough(add_scores(vectors))),
                )
            except Overloaded:
                if not known_count:
                    raise
                return scores
        self._schedule.read_later(
            self._read_passages,
            [
                text
                for text, vector in zip(missing.values(), new_vectors, strict=True)
                if vector is None
            ],
        )
        all_scores = add_scores(new_vectors)
        if self._teacher is not None:
            self._teacher.estimator.compare(query, new_scores)
        return all_scores

    async def recall(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores | None:
        """The scores of all texts, if the vectors of all are stored; None if one is missing.

        The vectors are gathered while the model reads the query text. None for a large window,
        whose lookups `score` does in parts.
        """
        if len(texts) > _LOOKUP_TEXTS:
            return None
        if self._shared is not None:
            await self._shared.fetch(texts, deadline)
        is_stored, vectors = self._store.get(remembered_digests(texts))
        if not is_stored.all():
            return None
        query = await self._queries.find(query_text, deadline)
        self._hits.inc(len(texts))
        return list(cosines(vectors, query))

    highest = 1.0

    @property
    def spread(self) -> float:
        """Standard deviation of the model's scores of unlike texts."""
        return self._spread

    async def estimate(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores | None:
        """The cosines of the student's vectors with the query's; None if they are of no use.

        They are of no use either if the model's vectors of all texts are stored. The first search
        for a passage waits for the tokenizer, in another thread.
        """
        if self._teacher is None or self._teacher.estimator.student is None:
            return None
        if self._shared is not None:
            await self._shared.fetch(texts, deadline)
        if not self.unread(texts):
            return None
        query = await self._queries.find(query_text, deadline)
        return await self._teacher.estimator.estimate(query, texts, deadline)

    async def embed(
        self, texts: Sequence[str], deadline: float, *, as_queries: bool
    ) -> list[FloatArray]:
        """The vectors of these texts, in their order; searches take turns with them.

        The store is neither used nor filled: it holds the passages of searches, and other texts
        would drive them out. `deadline`: in seconds of `loop.time()`. Raises RescoreError, so
        DeadlinePassed unless all texts were read in time.
        """
        unique = list(dict.fromkeys(texts))
        read = self._read_query if as_queries else self._read_unstored
        vectors = dict(zip(unique, await self._schedule.run(read, unique, deadline), strict=True))
        complete = {text: vector for text, vector in vectors.items() if vector is not None}
        if len(complete) < len(unique):
            raise DeadlinePassed("not all texts were read in time")
        return [complete[text] for text in texts]

    @property
    def teacher(self) -> Teacher | None:
        """Has the model's student."""
        return self._teacher

    def close(self) -> None:
        self._schedule.close()
        if self._teacher is not None:
            self._teacher.close()
        if self._shared is not None:
            self._shared.close()
        if self._keeper is not None:
            self._keeper.close()
        if isinstance(self._backend, ClosableBackend):
            self._backend.close()

    def unread(self, texts: Sequence[str]) -> Sequence[str]:
        """Those that are not stored. May be called in any thread."""
        stored = self._store.has(remembered_digests(texts))
        return [text for text, here in zip(texts, stored, strict=True) if not here]

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._backend.dimensions

    @property
    def identity(self) -> str:
        """The backend's digest of weights and settings."""
        return self._backend.identity

    @property
    def store(self) -> PassageStore:
        """The stored vectors."""
        return self._store

    async def fill(self, texts: Sequence[str]) -> int:
        """Read the texts that are not stored; returns their number. Raises RescoreError."""
        keys = {passage_digest(text): text for text in texts}
        if self._shared is not None:
            await self._shared.fetch_patiently(texts)
        is_stored, vectors = self._store.get(list(keys))
        missing = [text for text, known in zip(keys.values(), is_stored, strict=True) if not known]
        await self._schedule.run(self._read_passages, missing, None, full_chunks=True)
        if self._shared is not None:
            stored = [key for key, known in zip(keys, is_stored, strict=True) if known]
            await self._shared.offer_patiently(stored, vectors[is_stored])
        return len(missing)

    async def learn(self, texts: Sequence[str]) -> None:
        """Read the texts that are not stored; all of them become lessons of the model's student.

        Raises RescoreError.
        """
        keys = {passage_digest(text): text for text in texts}
        is_stored, vectors = self._store.get(list(keys))
        stored = [key for key, known in zip(keys, is_stored, strict=True) if known]
        if self._teacher is not None and stored:
            await asyncio.to_thread(
                self._teacher.offer, stored, [keys[key] for key in stored], vectors[is_stored]
            )
        await self.fill(texts)

    async def flush(self) -> None:
        """Write all new vectors to disk, if the store has files, and to the shared store."""
        if self._shared is not None:
            await asyncio.to_thread(self._shared.drain)
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.flush)

    def _read_unstored(self, texts: Sequence[str]) -> list[FloatArray]:
        shape = (len(texts), self._backend.dimensions)
        return list(finite(self._backend.embed_passages(texts), shape))

    def _read_passages(self, texts: Sequence[str]) -> list[FloatArray]:
        digests = [passage_digest(text) for text in texts]
        is_stored, vectors = self._store.get(digests)
        missing = [position for position, known in enumerate(is_stored) if not known]
        if missing:
            shape = (len(missing), self._backend.dimensions)
            new_vectors = finite(self._backend.embed_passages([texts[i] for i in missing]), shape)
            new = [digests[i] for i in missing]
            vectors[missing] = self._store.put(new, new_vectors)
            if self._shared is not None:
                self._shared.offer(new, new_vectors)
            if self._teacher is not None:
                self._teacher.offer(new, [texts[i] for i in missing], new_vectors)
        return list(vectors)


def _read_queries(backend: BiEncoderBackend, texts: Sequence[str]) -> list[FloatArray]:
    return list(finite(backend.embed_queries(texts), (len(texts), backend.dimensions)))


class Models:
    """All loaded models, by name."""

    def __init__(self, scorers: Mapping[str, TextScorer]) -> None:
        self._scorers = dict(scorers)

    def bi_encoder(self, name: str) -> BiEncoderScorer | None:
        """The bi-encoder of this name; None if the model is not a bi-encoder."""
        scorer = self._scorers.get(name)
        return scorer if isinstance(scorer, BiEncoderScorer) else None

    def scorer(self, deadline: float | None) -> Scorer:
        """A scorer for one search; `deadline` is in seconds of `loop.time()`."""
        return SearchScorer(self._scorers, deadline)

    def expect(self, models: Iterable[str], query_text: str) -> None:
        """Let models begin to read the query text before the search's passages are known.

        Call it in the event loop of the searches. If no search follows, it costs one short text.
        """
        for name in models:
            if name in self._scorers:
                self._scorers[name].expect(query_text)

    def unread(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        """Those of the texts that the model must read to score them. May be called in any thread.

        Takes 1 to 2 ms for a thousand passages.
        """
        scorer = self._scorers.get(model)
        return texts if scorer is None else scorer.unread(texts)

    def __contains__(self, name: str) -> bool:
        return name in self._scorers

    def only(self, names: Collection[str]) -> Models:
        """The models of these names; they stay the same objects."""
        return Models({name: self._scorers[name] for name in self._scorers if name in names})

    def joined(self, others: Mapping[str, TextScorer], names: Iterable[str]) -> Models:
        """These models and others, in the order of `names`."""
        scorers = {**self._scorers, **others}
        return Models({name: scorers[name] for name in names})

    def show_sizes(self) -> None:
        """Let the metric of stored vectors count those of these models."""
        for scorer in self._scorers.values():
            if isinstance(scorer, BiEncoderScorer):
                scorer.show_size()

    def close(self, unless_in: Sequence[Models] = ()) -> None:
        """End the threads and save the vectors; takes the time of one chunk and of the disk.

        A model that is also in `unless_in` stays open.
        """
        used = {id(scorer) for other in unless_in for scorer in other._scorers.values()}
        for scorer in self._scorers.values():
            if id(scorer) not in used:
                scorer.close()
