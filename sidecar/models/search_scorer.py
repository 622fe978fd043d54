"""The scorer of one search, which knows its deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import DeadlinePassed, ModelFailed
from pipelines.scoring import Enough, Scorer
from sidecar.models.text_scorer import Scores, TextScorer


@dataclass(frozen=True, slots=True)
class SearchScorer(Scorer):
    """All models for one search; `deadline` is in seconds of `loop.time()`, None for none."""

    scorers: Mapping[str, TextScorer]
    deadline: float | None

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> Scores:
        return await self._score(model, query_text, texts, None)

    async def score_until(
        self, model: str, query_text: str, texts: Sequence[str], enough: Enough
    ) -> Scores:
        return await self._score(model, query_text, texts, enough)

    async def _score(
        self, model: str, query_text: str, texts: Sequence[str], enough: Enough | None
    ) -> Scores:
        if model not in self.scorers:
            raise ModelFailed(f"there is no model {model!r} (there are: {', '.join(self.scorers)})")
        if not texts:
            return []
        scores = await self.scorers[model].score(query_text, texts, self.deadline, enough)
        if all(score is None for score in scores):
            raise DeadlinePassed(f"model {model!r} read no text before the deadline")
        return scores

    async def recall(self, model: str, query_text: str, texts: Sequence[str]) -> Scores | None:
        if model not in self.scorers or not texts:
            return None
        return await self.scorers[model].recall(query_text, texts, self.deadline)

    def highest(self, model: str) -> float | None:
        scorer = self.scorers.get(model)
        return None if scorer is None else scorer.highest

    def spread(self, model: str) -> float:
        scorer = self.scorers.get(model)
        return 1.0 if scorer is None else scorer.spread

    async def estimate(self, model: str, query_text: str, texts: Sequence[str]) -> Scores | None:
        if model not in self.scorers or not texts:
            return None
        return await self.scorers[model].estimate(query_text, texts, self.deadline)
