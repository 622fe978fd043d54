"""A scorer that shares the event loop with other searches, and records what it does."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from pipelines.scoring import Enough, Scorer
from sidecar.event_loop.loop_turns import next_turn
from sidecar.tracing.steps import current_step, record_step, step


@dataclass(slots=True)
class ScorerInTurns(Scorer):
    """Scores of many searches may come at once, so each search then waits for a turn.

    `scored` is when the last scores came, in seconds of the monotonic clock.
    """

    scorer: Scorer
    scored: float | None = None

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        return await self._score(model, texts, self.scorer.score(model, query_text, texts))

    async def score_until(
        self, model: str, query_text: str, texts: Sequence[str], enough: Enough
    ) -> Sequence[float | None]:
        """See `Scorer`."""
        scores = self.scorer.score_until(model, query_text, texts, enough)
        return await self._score(model, texts, scores)

    async def _score(
        self, model: str, texts: Sequence[str], awaited: Awaitable[Sequence[float | None]]
    ) -> Sequence[float | None]:
        with step("model") as stage:
            stage.note("model", model)
            stage.note("texts", len(texts))
            scores = await awaited
        await next_turn()
        self.scored = time.monotonic()
        return scores

    async def recall(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        start = time.monotonic()
        scores = await self.scorer.recall(model, query_text, texts)
        if scores is not None:
            _record("model", start, model, texts)
            await next_turn()
            self.scored = time.monotonic()
        return scores

    def highest(self, model: str) -> float | None:
        """See `Scorer`."""
        return self.scorer.highest(model)

    def spread(self, model: str) -> float:
        """See `Scorer`."""
        return self.scorer.spread(model)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        start = time.monotonic()
        estimates = await self.scorer.estimate(model, query_text, texts)
        if estimates is not None:
            _record("estimate", start, model, texts)
        return estimates


def _record(name: str, start: float, model: str, texts: Sequence[str]) -> None:
    done = record_step(current_step(), name, start, time.monotonic())
    done.note("model", model)
    done.note("texts", len(texts))
