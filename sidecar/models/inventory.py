"""What is known of the configured models' files, without loading any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.config import Model
from sidecar.models.prepared import Manifest, find_prepared, prepared_key, read_manifest
from sidecar.models.sources import find_weights

PREPARED_BACKENDS = frozenset({"openvino", "onnx"})


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model. `source` is None for one without weights, `prepared` for one not prepared."""

    name: str
    model: Model
    source: Path | None
    key: str | None
    """Name of the prepared folder; None for a backend that prepares nothing."""

    prepared: Path | None
    manifest: Manifest | None
    size: int
    """Bytes of what is served: of the prepared folder, or else of the weights' folder."""

    problem: str | None
    """Why it could not be served as things are, and what to do."""


def list_models(
    models: Mapping[str, Model], base_dir: Path, cache: Path | None
) -> list[ModelFiles]:
    """Every model in the order of the configuration; hub models may be downloaded."""
    return [_look(name, model, base_dir, cache) for name, model in models.items()]


def _look(name: str, model: Model, base_dir: Path, cache: Path | None) -> ModelFiles:
    source = key = prepared = manifest = problem = None
    if model.backend != "fake":
        try:
            source = find_weights(model, base_dir)
            if model.backend in PREPARED_BACKENDS:
                key = prepared_key(model, source)
                prepared = find_prepared(key, cache)
                manifest = read_manifest(prepared) if prepared else None
        except (ImportError, OSError, ValueError) as error:
            problem = str(error)
    served = prepared or source
    size = sum(path.stat().st_size for path in served.rglob("*") if path.is_file()) if served else 0
    return ModelFiles(name, model, source, key, prepared, manifest, size, problem)
