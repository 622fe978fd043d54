"""A model whose passages are not known yet, and which reads only some of them per call.

It stands for a slow model with an empty passage store: what one call does not reach, a later call
may. It counts texts, not time, so no test depends on the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.scoring import Enough
from sidecar.models.scorers import Models

HIGHEST = 7.0


class ColdScorer:
    """Scores a text by a number that depends on its letters alone; a `TextScorer`.

    `reach` is the number of texts that one call can read besides those that are known. `highest` is
    what it says of its highest score; no text gets more than HIGHEST.
    """

    spread = 1.0

    def __init__(self, reach: int, highest: float | None = None) -> None:
        self.reach = reach
        self.highest = highest
        self.known: set[str] = set()

    def expect(self, query_text: str) -> None:
        """There is nothing to begin with."""

    def unread(self, texts: Sequence[str]) -> Sequence[str]:
        return [text for text in texts if text not in self.known]

    async def estimate(self, query_text: str, texts: Sequence[str], deadline: float | None) -> None:
        return None

    async def recall(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> list[float | None] | None:
        return None if self.unread(texts) else self._scores(texts)

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> list[float | None]:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        for text in new[: self.reach]:
            if enough is not None and enough(self._scores(texts)):
                break
            self.known.add(text)
        return self._scores(texts)

    def _scores(self, texts: Sequence[str]) -> list[float | None]:
        return [_number(text) if text in self.known else None for text in texts]

    def close(self) -> None:
        """Nothing is open."""


def cold_models(reach: int, highest: float | None = None) -> Models:
    """The model `words`, as cold as possible."""
    return Models({"words": ColdScorer(reach, highest)})


def _number(text: str) -> float:
    return (sum(text.encode()) * 7919 % 1000) / 100 - 3
