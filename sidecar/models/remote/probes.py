"""Recognizes a model by its vectors of a few known texts.

The vectors of one model differ a little from call to call and from processor to processor, and two
models differ much. So the cosine of the vectors decides. The first vectors that are seen are kept
in the cache folder, and a later start compares with them; so rounding cannot change the identity.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from sidecar.models.backends.base import FloatArray

PROBES = (
    "the quick brown fox jumps over the lazy dog",
    "How is a leaking kitchen tap repaired?",
    "Interest rates rose again in the third quarter, 1998.",
)

LEAST_COSINE = 0.999
"""Two vectors of the same text by one model have at least this cosine. A choice, not a measurement:
far above what two models of one family reach, and below what rounding does."""

_MOST_KEPT = 16
_DECIMALS = 2


def is_same_model(one: FloatArray, other: FloatArray) -> bool:
    """Whether two arrays of vectors of `PROBES`, each of length 1, come from one model."""
    if one.shape != other.shape:
        return False
    return bool(((one * other).sum(axis=1) >= LEAST_COSINE).all())


def find_identity(settings: str, vectors: FloatArray, cache: Path | None) -> str:
    """The identity of the model that made these vectors of `PROBES`.

    `settings`: what else decides about vectors, such as the model's name and prompts. A cache
    folder that cannot be read or written costs only what rounding may: vectors are made again.
    """
    digest = hashlib.blake2b(settings.encode(), digest_size=16)
    file = None if cache is None else cache / "remote-models" / f"{digest.hexdigest()}.json"
    kept = _read(file)
    for identity, seen in kept.items():
        if is_same_model(np.array(seen, np.float32), vectors):
            return identity
    digest.update(str(vectors.shape).encode())
    digest.update((np.round(vectors, _DECIMALS) + 0.0).astype(np.float32).tobytes())
    identity = f"remote-{digest.hexdigest()}"
    if file is not None:
        newest = list({**kept, identity: vectors.astype(float).tolist()}.items())[-_MOST_KEPT:]
        with suppress(OSError):
            _write(file, json.dumps(dict(newest)))
    return identity


def _read(file: Path | None) -> dict[str, list[list[float]]]:
    if file is None:
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): [[float(x) for x in row] for row in rows] for key, rows in values.items()}
    except (AttributeError, OSError, TypeError, ValueError):
        return {}


def _write(file: Path, text: str) -> None:
    """Write the file in one step, since other processes may read it now."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as unfinished:
        unfinished.write(text)
    os.replace(name, file)
