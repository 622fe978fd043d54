"""Records the steps of one search: each seam of a search is wrapped by an object that notes it.

So the page shows what the product itself does, and the product has no code for the page.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipelines.hits import Hit
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, Rescoring
from pipelines.scoring import Scorer, Scorers
from sidecar.opensearch.search_response import SearchResponse
from sidecar.passage_cutter import WindowCutter
from sidecar.relay.front import Exchanger, Response


@dataclass(frozen=True, slots=True)
class ScoredTexts:
    """What one stage read: its model's score of each text, and how long it took."""

    model: str
    scores: dict[str, float | None]
    ms: float


@dataclass(slots=True)
class RecordedSearch:
    """One search. What it did not reach stays empty."""

    exchange_ms: list[float] = field(default_factory=list)
    query_text: str = ""
    hits: Sequence[Hit] = ()
    cut_ms: float | None = None
    stages: list[ScoredTexts] = field(default_factory=list)
    response: SearchResponse | None = None
    chosen: ChosenPassages | None = None
    rescoring: Rescoring | None = None

    def note_result(
        self, response: SearchResponse, chosen: ChosenPassages, rescoring: Rescoring
    ) -> None:
        """Note a rescoring; the search's `on_rescored`."""
        self.response, self.chosen, self.rescoring = response, chosen, rescoring


@dataclass(frozen=True, slots=True)
class RecordingExchanger:
    """Notes the time of each exchange with OpenSearch."""

    upstream: Exchanger
    record: RecordedSearch

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        """See `Exchanger`."""
        started = time.perf_counter()
        try:
            return await self.upstream.exchange(head, body, limit=limit)
        finally:
            self.record.exchange_ms.append((time.perf_counter() - started) * 1000)


@dataclass(frozen=True, slots=True)
class RecordingCutter:
    """Notes the window's hits, the query text, and the time of choosing passages."""

    cutter: WindowCutter
    record: RecordedSearch

    async def choose_passages(
        self,
        plan: Plan,
        query_text: str,
        hits: Sequence[Hit],
        deadline: float | None = None,
        *,
        partly: bool = False,
    ) -> ChosenPassages:
        """See `PassageCutter`."""
        started = time.perf_counter()
        record = self.record
        record.query_text, record.hits = query_text, hits
        try:
            return await self.cutter.choose_passages(
                plan, query_text, hits, deadline, partly=partly
            )
        finally:
            self.record.cut_ms = (time.perf_counter() - started) * 1000


@dataclass(frozen=True, slots=True)
class RecordingScorers:
    """Gives the search a scorer that notes each score and its time."""

    models: Scorers
    record: RecordedSearch

    def scorer(self, deadline: float | None) -> Scorer:
        """See `Scorers`."""
        return _RecordingScorer(self.models.scorer(deadline), self.record)

    def expect(self, models: Iterable[str], query_text: str) -> None:
        """See `Scorers`."""
        self.models.expect(models, query_text)


@dataclass(frozen=True, slots=True)
class _RecordingScorer(Scorer):
    scorer: Scorer
    record: RecordedSearch

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        started = time.perf_counter()
        scores = await self.scorer.score(model, query_text, texts)
        ms = (time.perf_counter() - started) * 1000
        by_text = dict(zip(texts, scores, strict=False))
        self.record.stages.append(ScoredTexts(model, by_text, ms))
        return scores

    def spread(self, model: str) -> float:
        return self.scorer.spread(model)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        return await self.scorer.estimate(model, query_text, texts)
