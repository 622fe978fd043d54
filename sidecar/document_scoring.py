"""What the doors that only score share: documents in, one score a group out.

A rerank request carries its documents itself, so there is no window, no page and no splice; from
there on it is the core's flow, with the plans and models of the proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.errors import DeadlinePassed, Overloaded, RescoreError
from pipelines.hits import Hit
from pipelines.plan import DocumentFields, Fusion, Plan
from pipelines.rescore import prepare, rescore
from pipelines.scoring import Scorers

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
    """Scores documents by a plan. `models` gives None while they are being loaded."""

    models: Callable[[], Scorers | None]

    async def score(
        self,
        plan: Plan,
        query_text: str,
        documents: Sequence[GivenDocument],
        deadline_s: float,
        *,
        whole: bool = False,
    ) -> list[float | None]:
        """One score a document, in the order given; higher is more relevant.

        All documents of a group have the group's score. A plan of one stage gives the model's
        scores; those of a later stage are laid on the range that the same documents held before
        it, so that all numbers can be compared. None: there was no text to read, or the deadline
        (seconds from now) or an overload came first. The plan's document fields, window, fusion
        and its first stage's `take` do not apply.

        Raises RescoreError when nothing could be scored; with `whole` also DeadlinePassed or
        Overloaded when not everything that has text could be.
        """
        models = self.models()
        if models is None:
            raise NotReady("the models are still being loaded; try again in a few seconds")
        if not documents:
            return []
        deadline = time.monotonic() + deadline_s
        as_hits = plan.model_copy(
            update={
                "document": DocumentFields(title=("title",), body=("body",)),
                "group_by": "group",
                "stages": (plan.stages[0].model_copy(update={"take": None}), *plan.stages[1:]),
                "fusion": Fusion(method="replace"),
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
            models.expect((stage.model for stage in as_hits.stages), query_text)
            prepared = await asyncio.to_thread(prepare, as_hits, query_text, hits)
        rescoring = await rescore(as_hits, query_text, prepared, models.scorer(deadline))
        scores = [hit.fused for hit in rescoring.hits]
        readable = {
            document.position
            for group, passages in zip(prepared.groups, prepared.passages, strict=True)
            if passages
            for document in group.documents
        }
        if whole and any(scores[position] is None for position in readable):
            if time.monotonic() < deadline:
                raise Overloaded("the model has no time for all documents")
            raise DeadlinePassed("the deadline passed before all documents were scored")
        return scores
