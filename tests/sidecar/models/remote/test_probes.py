"""A model is recognized by its vectors of known texts."""

from pathlib import Path

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.remote.probes import PROBES, find_identity, is_same_model


def vectors(seed: int, dimensions: int = 32) -> FloatArray:
    numbers = np.random.default_rng(seed).normal(size=(len(PROBES), dimensions))
    unit: FloatArray = (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_noise_at_a_rounding_edge_keeps_the_identity(tmp_path: Path) -> None:
    edge = np.full((len(PROBES), 4), 0.5, np.float32)
    edge[:, 0] = 0.505
    above, below = edge + np.float32(1e-4), edge - np.float32(1e-4)
    first = find_identity("m", above, tmp_path)
    assert find_identity("m", below, tmp_path) == first
    assert is_same_model(above, below)


def test_settings_model_and_dimensions_each_change_it(tmp_path: Path) -> None:
    seen = {
        find_identity("m", vectors(1), tmp_path),
        find_identity("other prompt", vectors(1), tmp_path),
        find_identity("m", vectors(2), tmp_path),
        find_identity("m", vectors(1, 64), tmp_path),
    }
    assert len(seen) == 4


def test_a_damaged_file_costs_nothing_else(tmp_path: Path) -> None:
    first = find_identity("m", vectors(1), tmp_path)
    [file] = (tmp_path / "remote-models").iterdir()
    for damaged in ("{", "[]", '{"a": 1}', '{"a": [["x"]]}'):
        file.write_text(damaged)
        assert find_identity("m", vectors(1), tmp_path) == first
