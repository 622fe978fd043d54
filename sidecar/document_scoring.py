"""What the doors that only score share: documents in, one score a group out.

A rerank request carries its documents itself, so there is no window, no page and no splice; from
there on it is the core's flow, with the plans and models of the proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.errors import RescoreError
from pipelines.hits import Hit
from pipelines.plan import DocumentFields, Plan
from pipelines.rescore import prepare, rescore
from pipelines.scoring import Scorer

_ON_THE_LOOP = 4096
"""Characters that are cut into passages in less than a millisecond; more goes to a thread."""


class NotReady(RescoreError):
    """The models are still being loaded."""

    reason = "starting"


@dataclass(frozen=True, slots=True)
class GivenDocument:
    """A document as a request carries it; those that share a `group` are scored as one."""

    body: str
    title: str = ""
    group: str | None = None
    original_score: float = 0.0


@dataclass(frozen=True, slots=True)
class DocumentScoring:
    """Scores documents by a plan. `scorer` is None while the models are being loaded."""

    scorer: Callable[[], Callable[[float], Scorer] | None]

    async def score(
        self, plan: Plan, query_text: str, documents: Sequence[GivenDocument], deadline_s: float
    ) -> list[float | None]:
        """One score a document, in the order given; higher is more relevant.

        All documents of a group have the group's score. None: there was no text to read, or the
        deadline (seconds from now) came first. The plan's document fields, window and fusion do
        not apply. Raises RescoreError when nothing could be scored.
        """
        scorer = self.scorer()
        if scorer is None:
            raise NotReady("the models are still being loaded; try again in a few seconds")
        if not documents:
            return []
        deadline = time.monotonic() + deadline_s
        as_hits = plan.model_copy(
            update={
                "document": DocumentFields(title=("title",), body=("body",)),
                "group_by": "group",
                "scores": "model",
            }
        )
        hits = [
            Hit(
                position,
                document.original_score,
                {"title": document.title, "body": document.body, "group": document.group},
            )
            for position, document in enumerate(documents)
        ]
        size = sum(len(document.title) + len(document.body) for document in documents)
        if size <= _ON_THE_LOOP:
            prepared = prepare(as_hits, query_text, hits)
        else:
            prepared = await asyncio.to_thread(prepare, as_hits, query_text, hits)
        rescoring = await rescore(as_hits, query_text, prepared, scorer(deadline))
        scores: list[float | None] = [None] * len(documents)
        for ranked in rescoring.ranking:
            scores[ranked.position] = ranked.score
        return scores
