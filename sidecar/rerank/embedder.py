"""Texts in, one vector each: shared by all embedding APIs, on top of the loaded bi-encoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DeadlinePassed, RescoreError
from pipelines.plan import Plan
from sidecar.api.doors import LoadedModels
from sidecar.config.rerank import RerankApis
from sidecar.document_scoring import NotReady
from sidecar.rerank.body import run_off_loop
from sidecar.rerank.refusals import RETRY_SECONDS, Refusal, refusal_of
from sidecar.rerank.request import check_count
from sidecar.rerank.token_counts import count_text_tokens

_ON_THE_LOOP = 4096
"""Characters whose tokens are counted within a millisecond; for more, a thread does it."""


@dataclass(frozen=True, slots=True)
class TextVectors:
    """One vector of length 1 for each text, the tokens of all texts, and the model's name."""

    vectors: list[NDArray[np.float32]]
    tokens: int
    model: str

    @property
    def dimensions(self) -> int:
        return len(self.vectors[0])


@dataclass(frozen=True, slots=True)
class Embedder:
    """Reads texts with a bi-encoder. `models` returns None while they are being loaded."""

    default_model: str
    names: frozenset[str]
    models: Callable[[], LoadedModels | None]
    deadline_s: float
    max_texts: int
    max_tokens: int

    async def embed(
        self, texts: Sequence[str], *, model: str | None, dimensions: int | None, as_queries: bool
    ) -> TextVectors:
        """The vectors of these texts, by the bi-encoder `model` if there is one of this name.

        A text longer than the model reads is cut there. All or nothing: raises Refusal `too_many`,
        `starting`, `overload`, `deadline` or `model` unless every text was read, and `invalid` if
        the model's vectors do not have this number of dimensions.
        """
        deadline = time.monotonic() + self.deadline_s
        check_count(len(texts), self.max_texts, "texts")
        tokens = await run_off_loop(
            sum(map(len, texts)), lambda: count_text_tokens(texts), _ON_THE_LOOP
        )
        if tokens > self.max_tokens:
            raise Refusal(
                "too_many",
                f"the request has about {tokens} tokens, at most {self.max_tokens} are allowed",
            )
        name = model if model in self.names else self.default_model
        try:
            models = self.models()
            bi_encoder = None if models is None else models.bi_encoder(name)
            if bi_encoder is None:
                raise NotReady("the models are still being loaded; try again in a few seconds")
            if dimensions not in (None, bi_encoder.dimensions):
                # Only models trained for it have vectors that may be cut; no model's files say so.
                why = f"dimensions must be {bi_encoder.dimensions}, as the model has them"
                raise Refusal("invalid", why)
            vectors = await bi_encoder.embed(texts, deadline, as_queries=as_queries)
        except DeadlinePassed:
            message = "not all texts could be read in time; send fewer, or try again"
            raise Refusal("deadline", message, RETRY_SECONDS) from None
        except RescoreError as error:
            raise refusal_of(error) from error
        return TextVectors(vectors, tokens, name)


def build_embedder(
    settings: RerankApis,
    plan: Plan,
    bi_encoders: frozenset[str],
    models: Callable[[], LoadedModels | None],
) -> Embedder | None:
    """The configured embedder, None if there is no bi-encoder or the paths are switched off.

    `plan` is the reranker's. Raises ValueError if the configured model is not a bi-encoder.
    """
    if settings.embeddings is None:
        return None
    name = settings.embeddings.model
    if name is None:
        own = [stage.model for stage in plan.stages if stage.model in bi_encoders]
        name = next(iter([*own, *sorted(bi_encoders)]), None)
    elif name not in bi_encoders:
        known = ", ".join(sorted(bi_encoders)) or "none"
        raise ValueError(f"there is no bi-encoder {name!r}; the bi-encoders are: {known}")
    if name is None:
        return None
    return Embedder(
        default_model=name,
        names=bi_encoders,
        models=models,
        deadline_s=settings.deadline_ms / 1000,
        max_texts=settings.embeddings.max_texts,
        max_tokens=settings.max_tokens,
    )
