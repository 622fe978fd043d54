"""A model's spread: how far its scores of unlike texts lie from one another.

It is the standard deviation of the scores of one query text with the bundled passages, the mean of
all bundled query texts: 0.086 for all-MiniLM-L6-v2, 0.042 for bge-small-en-v1.5, 0.018 for
e5-small-v2. Additive fusion divides by it, so one weight serves models of every scale. No judged
texts are needed. A prepared folder contains the scores; for other backends they are computed once
and the spread is kept in the cache folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from math import isfinite
from pathlib import Path

from sidecar.models.backends.base import FloatArray

FAKE_SPREAD = 0.1
"""Spread of the fake models; no texts are read for it."""


def measure_spread(scores: FloatArray) -> float:
    """The spread of scores of shape (query texts, passages); 1 if all are equal."""
    spread = float(scores.std(axis=1).mean())
    return spread if isfinite(spread) and spread > 0 else 1.0


def keep_spread(cache: Path | None, identity: str, score: Callable[[], FloatArray]) -> float:
    """The spread of the model with this identity: from the cache folder, else measured and kept.

    `score` computes the scores of the bundled texts. A cache folder that cannot be read or written
    costs only time.
    """
    file = None if cache is None else cache / "spreads" / f"{identity}.json"
    if file is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = float(json.loads(file.read_text(encoding="utf-8"))["spread"])
            if isfinite(kept) and kept > 0:
                return kept
    spread = measure_spread(score())
    if file is not None:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"spread": spread}) + "\n", encoding="utf-8")
    return spread
