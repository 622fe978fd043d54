"""An index's documents to stored vectors; and beforehand, what that will cost.

A search chooses among all passages of a document by its query text, so all of them are stored,
up to MOST_PASSAGES.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.documents import read_documents
from pipelines.hits import Hit
from pipelines.passages import split_document
from pipelines.plan import Plan
from sidecar.models.passage_store import bytes_of_passages
from sidecar.models.scorers import BiEncoderScorer
from sidecar.warming.index_reading import IndexReading, Page
from sidecar.warming.progress import Progress, ProgressFile

MOST_PASSAGES = 500
"""Passages of one document that are stored; a book has no more than its beginning read."""

SAMPLE = 200
_TIMED_PASSAGES = 24


@dataclass(frozen=True, slots=True)
class Estimate:
    """What reading the whole index takes, as a sample of its documents says."""

    documents: int
    passages: int
    bytes: int
    """Memory of the vectors, and about as much on disk."""

    seconds: float
    capacity: int
    """Passages that `passage_store_mb` has room for in this model's share."""

    @property
    def fits(self) -> bool:
        return self.passages <= self.capacity


@dataclass(frozen=True, slots=True)
class Warmed:
    """The end of a run. `complete` is False when the store was full before all was read."""

    documents: int
    passages: int
    former_documents: int
    """Those of `documents` that an earlier run, which did not come to its end, has read."""

    seconds: float
    complete: bool


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
        """`rate`: documents a second at most. What was read is saved every `save_seconds`."""
        self._reading = reading
        self._plan = plan
        self._scorer = scorer
        self._rate = rate
        self._save_seconds = save_seconds

    async def estimate(self) -> Estimate:
        """Read a sample of the documents and some of their passages. Raises IndexUnreadable."""
        documents = await asyncio.to_thread(self._reading.count)
        hits = await asyncio.to_thread(self._reading.sample, SAMPLE)
        started = time.monotonic()
        texts = await asyncio.to_thread(self._cut, hits)
        cutting = (time.monotonic() - started) / max(1, len(hits))
        await self._scorer.fill(texts[:1])  # so that the first text's own delays do not count
        timed = texts[1 : 1 + _TIMED_PASSAGES]
        started = time.monotonic()
        read = await self._scorer.fill(timed)
        each = (time.monotonic() - started) / read if read else 0.0
        share = len(texts) / max(1, len(hits))
        passages = round(documents * share)
        seconds = documents * max(cutting + share * each, 1 / self._rate if self._rate else 0)
        store = self._scorer.store
        size = bytes_of_passages(passages, store.dimensions)
        return Estimate(documents, passages, size, seconds, store.capacity)

    async def run(self, file: ProgressFile, on_progress: Callable[[Progress], object]) -> Warmed:
        """Store the vectors of all documents behind what `file` says is done.

        Raises IndexUnreadable and RescoreError; what was read by then is kept and noted.
        """
        started = time.monotonic()
        done = file.read()
        on_progress(done)
        before = done.documents
        saved = started
        upcoming = self._next_page(done.number)
        try:
            while True:
                page = await upcoming
                if page.next_number is not None:
                    # Read while the model reads this one.
                    upcoming = self._next_page(page.next_number)
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
                    await asyncio.to_thread(file.remove)
                    return Warmed(
                        done.documents, done.passages, before, time.monotonic() - started, True
                    )
                full = len(self._scorer.store) >= self._scorer.store.capacity
                if full or time.monotonic() - saved >= self._save_seconds:
                    await self._save(file, done)
                    saved = time.monotonic()
                if full:
                    return Warmed(done.documents, done.passages, before, saved - started, False)
                if self._rate is not None:
                    due = started + (done.documents - before) / self._rate
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await asyncio.wait([upcoming])  # nobody closes the client while it reads

    def _next_page(self, number: int) -> asyncio.Future[Page]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(None, self._reading.read_page, number)

    async def _save(self, file: ProgressFile, done: Progress) -> None:
        await self._scorer.flush()
        await asyncio.to_thread(file.write, done)

    def _cut(self, hits: Sequence[Hit]) -> list[str]:
        return [
            one.text
            for document in read_documents(hits, self._plan)
            for one in split_document(document, self._plan.passages)[:MOST_PASSAGES]
        ]
