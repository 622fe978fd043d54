"""Scores documents for the doors that only score: documents in, one score for each out.

A rerank request contains its documents, so there is no search, no window and no page: these doors
enter the core at documents, and use the same plans and models as the proxy. Under overload,
`scoring_line.py` decides which requests are admitted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.documents import Document
from pipelines.errors import DeadlinePassed, Overloaded, RescoreError
from pipelines.fusion_methods import ReplaceFusion
from pipelines.plan import Plan
from pipelines.rescore import ChosenPassages, choose_document_passages, rescore
from pipelines.scoring import Scorers
from sidecar.event_loop.off_loop import Busy, off_loop
from sidecar.scoring_line import ScorerInLine, ScoringLine, count_work

_ON_THE_LOOP = 4096
"""Characters that are cut into passages within a millisecond; for more, a thread does it."""

_BLOCK = 1 << 16
"""Characters that are searched within a millisecond."""

_VISIBLE = re.compile(
    r"[^\s\x00-\x1f\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""A character that can be seen: neither white space nor a control, nor one that Unicode lists as
`Default_Ignorable_Code_Point`, nor an empty Braille pattern."""


def is_blank(text: str) -> bool:
    """Whether a text has no visible character. PDFs and web pages contain such texts, for example
    a zero-width space or a byte order mark alone. Takes up to 16 ms for a million characters."""
    # Other threads run between two blocks, but not during a search.
    starts = range(0, len(text), _BLOCK)
    return all(_VISIBLE.search(text, start, start + _BLOCK) is None for start in starts)


class NotReady(RescoreError):
    """The models are still being loaded."""

    reason = "starting"


@dataclass(frozen=True, slots=True)
class GivenDocument:
    """A document of a request; documents that share a `group` are scored as one."""

    body: str
    title: str = ""
    group: str | None = None
    original_score: float = 0.0


class DocumentModels(Scorers, Protocol):
    """The loaded models; they know what they have read before."""

    def unread(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        """Those of the texts that the model must read to score them; called in any thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Work:
    """What a request needs of the models: `unread` texts, and `bytes` of them, by model."""

    chosen: ChosenPassages
    unread: dict[str, frozenset[str]]
    bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class DocumentScoring:
    """Scores documents by a plan. `models` returns None while the models are being loaded."""

    models: Callable[[], DocumentModels | None]
    line: ScoringLine

    async def score(
        self,
        plan: Plan,
        query_text: str,
        documents: Sequence[GivenDocument],
        deadline_s: float,
        *,
        whole: bool = False,
    ) -> list[float | None]:
        """One score for each document, in their order; higher is more relevant.

        All documents of a group get the group's score. With one stage, these are the model's own
        scores. Scores of later stages are mapped to the range that the same documents had before,
        so that all numbers can be compared. None: the document has no text, or it was not scored
        because of the deadline (`deadline_s` seconds from now) or of overload. Of the plan, the
        document fields, the window, the fusion and the `take` of the first stage have no effect.

        Raises RescoreError if no document could be scored, at once if the requests before this one
        leave too little time. With `whole`, raises DeadlinePassed or
        Overloaded unless every document with text was scored.
        """
        models = self.models()
        if models is None:
            raise NotReady("the models are still being loaded; try again in a few seconds")
        if not documents:
            return []
        deadline = time.monotonic() + deadline_s
        scoring_plan = plan.model_copy(
            update={
                "stages": (plan.stages[0].model_copy(update={"take": None}), *plan.stages[1:]),
                "fusion": ReplaceFusion(),
            }
        )
        size = sum(len(document.title) + len(document.body) for document in documents)
        if size > _ON_THE_LOOP:
            models.expect((stage.model for stage in scoring_plan.stages), query_text)
        try:
            work = await off_loop(
                size,
                lambda: _find_work(scoring_plan, query_text, documents, models),
                _ON_THE_LOOP,
            )
        except Busy:
            raise Overloaded("too many documents wait to be cut into passages") from None
        chosen, scorer = work.chosen, models.scorer(deadline)
        if any(work.bytes.values()):
            with self.line.enter(deadline, work.bytes) as place:
                in_line = ScorerInLine(scorer, self.line, place, work.unread)
                rescoring = await rescore(scoring_plan, query_text, chosen, in_line)
        else:
            rescoring = await rescore(scoring_plan, query_text, chosen, scorer)
        scores = [hit.fused for hit in rescoring.hits]
        readable = {
            document.position
            for group, passages in zip(chosen.groups, chosen.passages, strict=True)
            if passages
            for document in group.documents
        }
        if whole and any(scores[position] is None for position in readable):
            if time.monotonic() < deadline:
                raise Overloaded("the model has no time for all documents")
            raise DeadlinePassed("the deadline passed before all documents were scored")
        return scores


def _find_work(
    plan: Plan, query_text: str, documents: Sequence[GivenDocument], models: DocumentModels
) -> _Work:
    """Choose the passages, and find out what of them is unread. Raises NoText."""
    chosen = choose_document_passages(plan, query_text, _read_documents(documents))
    texts = [passage.text for passages in chosen.passages for passage in passages]
    unread: dict[str, frozenset[str]] = {}
    bytes_: dict[str, int] = {}
    for stage in plan.stages:
        unread[stage.model] = frozenset(models.unread(stage.model, texts))
        # Which groups a later stage reads is not known yet: a share of the passages, on average.
        share = min(1.0, (stage.take or len(chosen.groups)) / len(chosen.groups))
        work = int(count_work(unread[stage.model]) * share)
        bytes_[stage.model] = max(bytes_.get(stage.model, 0), work)
    return _Work(chosen, unread, bytes_)


def _read_documents(documents: Sequence[GivenDocument]) -> list[Document]:
    """The documents for the core; texts without a visible character are empty."""
    return [
        Document(
            position,
            "" if is_blank(document.title) else document.title,
            "" if is_blank(document.body) else document.body,
            document.original_score,
            document.group or None,
        )
        for position, document in enumerate(documents)
    ]
