"""Loads prepared models before the workers are forked, so that these share their memory.

A compiled graph with the code for its shapes takes 75 MB with all-MiniLM-L6-v2, and its tokenizer 8
MB. Nothing writes to them after the warm-up but each call's own numbers.

Only graphs of OpenVINO that compute in one thread are preloaded: a fork does not copy threads. The
others are prepared, and each worker loads them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Final

from sidecar.config.models import Model
from sidecar.models.backends.graphs import GraphBiEncoder
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import prepared_key, read_manifest
from sidecar.models.prepared_backends import GraphBackend, default_threads
from sidecar.models.sources import find_weights
from sidecar.models.spreads import measure_spread
from sidecar.models.students.readings import MOST_READINGS, write_readings
from sidecar.models.verdicts import load_judged, read_scores

Preloaded = Mapping[str, tuple[GraphBackend, float]]
"""Models and their spreads, by the key of their prepared folder; each computes in one thread."""

NONE_PRELOADED: Final[Preloaded] = MappingProxyType({})

_log = logging.getLogger(__name__)


class PreloadError(Exception):
    """A model cannot be used, so no worker starts; `reason` is the cause."""

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(f"model {name!r}: {reason or type(reason).__name__}")


def preload_models(
    models: Mapping[str, Model],
    base_dir: Path,
    cache: Path | None,
    students: Container[str],
    report: Callable[[str], None],
) -> Preloaded:
    """Prepare all models that need it, and load those that workers can share. Blocks for seconds.

    The arguments are those of `load_models`. Raises PreloadError.
    """
    preloaded: dict[str, tuple[GraphBackend, float]] = {}
    for name, model in models.items():
        if model.kind == "static" or model.backend not in ("openvino", "onnx"):
            continue
        try:
            source = find_weights(model, base_dir)
            key = prepared_key(model, source)
            if model.backend == "onnx" or not _in_one_thread(model):
                prepare_model(model, source, key, cache, _teller(name, report))
                continue
            if key not in preloaded:
                preloaded[key] = load_prepared_model(
                    name, model, cache, report, None, NONE_PRELOADED, source
                )
            backend, _ = preloaded[key]
            if name in students and isinstance(backend, GraphBiEncoder):
                begin_readings(name, backend, report)
        except Exception as error:
            raise PreloadError(name, error) from error
    return preloaded


def load_prepared_model(
    name: str,
    model: Model,
    cache: Path | None,
    report: Callable[[str], None],
    stopping: Event | None,
    preloaded: Preloaded,
    source: Path,
) -> tuple[GraphBackend, float]:
    """A model that is prepared now if it is not yet, and its spread.

    `source`: the folder of its weights. Raises what `prepare_model` and `load_judged` raise.
    """
    key = prepared_key(model, source)
    if key in preloaded and _in_one_thread(model):
        return preloaded[key]
    folder = prepare_model(model, source, key, cache, _teller(name, report), stopping)
    backend = load_judged(
        folder,
        read_manifest(folder),
        key,
        model.threads,
        lambda step: report(f"model {name}: {step}"),
        cache,
    )
    return backend, measure_spread(read_scores(folder))


def begin_readings(name: str, backend: GraphBiEncoder, report: Callable[[str], None]) -> None:
    """Read each word piece, where a student begins, unless that was done before."""
    if backend.readings.is_file():
        return
    if not os.access(backend.readings.parent, os.W_OK):
        _log.warning(
            "model %s: its student begins with lessons alone, as %s cannot be written;"
            " `sidecar models prepare` also reads the word pieces",
            *(name, backend.readings.parent),
        )
        return
    report(f"model {name}: reading each word piece for its student, once")
    try:
        write_readings(backend.read_each_piece(MOST_READINGS), backend.readings)
    except OSError as error:
        _log.warning("model %s: its student begins with lessons alone: %s", name, error)


def _in_one_thread(model: Model) -> bool:
    return (model.threads or default_threads()) == 1


def _teller(name: str, report: Callable[[str], None]) -> Callable[[str], None]:
    return lambda step: report(f"preparing model {name}: {step}")
