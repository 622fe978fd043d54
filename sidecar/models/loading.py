"""From configuration to loaded, warm models, at start; the one file that names every backend."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from urllib.parse import quote

from sidecar.config import Model
from sidecar.metrics import Metrics
from sidecar.models.backends.base import BiEncoderBackend, CrossEncoderBackend
from sidecar.models.backends.fake import FakeBiEncoder, FakeCrossEncoder
from sidecar.models.backends.graphs import GraphBiEncoder, GraphCrossEncoder
from sidecar.models.backends.sentence_transformers import (
    SentenceTransformersBiEncoder,
    SentenceTransformersCrossEncoder,
)
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import prepared_key, read_manifest
from sidecar.models.prepared_backends import load_prepared
from sidecar.models.scheduling import CHUNK_TEXTS
from sidecar.models.scorers import BiEncoderScorer, CrossEncoderScorer, Models, TextScorer
from sidecar.models.sources import content_digest, find_weights

_MEBIBYTE = 2**20
# The first texts a model reads take far longer than any later ones; no search should pay that.
_WARM_UP = ("the quick brown fox jumps over the lazy dog",) * CHUNK_TEXTS

_LoadPrepared = Callable[[Path], GraphBiEncoder | GraphCrossEncoder]

_log = logging.getLogger(__name__)


class ModelLoadError(Exception):
    """A model that cannot be used; the start stops here."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name!r}: {reason}")
        self.name = name
        self.reason = reason


def load_models(
    models: Mapping[str, Model],
    base_dir: Path,
    metrics: Metrics,
    *,
    cache: Path | None = None,
    passage_store_mb: int = 256,
    owns_cache: bool = True,
    keep_vectors: bool = True,
    report: Callable[[str], None] = _log.info,
    stopping: Event | None = None,
) -> Models:
    """Load every model and let it read a few texts. Blocks for seconds; start no search before.

    A model that has to be prepared and is not is prepared now, which takes far longer; `report`
    is told each step, and it is given up once `stopping` is set. `base_dir` is the folder of the
    configuration file. Bi-encoders share `passage_store_mb` (MiB) in equal parts, and keep their
    vectors in `cache` when there is one. `owns_cache=False` only adds to what is there,
    `keep_vectors=False` leaves it alone.

    Raises ModelLoadError for the first model that cannot be used; none stays open then.
    """
    bi_encoders = sum(model.kind == "bi-encoder" for model in models.values())
    store_bytes = passage_store_mb * _MEBIBYTE // max(1, bi_encoders)
    loaded: dict[str, TextScorer] = {}
    try:
        for name, model in models.items():
            started = time.monotonic()
            prepared = functools.partial(_load_prepared, name, model, cache, report, stopping)
            loaded[name] = _load(
                name,
                model,
                base_dir,
                metrics,
                _vectors_folder(name, cache) if keep_vectors else None,
                store_bytes,
                owns_cache,
                prepared,
            )
            _log.info("model %s is ready after %.1f s", name, time.monotonic() - started)
    except Exception as error:
        Models(loaded).close()
        raise ModelLoadError(name, _reason(error)) from error
    return Models(loaded)


def _load(
    name: str,
    model: Model,
    base_dir: Path,
    metrics: Metrics,
    vectors: Path | None,
    store_bytes: int,
    owner: bool,
    prepared: _LoadPrepared,
) -> TextScorer:
    if model.kind == "cross-encoder":
        pairs = _load_cross_encoder(model, base_dir, prepared)
        pairs.score_pairs(_WARM_UP[0], _WARM_UP)
        return CrossEncoderScorer(name, pairs, metrics)
    backend = _load_bi_encoder(model, base_dir, prepared)
    backend.embed_passages(_WARM_UP)
    backend.embed_queries(_WARM_UP[:1])
    store = PassageStore(backend.dimensions, store_bytes, tell_fresh=vectors is not None)
    if vectors is None:
        return BiEncoderScorer(name, backend, store, metrics)
    vectors.mkdir(parents=True, exist_ok=True)
    if not os.access(vectors, os.W_OK):  # better known now than when there is something to save
        raise PermissionError(f"the cache folder {vectors} cannot be written")
    keeper = PassageKeeper(store, backend.identity, vectors, owner=owner)
    return BiEncoderScorer(name, backend, store, metrics, keeper)


def _vectors_folder(name: str, cache: Path | None) -> Path | None:
    return None if cache is None else cache / f"model-{quote(name, safe='')}"


def _load_bi_encoder(model: Model, base_dir: Path, prepared: _LoadPrepared) -> BiEncoderBackend:
    if model.backend == "fake":
        return FakeBiEncoder()
    folder = find_weights(model, base_dir)
    if model.backend == "sentence-transformers":
        settings = f"{content_digest(folder)} max_tokens={model.max_tokens}"
        identity = hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()
        return SentenceTransformersBiEncoder(folder, identity, model.max_tokens)
    backend = prepared(folder)
    assert isinstance(backend, GraphBiEncoder)
    return backend


def _load_cross_encoder(
    model: Model, base_dir: Path, prepared: _LoadPrepared
) -> CrossEncoderBackend:
    if model.backend == "fake":
        return FakeCrossEncoder()
    folder = find_weights(model, base_dir)
    if model.backend == "sentence-transformers":
        return SentenceTransformersCrossEncoder(folder, model.max_tokens)
    backend = prepared(folder)
    assert isinstance(backend, GraphCrossEncoder)
    return backend


def _load_prepared(
    name: str,
    model: Model,
    cache: Path | None,
    report: Callable[[str], None],
    stopping: Event | None,
    source: Path,
) -> GraphBiEncoder | GraphCrossEncoder:
    def tell(step: str) -> None:
        report(f"model {name} is prepared, once: {step}")

    key = prepared_key(model, source)
    folder = prepare_model(model, source, key, cache, tell, stopping)
    return load_prepared(folder, read_manifest(folder), key, model.threads)


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}; run: pip install 'sentence-transformers>=5.2,<7'"
    return str(error) or type(error).__name__
