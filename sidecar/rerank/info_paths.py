"""What clients ask before they rerank: `/info`, `/health`, `/ping` and the lists of models.

Dify's TEI plugin and RAGFlow read `/info`, Dify's Xinference plugin `/v1/models/ID`, Infinity's
client `/models`, and load balancers `/health`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from aiohttp import web

from sidecar.rerank.bearer_gate import BearerGate
from sidecar.rerank.errors import ErrorAnswer, write_error
from sidecar.rerank.refusals import Cause, Refusal

_MOST_ID: Final = 256
"""Maximum characters of a model's name in a path."""


@dataclass(frozen=True, slots=True)
class InfoForm:
    """The form of these paths."""

    api: str
    write_error: Callable[[Cause, str], ErrorAnswer]


INFO: Final = InfoForm("info", write_error)

Kind = Literal["rerank", "embedding"]


@dataclass(frozen=True, slots=True)
class ServedModels:
    """What the paths describe.

    `reranker` is the plan's name, `embedders` are the names of the bi-encoders. `version` is the
    sidecar's, `started` in seconds since 1970. `are_loaded` says whether models can be used.
    """

    reranker: str
    embedders: Sequence[str]
    max_documents: int
    max_tokens: int
    version: str
    started: int
    are_loaded: Callable[[], bool]

    def kinds(self) -> dict[str, Kind]:
        """What each model does, by name: the reranker first."""
        kinds: dict[str, Kind] = {self.reranker: "rerank"}
        for name in self.embedders:
            kinds.setdefault(name, "embedding")
        return kinds


class InfoPaths:
    """Answers these paths. `/health`, `/ping` and `/v1/cluster/auth` need no key, as in TEI, vLLM,
    Infinity and Xinference."""

    def __init__(self, gate: BearerGate, models: ServedModels) -> None:
        self._gate = gate
        self._models = models

    def routes(self) -> Sequence[web.RouteDef]:
        answers: Mapping[str, Callable[[], object]] = {
            "/info": partial(write_info, self._models),
            "/v1/models": partial(write_models, self._models, "rescore-sidecar"),
            # Infinity's client accepts no other owner.
            "/models": partial(write_models, self._models, "infinity"),
        }
        routes = [
            web.get(path + slash, partial(self._handle, answer))
            for path, answer in answers.items()
            for slash in ("", "/")
        ]
        return [
            *routes,
            web.get("/v1/cluster/auth", self._handle_auth),
            # Names of model hubs have a slash.
            web.get("/v1/models/{id:.+}", self._handle_model),
            web.get("/models/{id:.+}", self._handle_model),
            *(
                web.get(path + slash, self._handle_health)
                for path in ("/health", "/ping")
                for slash in ("", "/")
            ),
        ]

    async def _handle(self, answer: Callable[[], object], request: web.Request) -> web.Response:
        return self._gate.answer_get(request, INFO, answer)

    async def _handle_model(self, request: web.Request) -> web.Response:
        name = request.match_info["id"].removesuffix("/")
        return self._gate.answer_get(request, INFO, lambda: write_model(self._models, name))

    async def _handle_auth(self, _: web.Request) -> web.Response:
        # Xinference's client sends its key only if this path says so.
        return web.json_response({"auth": self._gate.has_keys})

    async def _handle_health(self, _: web.Request) -> web.Response:
        if not self._models.are_loaded():
            return web.json_response({"status": "loading"}, status=503)
        return web.json_response({"status": "ok", "unix": time.time()})


def write_info(models: ServedModels) -> dict[str, object]:
    """TEI's description of a server.

    Dify reads the first key of `model_type`, so the reranker is the only one. Texts are read in
    passages, in full, so the longest input is that of a request.
    """
    return {
        "model_id": models.reranker,
        "model_sha": None,
        "model_dtype": "float32",
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_concurrent_requests": 512,  # TEI's default; nothing here has this limit
        "max_input_length": models.max_tokens,
        "max_batch_tokens": models.max_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": models.max_documents,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "version": models.version,
        "sha": None,
        "docker_label": None,
    }


def write_models(models: ServedModels, owner: str) -> dict[str, object]:
    """The list of OpenAI, vLLM and Infinity."""
    return {
        "object": "list",
        "data": [_model(models, name, kind, owner) for name, kind in models.kinds().items()],
    }


def write_model(models: ServedModels, name: str) -> dict[str, object]:
    """One model, also in Xinference's members; raises Refusal `invalid`.

    Requests may name any model, so every name is one: without being a bi-encoder's, the reranker's.
    """
    if not 1 <= len(name) <= _MOST_ID:
        raise Refusal("invalid", f"a model's name has 1 to {_MOST_ID} characters")
    return _model(models, name, models.kinds().get(name, "rerank"), "rescore-sidecar")


def _model(models: ServedModels, name: str, kind: Kind, owner: str) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "created": models.started,
        "owned_by": owner,
        "root": name,
        "parent": None,
        "model_type": kind,
        "model_name": name,
        "model_uid": name,
        "max_tokens": models.max_tokens,
        "max_model_len": models.max_tokens,
        "stats": {},
        "backend": "rescore-sidecar",
        "capabilities": ["rerank" if kind == "rerank" else "embed"],
    }
