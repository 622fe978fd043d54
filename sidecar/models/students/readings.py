"""The model's own vector of each word piece, read alone: where a student begins.

They are read once, when a model with a student is first loaded, and are written beside the prepared
model: 20 to 60 seconds of two cores for the 30,522 pieces of all-MiniLM-L6-v2. A linear map makes
passages of them: a few hundred lessons teach it, and it also holds for pieces that no lesson
contains. Starting from the vectors that a model has for single words is how Model2Vec (Tulkens and
van Dongen) begins.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.passage_store import round_vectors

MOST_READINGS = 65_536
"""Word pieces that are read; of a larger vocabulary, the others begin without."""

_log = logging.getLogger(__name__)


def write_readings(vectors: FloatArray, path: Path) -> None:
    """Write the vectors of pieces 0, 1, 2 and so on, as one byte a number, in one step."""
    codes, scales = round_vectors(vectors)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        np.savez(file, codes=codes, scales=scales)
    Path(file.name).replace(path)


def read_readings(path: Path | None, dimensions: int) -> FloatArray | None:
    """The vectors less their mean, shape (pieces, dimensions); None if there are none to use."""
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as values:
            codes, scales = values["codes"], values["scales"]
        if codes.shape != (len(scales), dimensions) or not np.isfinite(scales).all():
            raise ValueError("its arrays do not belong together")
        vectors = (codes * scales[:, None]).astype(np.float32)
    # A damaged file may fail in zip or in numpy; each raises errors of its own.
    except Exception as error:
        _log.warning("%s is not used: %s", path, error)
        return None
    centred: FloatArray = vectors - vectors.mean(axis=0)
    return centred
