"""Documents in, one logit each: shared by all rerank APIs, on top of `DocumentScoring`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import NoText, RescoreError
from pipelines.plan import Plan
from sidecar.api.doors import choose_plan
from sidecar.config.rerank import CosineLogits, RerankApis
from sidecar.document_scoring import DocumentScoring, GivenDocument
from sidecar.logits import NO_TEXT, write_logits
from sidecar.rerank.body import run_off_loop
from sidecar.rerank.refusals import Refusal, refusal_of
from sidecar.rerank.token_counts import count_pair_tokens

_ON_THE_LOOP = 4096
"""Characters whose tokens are counted within a millisecond; for more, a thread does it."""


@dataclass(frozen=True, slots=True)
class DocumentLogits:
    """One logit for each document, in their order, and the tokens of all pairs."""

    logits: tuple[float, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Reranker:
    """Scores texts by one plan. `cosine` None: the first stage's model gives logits itself."""

    plan_name: str
    plan: Plan
    cosine: CosineLogits | None
    scoring: DocumentScoring
    deadline_s: float
    max_tokens: int

    async def score(self, query: str, documents: Sequence[str]) -> DocumentLogits:
        """Score each document in full, by its best passages; one without text gets `NO_TEXT`.

        All or nothing: raises Refusal `too_many`, `starting`, `overload`, `deadline` or `model` if
        not every document with text can be scored.
        """
        [logits] = await self.score_each([(query, documents)])
        return logits

    async def score_each(self, groups: Sequence[tuple[str, Sequence[str]]]) -> list[DocumentLogits]:
        """The same for several queries, each with its own documents, within one deadline."""
        deadline = time.monotonic() + self.deadline_s
        counts = await run_off_loop(
            sum(len(query) + sum(map(len, documents)) for query, documents in groups),
            lambda: [count_pair_tokens(query, tuple(documents)) for query, documents in groups],
            _ON_THE_LOOP,
        )
        if sum(counts) > self.max_tokens:
            raise Refusal(
                "too_many",
                f"the request has about {sum(counts)} tokens, at most {self.max_tokens} are "
                "allowed",
            )
        answers = []
        for (query, documents), tokens in zip(groups, counts, strict=True):
            logits = await self._score(query, documents, deadline - time.monotonic())
            answers.append(DocumentLogits(logits, tokens))
        return answers

    async def _score(
        self, query: str, documents: Sequence[str], deadline_s: float
    ) -> tuple[float, ...]:
        given = [GivenDocument(text) for text in documents]
        try:
            scores = await self.scoring.score(self.plan, query, given, deadline_s, whole=True)
        except NoText:
            scores = [None] * len(given)
        except RescoreError as error:
            raise refusal_of(error) from error
        logits = iter(write_logits([s for s in scores if s is not None], self.cosine))
        return tuple(NO_TEXT if s is None else next(logits) for s in scores)


def build_reranker(
    settings: RerankApis,
    plans: Mapping[str, Plan],
    bi_encoders: frozenset[str],
    scoring: DocumentScoring,
) -> Reranker:
    """The configured reranker. `bi_encoders`: names of the models whose scores are cosines.

    Raises ValueError if the configured plan does not exist.
    """
    name = choose_plan(plans, settings.plan)
    plan = plans[name]
    # Scores of later stages are mapped to the range of the first, so its model decides.
    cosine = settings.cosine if plan.stages[0].model in bi_encoders else None
    return Reranker(
        plan_name=name,
        plan=plan,
        cosine=cosine,
        scoring=scoring,
        deadline_s=settings.deadline_ms / 1000,
        max_tokens=settings.max_tokens,
    )
