"""Documents in, one logit each: what all rerank APIs share, on top of `DocumentScoring`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import NoText, RescoreError
from pipelines.plan import Plan
from sidecar.config_rerank import CosineLogits, RerankApis
from sidecar.document_scoring import DocumentScoring, GivenDocument
from sidecar.logits import NO_TEXT, write_logits
from sidecar.rerank.refusals import Refusal, refusal_of
from sidecar.rerank.token_counts import count_pair_tokens

_DEFAULT_PLAN = "fused"

_ON_THE_LOOP = 4096
"""Characters whose tokens are counted in less than a millisecond; more goes to a thread."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One logit a document, in the order given, and the tokens of all pairs."""

    logits: tuple[float, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Reranker:
    """Scores texts by one plan. `cosine` None: the plan's first model gives logits itself."""

    plan_name: str
    plan: Plan
    cosine: CosineLogits | None
    scoring: DocumentScoring
    deadline_s: float
    max_tokens: int

    async def score(self, query: str, documents: Sequence[str]) -> Scored:
        """Score each document whole, by its best passages; one without text gets `NO_TEXT`.

        Raises Refusal `too_many`, `starting`, `overload`, `deadline` or `model`: either every
        document that has text is scored, or none.
        """
        texts = tuple(documents)
        if len(query) + sum(map(len, texts)) <= _ON_THE_LOOP:
            tokens = count_pair_tokens(query, texts)
        else:
            tokens = await asyncio.to_thread(count_pair_tokens, query, texts)
        if tokens > self.max_tokens:
            raise Refusal(
                "too_many",
                f"the request has about {tokens} tokens, at most {self.max_tokens} are allowed",
            )
        try:
            scores = await self.scoring.score(
                self.plan,
                query,
                [GivenDocument(text) for text in texts],
                self.deadline_s,
                whole=True,
            )
        except NoText:
            scores = [None] * len(texts)
        except RescoreError as error:
            raise refusal_of(error) from error
        logits = iter(write_logits([s for s in scores if s is not None], self.cosine))
        return Scored(tuple(NO_TEXT if s is None else next(logits) for s in scores), tokens)


def build_reranker(
    settings: RerankApis,
    plans: Mapping[str, Plan],
    bi_encoders: frozenset[str],
    scoring: DocumentScoring,
) -> Reranker:
    """The reranker that the settings ask for; `bi_encoders` names the models that give cosines.

    Raises ValueError when there is no such plan.
    """
    name = settings.plan or (_DEFAULT_PLAN if _DEFAULT_PLAN in plans else min(plans, default=None))
    if name is None or name not in plans:
        known = ", ".join(sorted(plans)) or "none"
        wanted = f"there is no plan {name!r}" if name else "rerank APIs need a plan"
        raise ValueError(f"{wanted}; the plans are: {known}")
    plan = plans[name]
    # Later scores are laid on the range of the first stage's: its model says what they are.
    cosine = settings.cosine if plan.stages[0].model in bi_encoders else None
    return Reranker(
        plan_name=name,
        plan=plan,
        cosine=cosine,
        scoring=scoring,
        deadline_s=settings.deadline_ms / 1000,
        max_tokens=settings.max_tokens,
    )
