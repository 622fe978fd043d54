"""Checks what models answer, and compares vectors."""

from __future__ import annotations

import numpy as np

from pipelines.errors import BadScores
from sidecar.models.backends.base import FloatArray


def cosines(vectors: FloatArray, query: FloatArray) -> list[float]:
    """The cosine of each vector with the query's; all have length 1.

    Computed row by row: a matrix product may round equal rows differently, and equal passages must
    tie. Rounding takes none above 1.
    """
    values: list[float] = np.minimum((vectors * query).sum(axis=1), 1.0).tolist()
    return values


def finite(numbers: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """The numbers themselves; raises BadScores for another shape, or one that is not finite."""
    if numbers.shape != shape:
        raise BadScores(f"the model answered with shape {numbers.shape}, not {shape}")
    if not np.isfinite(numbers).all():
        raise BadScores("the model answered with a number that is not finite")
    return numbers
