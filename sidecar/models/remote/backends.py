"""What a bi-encoder and a cross-encoder ask a service; connects to it at start."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from sidecar.config.models import Model
from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.preparing.parity import bundled_texts
from sidecar.models.remote.probes import PROBES, find_identity, is_same_model
from sidecar.models.remote.service_client import CallFailed, ServiceClient
from sidecar.models.remote.service_tls import build_service_tls
from sidecar.models.remote.wires import Wire, find_address, read_tensors
from sidecar.models.spreads import measure_spread

BATCH = 16
"""Texts of one call if the configuration does not say it."""

_TIMEOUT_MS = 5000
_RETRY_S = 1.0
# A bound for an answer: numbers have up to 25 characters, and some services repeat the texts.
_BYTES = 65_536
_VECTOR_BYTES = 25 * 8192
_SCORE_BYTES = 4096
_REPEATED = 8
# Fewer than for a local model: a service may be far away.
_SPREAD_QUERIES = 3
_SPREAD_PASSAGES = 16
# A logit whose probability is closer to 0 or 1 is not distinguished.
_LEAST_PROBABILITY = 1e-9


class ServiceError(ValueError):
    """The service cannot be used as it is configured; the message says what to change."""


class RemoteBiEncoder:
    """A bi-encoder behind a service.

    After each new connection, the service must show that it still has the same model: it reads
    `PROBES` again before an answer counts. So vectors of two models never mix in the store.
    """

    def __init__(self, model: Model, wire: Wire, client: ServiceClient, cache: Path | None) -> None:
        """Ask for the vectors of `PROBES`. Raises CallFailed."""
        self._wire = wire
        self._client = client
        self._batch = model.batch or BATCH
        self._prompts = (model.query_prompt or "", model.passage_prompt or "")
        self._lock = threading.Lock()
        self._probes = self._try_all(PROBES)
        self._verified = client.connections_made
        queries, passages = bundled_texts("bi-encoder")
        vectors = self._try_all([self._prompts[1] + text for text in passages[:_SPREAD_PASSAGES]])
        asked = self._try_all([self._prompts[0] + text for text in queries[:_SPREAD_QUERIES]])
        self.spread = measure_spread(asked @ vectors.T)
        """Spread of its scores."""
        settings = json.dumps([model.source, *self._prompts])
        self.identity = find_identity(settings, self._probes, cache)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._probes.shape[1])

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._embed([self._prompts[0] + text for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._embed([self._prompts[1] + text for text in texts])

    def close(self) -> None:
        self._client.close()

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        parts = [
            self._ask(texts[at : at + self._batch]) for at in range(0, len(texts), self._batch)
        ]
        return np.concatenate(parts)

    def _ask(self, texts: Sequence[str]) -> FloatArray:
        def read(answer: Any) -> FloatArray:
            vectors = self._wire.read_vectors(answer, len(texts))
            if vectors.shape[1] != self.dimensions:
                raise _other_model(f"vectors have {vectors.shape[1]} dimensions")
            self._verify()
            return vectors

        return self._client.ask(self._wire.write_texts(texts), _vector_bytes(texts), read)

    def _verify(self) -> None:
        with self._lock:
            made = self._client.connections_made
            if made == self._verified:
                return
            if not is_same_model(self._try_all(PROBES), self._probes):
                raise _other_model("known texts have other vectors than at the start")
            self._verified = made

    def _try_all(self, texts: Sequence[str]) -> FloatArray:
        parts = [
            self._try(texts[at : at + self._batch]) for at in range(0, len(texts), self._batch)
        ]
        if len({part.shape[1] for part in parts}) > 1:
            raise CallFailed("answer", "vectors differ in length")
        return np.concatenate(parts)

    def _try(self, texts: Sequence[str]) -> FloatArray:
        return self._client.try_once(
            self._wire.write_texts(texts),
            _vector_bytes(texts),
            lambda answer: self._wire.read_vectors(answer, len(texts)),
        )


class RemoteCrossEncoder:
    """A cross-encoder behind a service; its scores become logits."""

    def __init__(self, model: Model, wire: Wire, client: ServiceClient) -> None:
        """Ask for scores of known pairs, and check their scale. Raises CallFailed, ServiceError."""
        self._wire = wire
        self._client = client
        self._batch = model.batch or BATCH
        self._are_probabilities = model.scores == "probability"
        queries, passages = bundled_texts("cross-encoder")
        raw = np.stack(
            [
                np.concatenate(
                    [
                        self._try(query, passages[at : min(at + self._batch, _SPREAD_PASSAGES)])
                        for at in range(0, _SPREAD_PASSAGES, self._batch)
                    ]
                )
                for query in queries[:_SPREAD_QUERIES]
            ]
        )
        _check_scale(raw, self._are_probabilities)
        self.spread = measure_spread(self._as_logits(raw))
        """Spread of its scores."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        parts = [
            self._ask(query_text, texts[at : at + self._batch])
            for at in range(0, len(texts), self._batch)
        ]
        return np.concatenate(parts)

    def close(self) -> None:
        self._client.close()

    def _ask(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        def read(answer: Any) -> FloatArray:
            scores = self._wire.read_scores(answer, len(texts))
            if self._are_probabilities and not _within_0_and_1(scores):
                raise _other_model("a score is no probability")
            return self._as_logits(scores)

        body = self._wire.write_pairs(query_text, texts)
        return self._client.ask(body, _score_bytes(query_text, texts), read)

    def _try(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return self._client.try_once(
            self._wire.write_pairs(query_text, texts),
            _score_bytes(query_text, texts),
            lambda answer: self._wire.read_scores(answer, len(texts)),
        )

    def _as_logits(self, scores: FloatArray) -> FloatArray:
        if self._are_probabilities:
            scores = np.clip(scores, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
            scores = np.log(scores / (1 - scores))
        return scores.astype(np.float32)


Remote = RemoteBiEncoder | RemoteCrossEncoder


def connect(
    name: str,
    model: Model,
    base_dir: Path,
    metrics: Metrics,
    cache: Path | None,
    report: Callable[[str], None],
    stopping: Event | None,
) -> Remote:
    """Connect to a model's service. Blocks.

    With `stopping`, a service that cannot be reached is tried again until it can be, or the event
    is set; without it, this raises. Raises ServiceError and OSError, with what to change.
    """
    assert model.url is not None
    assert model.api is not None
    address = find_address(model.url, model.api, model.kind, model.source)
    client = ServiceClient(
        name,
        address,
        model.key,
        build_service_tls(model, base_dir),
        (model.timeout_ms or _TIMEOUT_MS) / 1000,
        metrics,
    )
    was_told = False
    try:
        while True:
            try:
                return _connect(model, address, client, cache)
            except CallFailed as error:
                if not error.may_pass or stopping is None or stopping.is_set():
                    raise ServiceError(f"{address}: {error}") from None
                if not was_told:
                    report(f"model {name}: waiting for {address}: {error}")
                    was_told = True
            stopping.wait(_RETRY_S)
    except BaseException:
        client.close()
        raise


def _connect(model: Model, address: str, client: ServiceClient, cache: Path | None) -> Remote:
    assert model.api is not None
    tensors = None
    if model.api == "kserve-v2":
        tensors = client.try_once(
            None,
            _BYTES,
            lambda answer: read_tensors(answer, model.kind),
            address.removesuffix("/infer"),
        )
    wire = Wire(model.api, model.source, model.scores == "logit", tensors)
    if model.kind == "bi-encoder":
        return RemoteBiEncoder(model, wire, client, cache)
    return RemoteCrossEncoder(model, wire, client)


def _check_scale(scores: FloatArray, are_probabilities: bool) -> None:
    if are_probabilities and not _within_0_and_1(scores):
        raise ServiceError("its scores are not from 0 to 1; write scores: logit")
    if not are_probabilities and _within_0_and_1(scores):
        raise ServiceError("all its scores are from 0 to 1; write scores: probability")


def _within_0_and_1(scores: FloatArray) -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())


def _other_model(what: str) -> CallFailed:
    return CallFailed("other_model", f"the service has another model: {what}; restart the sidecar")


def _vector_bytes(texts: Sequence[str]) -> int:
    return _BYTES + len(texts) * _VECTOR_BYTES


def _score_bytes(query_text: str, texts: Sequence[str]) -> int:
    return _BYTES + len(texts) * _SCORE_BYTES + _REPEATED * (len(query_text) + sum(map(len, texts)))
