"""Lists the files of the configured models without loading any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.config.main_file import Model
from sidecar.models.prepared import Manifest, find_prepared, prepared_key, read_manifest
from sidecar.models.sources import find_weights
from sidecar.models.verdicts import Verdict, find_verdict


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of one model."""

    name: str
    model: Model
    source: Path | None
    """Folder of the weights; None for a model without weights."""

    key: str | None
    """Name of the prepared folder; None for a backend that prepares nothing."""

    prepared: Path | None
    """The prepared folder; None if the model is not prepared."""

    manifest: Manifest | None
    verdict: Verdict | None
    """How the model ranks on this processor; None before the gate has run on such a processor."""

    size: int
    """Bytes of the prepared folder, or of the weights' folder if there is none."""

    problem: str | None
    """Why the model cannot be served now, and what to do."""


def list_models(
    models: Mapping[str, Model], base_dir: Path, cache: Path | None
) -> list[ModelFiles]:
    """The files of every model, in the order of the configuration; may download hub models."""
    return [_find_files(name, model, base_dir, cache) for name, model in models.items()]


def _find_files(name: str, model: Model, base_dir: Path, cache: Path | None) -> ModelFiles:
    source = key = prepared = manifest = verdict = problem = None
    if model.has_files:
        try:
            source = find_weights(model, base_dir)
            if model.is_prepared:
                key = prepared_key(model, source)
                prepared = find_prepared(key, cache)
                manifest = read_manifest(prepared) if prepared else None
                verdict = find_verdict(prepared, cache) if prepared else None
        except (ImportError, OSError, ValueError) as error:
            problem = str(error)
    served = prepared or source
    size = sum(path.stat().st_size for path in served.rglob("*") if path.is_file()) if served else 0
    return ModelFiles(name, model, source, key, prepared, manifest, verdict, size, problem)
