"""The gate before a prepared model: does it rank bundled passages as the original does?

Spearman's correlation of both orders of all passages of a query, and how many of the ten best are
among the original's ten best, or tie with the last of them.
"""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.prepared import Parity

# The least that passes, for each precision: Spearman's mean, its worst query, the ten best.
_BARS = {"int8": (0.995, 0.98, 0.9), "bf16": (0.999, 0.99, 0.95), "f32": (0.9999, 0.999, 0.98)}
_PASSAGES = 75
_QUERIES = {"bi-encoder": 12, "cross-encoder": 4}
_WORDS = 100
_BEST = 10
# The share of a query's range of scores within which two count as equal: adding the same numbers
# in another order may move a score by so little, and no order is worse for it.
_TIE = 1e-4


def bundled_texts(kind: str) -> tuple[list[str], list[str]]:
    """Query texts and passages of the sample collection; fewer for a kind that reads pairs."""
    sample = Path(__file__).parents[2] / "sample"
    with (sample / "queries.jsonl").open(encoding="utf-8") as lines:
        queries = [json.loads(line)["text"] for line in islice(lines, _QUERIES[kind])]
    with gzip.open(sample / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in islice(lines, _PASSAGES)]
    passages = []
    for number, document in enumerate(documents):
        # Lengths as they come in searches: from a few words to a full passage.
        words = f"{document['title']} {document['text']}".split()
        passages.append(" ".join(words[: _WORDS - number]))
    return queries, passages


def compare(original: FloatArray, prepared: FloatArray) -> Parity:
    """Two arrays of scores, each of shape (queries, passages), by the orders they make."""
    queries, passages = original.shape
    places = _places(original), _places(prepared)
    spearman = np.array([_correlation(*rows) for rows in zip(*places, strict=True)])
    return Parity(
        queries=queries,
        passages=passages,
        spearman_mean=round(float(spearman.mean()), 5),
        spearman_min=round(float(spearman.min()), 5),
        top_10=round(float(_kept(original, prepared).mean()), 3),
    )


def passes(parity: Parity, precision: str) -> bool:
    """Whether a prepared model of that precision is near enough to be served."""
    mean, least, best = _BARS[precision]
    return parity.spearman_mean >= mean and parity.spearman_min >= least and parity.top_10 >= best


def describe(parity: Parity) -> str:
    """The figures in one line."""
    return (
        f"Spearman {parity.spearman_mean:.4f} on average and {parity.spearman_min:.4f} at worst, "
        f"{parity.top_10:.0%} of the ten best kept ({parity.queries} queries x {parity.passages} "
        "passages)"
    )


def _kept(original: FloatArray, prepared: FloatArray) -> NDArray[np.bool_]:
    """Whether each of the ten best passages is one of the original's, of shape (queries, ten)."""
    best = np.argsort(-prepared, axis=1, kind="stable")[:, :_BEST]
    last = np.sort(original, axis=1)[:, -best.shape[1]]
    least = last - _TIE * np.ptp(original, axis=1)
    kept: NDArray[np.bool_] = np.take_along_axis(original, best, axis=1) >= least[:, None]
    return kept


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's, and 0 where one side tells nothing apart."""
    one, other = one - one.mean(), other - other.mean()
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _places(scores: FloatArray) -> NDArray[np.float64]:
    """Each passage's rank within its query; equal scores share the mean of their ranks."""
    places = np.empty(scores.shape, np.float64)
    for row, values in zip(places, scores, strict=True):
        _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        row[:] = (ends - (counts - 1) / 2)[which]
    return places
