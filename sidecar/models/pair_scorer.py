"""How cross-encoders score: they read every pair of query text and passage."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from pipelines.scoring import Enough
from sidecar.metrics import Metrics
from sidecar.models.backends.base import ClosableBackend, CrossEncoderBackend
from sidecar.models.scheduling import Schedule
from sidecar.models.text_scorer import Scores
from sidecar.models.vectors import finite


class CrossEncoderScorer:
    """Reads every pair again in each search, because a score depends on the query text."""

    def __init__(
        self,
        name: str,
        backend: CrossEncoderBackend,
        metrics: Metrics,
        *,
        spread: float = 1.0,
        schedule: Schedule | None = None,
    ) -> None:
        """`schedule`: how the backend is called; one thread if omitted."""
        self._backend = backend
        self._spread = spread
        self._schedule = schedule or Schedule(name, metrics)

    def expect(self, query_text: str) -> None:
        """Does nothing: a pair needs its passage."""

    def unread(self, texts: Sequence[str]) -> Sequence[str]:
        """All of them: they are read with each query text."""
        return texts

    highest = None  # a score is a logit

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> Scores:
        """All scores, without `enough`, since the highest possible score is not known."""
        # Read each text once: libraries may round equal rows of a batch differently, and equal
        # texts must tie.
        unique = list(dict.fromkeys(texts))
        read = functools.partial(self._read, query_text)
        scores = dict(zip(unique, await self._schedule.run(read, unique, deadline), strict=True))
        return [scores[text] for text in texts]

    async def recall(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores | None:
        """None: each text is read with the query text."""
        return None

    @property
    def spread(self) -> float:
        """Standard deviation of the model's scores of unlike texts."""
        return self._spread

    async def estimate(
        self, query_text: str, texts: Sequence[str], deadline: float | None
    ) -> Scores | None:
        """None: a score depends on the query text, so nothing of it can be learned before."""
        return None

    def close(self) -> None:
        self._schedule.close()
        if isinstance(self._backend, ClosableBackend):
            self._backend.close()

    def _read(self, query_text: str, texts: Sequence[str]) -> list[float]:
        scores = finite(self._backend.score_pairs(query_text, texts), (len(texts),))
        return [float(score) for score in scores]
