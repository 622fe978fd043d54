"""Turns an index's documents into stored vectors or lessons, and estimates the cost beforehand.

A search chooses among all passages of a document by its query text, so all of them are stored,
up to MOST_PASSAGES.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.documents import read_documents
from pipelines.hits import Hit
from pipelines.passages import split_document
from pipelines.plan import Plan
from sidecar.models.passage_store import bytes_of_passages
from sidecar.models.scorers import BiEncoderScorer
from sidecar.warming.changed_documents import ChangedDocuments
from sidecar.warming.index_reading import PAGE, DocumentPage, IndexReading, IndexUnreadable
from sidecar.warming.progress import Progress, ProgressFile

MOST_PASSAGES = 500
"""Maximum number of passages stored per document; of a book, only the beginning is read."""

SAMPLE = 200
_SEARCHES_AT_ONCE = 8
_TIMED_PASSAGES = 24
# The rest of the time is for teaching.
_READING_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of reading the whole index, estimated from a sample of its documents."""

    documents: int
    passages: int
    bytes: int
    """Memory for the vectors; they take about as much on disk."""

    seconds: float
    capacity: int
    """Passages that fit into this model's share of `passage_store.memory_mb`."""

    @property
    def fits(self) -> bool:
        return self.passages <= self.capacity


@dataclass(frozen=True, slots=True)
class WarmingSummary:
    """The result of a run. `complete` is False if the store was full before the end."""

    documents: int
    passages: int
    former_documents: int
    """Those of `documents` that an earlier, interrupted run has read."""

    seconds: float
    complete: bool


@dataclass(frozen=True, slots=True)
class TeachingSummary:
    """The result of teaching; `better` is False if the former table is kept."""

    documents: int
    passages: int
    better: bool
    seconds: float


class Warming:
    """One index, one plan, one bi-encoder."""

    def __init__(
        self,
        reading: IndexReading,
        plan: Plan,
        scorer: BiEncoderScorer,
        *,
        rate: float | None = None,
        save_seconds: float = 10.0,
    ) -> None:
        """`rate`: maximum documents per second. Vectors are saved every `save_seconds`."""
        self._reading = reading
        self._plan = plan
        self._scorer = scorer
        self._rate = rate
        self._save_seconds = save_seconds

    async def estimate(self) -> Estimate:
        """Read a sample of the documents and some of their passages. Raises IndexUnreadable."""
        documents = -(-await asyncio.to_thread(self._reading.count) // self._reading.part.count)
        hits = await asyncio.to_thread(self._reading.sample, SAMPLE)
        started = time.monotonic()
        texts = await asyncio.to_thread(self._cut, hits)
        cutting = (time.monotonic() - started) / max(1, len(hits))
        await self._scorer.fill(texts[:1])  # the first text takes longer than others
        timed = texts[1 :: max(1, len(texts) // _TIMED_PASSAGES)][:_TIMED_PASSAGES]
        started = time.monotonic()
        count = await self._scorer.fill(timed)
        each = (time.monotonic() - started) / count if count else 0.0
        share = len(texts) / max(1, len(hits))
        passages = round(documents * share)
        seconds = documents * max(cutting + share * each, 1 / self._rate if self._rate else 0)
        store = self._scorer.store
        size = bytes_of_passages(passages, store.dimensions)
        return Estimate(documents, passages, size, seconds, store.capacity)

    async def teach(
        self, documents: int, seed: int, on_progress: Callable[[float], object]
    ) -> TeachingSummary:
        """Read a random sample of the documents, and teach the model's student with it.

        `on_progress` gets the share of the work that is done. The scorer must have a teacher.
        Raises IndexUnreadable, RescoreError and TeachingFailed; vectors until then are kept.
        """
        teacher = self._scorer.teacher
        assert teacher is not None
        started = time.monotonic()
        done = passages = 0
        while done < documents:
            size = min(PAGE, documents - done)
            hits = await asyncio.to_thread(self._reading.sample_page, seed, done, size)
            texts = await asyncio.to_thread(self._cut, hits)
            await self._scorer.learn(texts)
            done += len(hits)
            passages += len(texts)
            on_progress(_READING_SHARE * done / documents)
            if len(hits) < size:
                break
        await self._scorer.flush()
        better = False
        if len(teacher.lessons):
            better = await asyncio.to_thread(
                teacher.teach_now,
                lambda share: on_progress(_READING_SHARE + (1 - _READING_SHARE) * share),
            )
        return TeachingSummary(done, passages, better, time.monotonic() - started)

    async def ask(
        self, bodies: Sequence[Mapping[str, Any]], on_progress: Callable[[int], object]
    ) -> WarmingSummary:
        """Search with each body, and store the vectors of the hits' passages, in that order.

        `on_progress` gets the number of searches that are done. A search that OpenSearch refuses is
        left out. Raises IndexUnreadable if it refuses all of the first ones, and RescoreError;
        vectors until then are kept.
        """
        started = saved = time.monotonic()
        documents = passages = done = 0
        store = self._scorer.store
        while done < len(bodies):
            some = bodies[done : done + _SEARCHES_AT_ONCE]
            answers = await asyncio.gather(
                *(asyncio.to_thread(self._reading.search, body) for body in some),
                return_exceptions=True,
            )
            hits: list[Hit] = []
            for answer in answers:
                if not isinstance(answer, BaseException):
                    hits += answer
                elif not isinstance(answer, IndexUnreadable) or not (hits or done):
                    raise answer
            texts = await asyncio.to_thread(self._cut, hits)
            await self._scorer.fill(texts)
            documents, passages = documents + len(hits), passages + len(texts)
            done += len(some)
            on_progress(done)
            full = len(store) >= store.capacity
            if full or time.monotonic() - saved >= self._save_seconds:
                await self._scorer.flush()
                saved = time.monotonic()
            if full:
                return WarmingSummary(documents, passages, 0, saved - started, False)
            if self._rate is not None:
                due = started + documents / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        await self._scorer.flush()
        return WarmingSummary(documents, passages, 0, time.monotonic() - started, True)

    async def run(
        self,
        file: ProgressFile,
        on_progress: Callable[[Progress], object],
        changed: ChangedDocuments | None = None,
    ) -> WarmingSummary:
        """Store the vectors of all documents that `file` does not count as done.

        With `changed`, only those, from the first to the last. Raises IndexUnreadable and
        RescoreError; vectors and progress until then are kept.
        """
        started = time.monotonic()
        done = file.read() if changed is None else Progress()
        on_progress(done)
        before = done.documents
        saved = started
        read_page = self._reading.read_page if changed is None else changed.read_page
        upcoming = self._next_page(read_page, done.number)
        try:
            while True:
                page = await upcoming
                if page.next_number is not None:
                    # The next page is fetched while the model reads this one.
                    upcoming = self._next_page(read_page, page.next_number)
                texts = await asyncio.to_thread(self._cut, page.hits)
                await self._scorer.fill(texts)
                done = Progress(
                    done.number if page.next_number is None else page.next_number,
                    done.documents + len(page.hits),
                    done.passages + len(texts),
                )
                on_progress(done)
                if page.next_number is None:
                    await self._scorer.flush()
                    if changed is None:
                        await asyncio.to_thread(file.remove)
                    return WarmingSummary(
                        done.documents, done.passages, before, time.monotonic() - started, True
                    )
                full = len(self._scorer.store) >= self._scorer.store.capacity
                if full or time.monotonic() - saved >= self._save_seconds:
                    await self._save(file if changed is None else None, done)
                    saved = time.monotonic()
                if full:
                    return WarmingSummary(
                        done.documents, done.passages, before, saved - started, False
                    )
                if self._rate is not None:
                    due = started + (done.documents - before) / self._rate
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await asyncio.wait([upcoming])  # the client must not be closed while it reads

    def _next_page(
        self, read_page: Callable[[int], DocumentPage], number: int
    ) -> asyncio.Future[DocumentPage]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(None, read_page, number)

    async def _save(self, file: ProgressFile | None, done: Progress) -> None:
        await self._scorer.flush()
        if file is not None:
            await asyncio.to_thread(file.write, done)

    def _cut(self, hits: Sequence[Hit]) -> list[str]:
        """The passages of these documents, sorted by length: texts of a batch are padded."""
        texts = [
            one.text
            for document in read_documents(hits, self._plan)
            for one in split_document(document, self._plan.passages)[:MOST_PASSAGES]
        ]
        return sorted(texts, key=len)
