"""What each kind of model does with texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipelines.scoring import Enough

Scores = list[float | None]


class TextScorer(Protocol):
    """Scores texts with one model."""

    def expect(self, query_text: str) -> None: ...

    def unread(self, texts: Sequence[str]) -> Sequence[str]: ...

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> Scores:
        """See `Scorer.score`, and `Scorer.score_until` with `enough`."""
        ...

    async def recall(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores | None:
        """See `pipelines.scoring.Scorer.recall`."""
        ...

    @property
    def highest(self) -> float | None:
        """See `pipelines.scoring.Scorer.highest`."""
        ...

    @property
    def spread(self) -> float:
        """See `pipelines.scoring.Scorer.spread`."""
        ...

    async def estimate(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores | None:
        """What a student of the model expects `score` to say; None if it has none of use."""
        ...

    def close(self) -> None: ...
