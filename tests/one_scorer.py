"""A scorer of a test's own where models are expected, below the seam that the core knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.scoring import Scorer


@dataclass(frozen=True, slots=True)
class OneScorer:
    """Hands out the same scorer to every search; a `pipelines.scoring.Scorers`."""

    own: Scorer

    def scorer(self, deadline: float | None) -> Scorer:
        return self.own

    def expect(self, models: Iterable[str], query_text: str) -> None:
        """There is nothing to begin with."""

    def unread(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        return texts
