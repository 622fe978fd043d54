"""Answers calls of the rerank and embedding APIs from loaded models, within bounds.

The forms of requests and answers, and the bounds, are those of the api listener's rerank door. What
differs: `model` chooses a model of the configuration, and each text is read as a whole, up to the
model's own limit, because the sidecar that calls has already cut documents into passages.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pipelines.errors import RescoreError
from sidecar.config.rerank import Embeddings, RerankApis
from sidecar.logits import write_logits
from sidecar.ray.batching import Batch, BatchedModel, PairCall, ReplicaModels, VectorCall
from sidecar.rerank.answer import RerankAnswer, rank, write_json
from sidecar.rerank.body import run_off_loop
from sidecar.rerank.callers import find_bearer
from sidecar.rerank.embedder import TextVectors
from sidecar.rerank.embedding_forms import EMBEDDING_PATHS, EmbeddingForm
from sidecar.rerank.forms import PATHS, ApiForm, choose_form
from sidecar.rerank.refusals import RETRY_SECONDS, Refusal, refusal_of
from sidecar.rerank.request import check_count, parse_object
from sidecar.rerank.token_counts import count_pair_tokens, count_text_tokens

_ON_THE_LOOP: Final = 4096
"""Characters whose tokens are counted within a millisecond; for more, a thread does it."""

_NUMBER_BYTES: Final = 12
_ENTRY_BYTES: Final = 100
"""About what a number and a document add to an answer."""

Kind = Literal["bi-encoder", "cross-encoder", "static"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """An HTTP request whose body has not been read yet."""

    method: str
    path: str
    authorization: str | None
    content_length: int | None
    content_encoding: str | None
    body: AsyncIterator[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response with JSON."""

    status: int
    text: str
    fields: Mapping[str, str]


class Answering:
    """Answers all calls of one replica. Belongs to one event loop."""

    def __init__(
        self,
        settings: RerankApis,
        kinds: Mapping[str, Kind],
        models: ReplicaModels,
        batch: Batch,
    ) -> None:
        """`kinds`: what each loaded model is, by name, in the order of the configuration."""
        self._settings = settings
        self._keys = settings.bearer.keys if settings.bearer is not None else {}
        self._max_texts = (settings.embeddings or Embeddings()).max_texts
        self._deadline_s = settings.deadline_ms / 1000
        self._kinds = kinds
        self._models = {name: BatchedModel(name, models, batch) for name in kinds}

    async def answer(self, call: HttpCall) -> HttpAnswer:
        """The answer, or the error in the form of the path's API."""
        path = call.path.rstrip("/")
        form = PATHS.get(path) or EMBEDDING_PATHS.get(path)
        if form is None:
            return _error(404, {"message": "there is no such path"})
        if call.method != "POST":
            return _error(405, {"message": "send a POST request"}, {"Allow": "POST"})
        try:
            find_bearer(self._keys, call.authorization)
            deadline = asyncio.get_running_loop().time() + self._deadline_s
            body = await self._receive(call, deadline)
            members = await run_off_loop(len(body), lambda: parse_object(body))
            if isinstance(form, ApiForm):
                form = choose_form(form, members)
                text = await self._rerank(form, members, len(body), deadline)
            else:
                text = await self._embed(form, members, len(body), deadline)
        except Refusal as refusal:
            return _refuse(form, refusal)
        except Exception:
            # Its text may hold texts of the request.
            _log.error("a call failed: an error within the replica", exc_info=False)
            return _refuse(form, Refusal("internal", "an error within the replica"))
        return HttpAnswer(200, text, {})

    async def _receive(self, call: HttpCall, deadline: float) -> bytes:
        most = self._settings.max_body_bytes
        too_large = Refusal("too_large", f"the body has more than {most} bytes")
        if (call.content_encoding or "identity").strip().lower() != "identity":
            raise Refusal("malformed", "send the body without a content coding")
        if (call.content_length or 0) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout_at(deadline):
                async for part in call.body:
                    body += part
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise Refusal("late", "the body did not arrive in time") from None
        return bytes(body)

    async def _rerank(
        self, form: ApiForm, members: Mapping[str, Any], size: int, deadline: float
    ) -> str:
        request = await run_off_loop(size, lambda: form.read(members))
        check_count(len(request.documents), self._settings.max_documents)
        name = self._choose(request.model, lambda _: True)
        tokens = await run_off_loop(
            len(request.query) + sum(map(len, request.documents)),
            lambda: count_pair_tokens(request.query, request.documents),
            _ON_THE_LOOP,
        )
        self._check_tokens(tokens)
        call = PairCall(request.query, request.documents, deadline)
        try:
            scores = await self._models[name].scores(call)
        except RescoreError as error:
            raise refusal_of(error) from error
        cosine = None if self._kinds[name] == "cross-encoder" else self._settings.cosine
        logits = tuple(write_logits(scores, cosine))
        answer = RerankAnswer(
            request=request,
            indices=rank(logits, request.top_n),
            logits=logits,
            tokens=tokens,
            model=name,
            identifier=str(uuid.uuid4()),
            created=int(time.time()),
        )
        written = size if request.return_documents else _ENTRY_BYTES * len(logits)
        return await run_off_loop(written, lambda: write_json(form.write(answer)))

    async def _embed(
        self, form: EmbeddingForm, members: Mapping[str, Any], size: int, deadline: float
    ) -> str:
        request = await run_off_loop(size, lambda: form.read(members))
        check_count(len(request.texts), self._max_texts, "texts")
        name = self._choose(request.model, lambda kind: kind != "cross-encoder")
        model = self._models[name]
        if request.dimensions not in (None, model.dimensions):
            why = f"dimensions must be {model.dimensions}, as the model has them"
            raise Refusal("invalid", why)
        tokens = await run_off_loop(
            sum(map(len, request.texts)), lambda: count_text_tokens(request.texts), _ON_THE_LOOP
        )
        self._check_tokens(tokens)
        try:
            vectors = await model.vectors(VectorCall(request.texts, request.as_queries, deadline))
        except RescoreError as error:
            raise refusal_of(error) from error
        answer = TextVectors(vectors, tokens, name)
        written = _NUMBER_BYTES * len(vectors) * answer.dimensions
        return await run_off_loop(written, lambda: form.write(request, answer))

    def _choose(self, asked: str | None, fits: Callable[[Kind], bool]) -> str:
        """The model that a request names, or the first that fits; raises Refusal."""
        names = [name for name, kind in self._kinds.items() if fits(kind)]
        if not names:
            raise Refusal("invalid", "no model here gives vectors")
        if not asked:
            return names[0]
        if asked not in names:
            # Unlike the api listener, which any client may call with the name of its own model:
            # vectors of two models must not be mixed.
            raise Refusal("invalid", f"model must be one of: {', '.join(names)}")
        return asked

    def _check_tokens(self, tokens: int) -> None:
        most = self._settings.max_tokens
        if tokens > most:
            why = f"the request has about {tokens} tokens, at most {most} are allowed"
            raise Refusal("too_many", why)


def _refuse(form: ApiForm | EmbeddingForm, refusal: Refusal) -> HttpAnswer:
    status, body = form.write_error(refusal.cause, refusal.message)
    fields = {"WWW-Authenticate": "Bearer"} if refusal.cause == "unauthorized" else {}
    if refusal.cause == "overload":
        fields["Retry-After"] = str(refusal.retry_after_s or RETRY_SECONDS)
    return HttpAnswer(status, write_json(body), fields)


def _error(
    status: int, body: Mapping[str, object], fields: Mapping[str, str] | None = None
) -> HttpAnswer:
    return HttpAnswer(status, write_json(body), fields or {})
