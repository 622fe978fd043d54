"""Loads and warms up the configured models at start; the only file that names every backend."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from urllib.parse import quote

from sidecar.config.main_file import Model, find_bi_encoders
from sidecar.config.passage_store import PassageStoreSettings
from sidecar.metrics import Metrics
from sidecar.models.backends.base import BiEncoderBackend, CrossEncoderBackend, PieceReader
from sidecar.models.backends.fake import FakeBiEncoder, FakeCrossEncoder
from sidecar.models.backends.graphs import GraphBiEncoder, GraphCrossEncoder
from sidecar.models.backends.sentence_transformers import (
    SentenceTransformersBiEncoder,
    SentenceTransformersCrossEncoder,
)
from sidecar.models.backends.static import StaticBiEncoder
from sidecar.models.known_models import NO_READING, find_reading
from sidecar.models.missing_library import missing_library
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore
from sidecar.models.preloading import (
    NONE_PRELOADED,
    Preloaded,
    begin_readings,
    load_prepared_model,
)
from sidecar.models.preparing.parity import bundled_texts, score_all
from sidecar.models.remote.backends import (
    BATCH,
    Remote,
    RemoteBiEncoder,
    RemoteCrossEncoder,
    connect,
)
from sidecar.models.remote.service_client import CONNECTIONS
from sidecar.models.scheduling import CHUNK_TEXTS, Schedule
from sidecar.models.scorers import BiEncoderScorer, Models
from sidecar.models.shared_store.connecting import open_shared_client
from sidecar.models.shared_store.shared_vectors import SharedVectors
from sidecar.models.sources import content_digest, find_table, find_weights
from sidecar.models.spreads import FAKE_SPREAD, keep_spread
from sidecar.models.students.teacher import Teacher
from sidecar.models.text_scorer import TextScorer

_MEBIBYTE = 2**20
# The part of a model's memory for vectors that its student's vectors get.
_STUDENT_PART = 8
# A model reads its first texts far slower than later ones; no search should wait for that.
_WARM_UP = ("the quick brown fox jumps over the lazy dog",) * CHUNK_TEXTS

_LoadPrepared = Callable[[Path], tuple[GraphBiEncoder | GraphCrossEncoder, float]]
"""Loads the model of a folder of weights, and its spread."""

_log = logging.getLogger(__name__)


class ModelLoadError(Exception):
    """A model cannot be used, so the sidecar does not start."""

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
    shared_store: PassageStoreSettings | None = None,
    owns_cache: bool = True,
    keep_vectors: bool = True,
    students: Container[str] = (),
    report: Callable[[str], None] = _log.info,
    stopping: Event | None = None,
    kept: Models | None = None,
    former: Models | None = None,
    teaches: bool = True,
    preloaded: Preloaded = NONE_PRELOADED,
) -> Models:
    """Load every model and run it once. Blocks for seconds; call it before the first search.

    A model that needs preparation and has none is prepared now, which takes far longer; `report`
    gets each step, and `stopping` ends it. `base_dir` is the folder of the configuration file.
    Bi-encoders share `passage_store_mb` (MiB) in equal parts. If there is a `cache`, their vectors
    are stored in it; with `owns_cache=False` this process only adds to them, and with
    `keep_vectors=False` it neither reads nor writes them, nor those of `shared_store`, the section
    `passage_store` of the main file, if that names a server. `students` names the models that get a
    student; with `owns_cache=False` it is taught only when it is asked to be, and without `teaches`
    by another process that has the same cache. `preloaded` are models that may be used instead of
    loading them again. Models of `kept` are used as they are. Without `kept`, a remote model's
    service that cannot be reached is tried again until `stopping` is set. A bi-encoder that
    replaces the one of the same name in `former`, and makes the same vectors, gets its vectors.

    Raises ModelLoadError for the first model that cannot be used, and closes the others that it has
    loaded.
    """
    bi_encoders = len(find_bi_encoders(models))
    store_bytes = passage_store_mb * _MEBIBYTE // max(1, bi_encoders)
    loaded: dict[str, TextScorer] = {}
    try:
        for name, model in models.items():
            if kept is not None and name in kept:
                continue
            started = time.monotonic()
            prepared = functools.partial(
                load_prepared_model, name, model, cache, report, stopping, preloaded
            )
            waiting = stopping if kept is None else None
            remote = functools.partial(
                connect, name, model, base_dir, metrics, cache, report, waiting
            )
            loaded[name] = _load(
                name,
                model,
                base_dir,
                metrics,
                _vectors_folder(name, cache) if keep_vectors else None,
                store_bytes,
                owns_cache,
                prepared,
                remote,
                cache,
                name in students,
                teaches,
                report,
                shared_store if keep_vectors else None,
            )
            _take_vectors(name, loaded[name], former)
            _log.info("model %s is ready after %.1f s", name, time.monotonic() - started)
    except Exception as error:
        Models(loaded).close()
        raise ModelLoadError(name, _reason(error)) from error
    return Models(loaded) if kept is None else kept.joined(loaded, models)


def _take_vectors(name: str, scorer: TextScorer, former: Models | None) -> None:
    """Copy the vectors that the former model of this name has made, if they are the same."""
    old = former.bi_encoder(name) if former is not None else None
    if old is not None and isinstance(scorer, BiEncoderScorer) and old.identity == scorer.identity:
        scorer.store.restore(old.store.snapshot_in_steps())


def _load(
    name: str,
    model: Model,
    base_dir: Path,
    metrics: Metrics,
    vectors: Path | None,
    store_bytes: int,
    owner: bool,
    prepared: _LoadPrepared,
    remote: Callable[[], Remote],
    cache: Path | None,
    has_student: bool,
    teaches: bool,
    report: Callable[[str], None],
    shared_store: PassageStoreSettings | None,
) -> TextScorer:
    if model.kind == "cross-encoder":
        pairs, spread = _load_cross_encoder(model, base_dir, prepared, remote, cache)
        if model.backend != "remote":
            pairs.score_pairs(_WARM_UP[0], _WARM_UP)
        return CrossEncoderScorer(
            name, pairs, metrics, spread=spread, schedule=_schedule(name, model, metrics)
        )
    backend, spread = _load_bi_encoder(model, base_dir, prepared, remote, cache)
    if model.backend != "remote":
        backend.embed_passages(_WARM_UP)
        backend.embed_queries(_WARM_UP[:1])
    if vectors is not None:
        vectors.mkdir(parents=True, exist_ok=True)
        if not os.access(vectors, os.W_OK):  # fail now, not at the first save
            raise PermissionError(f"the cache folder {vectors} cannot be written")
    teacher: Teacher | None = None
    if has_student and isinstance(backend, PieceReader) and _has_pieces(name, backend):
        if isinstance(backend, GraphBiEncoder):
            begin_readings(name, backend, report)
        memory = store_bytes // _STUDENT_PART
        store_bytes -= memory
        teacher = Teacher(
            name,
            backend.identity,
            backend.dimensions,
            backend.read_pieces,
            memory,
            metrics,
            vectors,
            in_background=owner,
            teaches=teaches or vectors is None,
            readings=backend.readings if isinstance(backend, GraphBiEncoder) else None,
            rules=backend.piece_rules(),
        )
    store = PassageStore(backend.dimensions, store_bytes, track_new=vectors is not None)
    shared = _share(name, backend.identity, store, shared_store, base_dir, metrics)
    keeper = None
    if vectors is not None:
        keeper = PassageKeeper(store, backend.identity, vectors, owner=owner)
    return BiEncoderScorer(
        name,
        backend,
        store,
        metrics,
        keeper,
        spread=spread,
        teacher=teacher,
        schedule=_schedule(name, model, metrics),
        shared=shared,
    )


def _schedule(name: str, model: Model, metrics: Metrics) -> Schedule:
    if model.backend == "remote":
        return Schedule(
            name, metrics, threads=CONNECTIONS, batch=model.batch or BATCH, backend_logs=True
        )
    return Schedule(name, metrics)


def _share(
    name: str,
    identity: str,
    store: PassageStore,
    settings: PassageStoreSettings | None,
    base_dir: Path,
    metrics: Metrics,
) -> SharedVectors | None:
    if settings is None or settings.url is None:
        return None
    return SharedVectors(
        name,
        identity,
        store,
        open_shared_client(settings, base_dir),
        metrics,
        timeout_s=settings.timeout_ms / 1000,
        ttl_s=settings.ttl_days * 86_400,
    )


def _has_pieces(name: str, backend: PieceReader) -> bool:
    """Whether the backend can say which pieces a text has; some old tokenizers cannot."""
    try:
        backend.read_pieces(_WARM_UP[:1])
    except Exception as error:
        _log.warning("model %s has no student, as its tokenizer is of an old kind: %s", name, error)
        return False
    return True


def _vectors_folder(name: str, cache: Path | None) -> Path | None:
    return None if cache is None else cache / f"model-{quote(name, safe='')}"


def _load_bi_encoder(
    model: Model,
    base_dir: Path,
    prepared: _LoadPrepared,
    remote: Callable[[], Remote],
    cache: Path | None,
) -> tuple[BiEncoderBackend, float]:
    if model.backend == "fake":
        return FakeBiEncoder(), FAKE_SPREAD
    if model.backend == "remote":
        service = remote()
        assert isinstance(service, RemoteBiEncoder)
        return service, service.spread
    if model.kind == "static":
        table = StaticBiEncoder(find_table(model, base_dir), model.max_tokens)
        score = functools.partial(score_all, table, *bundled_texts("bi-encoder"))
        return table, keep_spread(cache, table.identity, score)
    folder = find_weights(model, base_dir)
    if model.backend == "sentence-transformers":
        reading = find_reading(model, folder)
        settings = f"{content_digest(folder)} max_tokens={model.max_tokens}"
        if (prompts := replace(reading, pooling=None)) != NO_READING:
            settings += f" {prompts}"
        identity = hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()
        vectors = SentenceTransformersBiEncoder(folder, identity, model.max_tokens, reading)
        score = functools.partial(score_all, vectors, *bundled_texts(model.kind))
        return vectors, keep_spread(cache, identity, score)
    backend, spread = prepared(folder)
    assert isinstance(backend, GraphBiEncoder)
    return backend, spread


def _load_cross_encoder(
    model: Model,
    base_dir: Path,
    prepared: _LoadPrepared,
    remote: Callable[[], Remote],
    cache: Path | None,
) -> tuple[CrossEncoderBackend, float]:
    if model.backend == "fake":
        return FakeCrossEncoder(), FAKE_SPREAD
    if model.backend == "remote":
        service = remote()
        assert isinstance(service, RemoteCrossEncoder)
        return service, service.spread
    folder = find_weights(model, base_dir)
    if model.backend == "sentence-transformers":
        settings = f"{content_digest(folder)} max_tokens={model.max_tokens} pairs"
        identity = hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()
        pairs = SentenceTransformersCrossEncoder(folder, model.max_tokens)
        score = functools.partial(score_all, pairs, *bundled_texts(model.kind))
        return pairs, keep_spread(cache, identity, score)
    backend, spread = prepared(folder)
    assert isinstance(backend, GraphCrossEncoder)
    return backend, spread


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return missing_library(error)
    return str(error) or type(error).__name__
