"""The gate of a prepared model: does it rank bundled passages like the original?

The gate measures Spearman's correlation of the two orders of a query's passages, and the share of
the ten best passages that are among the original's ten best, or tie with the last of them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.prepared import Parity

# The bars of each precision: Spearman's mean, Spearman of the worst query, share of the ten best.
# `int8-fixed` has higher ones than `int8`, because its scales are measured on texts of the same
# kind, and other texts may rank less closely.
_BARS = {
    "int8-fixed": (0.997, 0.985, 0.9),
    "int8": (0.995, 0.98, 0.9),
    "bf16": (0.999, 0.99, 0.95),
    "f32": (0.9999, 0.999, 0.98),
}
_PASSAGES = 75
_CALIBRATION = 40
_QUERIES = {"bi-encoder": 12, "cross-encoder": 4}
_WORDS = 100
LONGEST = 2
"""Passages in a call of `read_longest`: as many of this length as a backend reads in one batch."""

_BEST = 10
# Scores that differ by less than this share of the query's range of scores are equal. A sum in
# another order may change a score by this much, and neither order is worse.
_TIE = 1e-4


def bundled_texts(kind: str) -> tuple[list[str], list[str]]:
    """Query texts and passages of the sample collection; fewer query texts for cross-encoders."""
    return _sample_texts(0, _QUERIES[kind], _PASSAGES)


def calibration_texts() -> tuple[list[str], list[str]]:
    """Query texts and passages of the sample collection that the gate does not read."""
    return _sample_texts(_PASSAGES, _CALIBRATION, _CALIBRATION)


def _sample_texts(start: int, queries: int, passages: int) -> tuple[list[str], list[str]]:
    sample = Path(__file__).parents[2] / "sample"
    with (sample / "queries.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, start, start + queries)]
    with gzip.open(sample / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in islice(lines, start, start + passages)]
    cut = []
    for number, document in enumerate(documents):
        # Lengths as in searches: from a few words to a full passage.
        words = f"{document['title']} {document['text']}".split()
        cut.append(" ".join(words[: _WORDS - number]))
    return texts, cut


def score_all(backend: Any, query_texts: Sequence[str], passages: Sequence[str]) -> FloatArray:
    """Scores of each query text with each passage, shape (query texts, passages).

    A bi-encoder's scores are cosines.
    """
    if hasattr(backend, "score_pairs"):
        return np.stack(
            [
                np.concatenate(
                    [
                        backend.score_pairs(query_text, passages[start : start + 8])
                        for start in range(0, len(passages), 8)
                    ]
                )
                for query_text in query_texts
            ]
        )
    vectors = np.concatenate(
        [
            backend.embed_passages(passages[start : start + 8])
            for start in range(0, len(passages), 8)
        ]
    )
    scores: FloatArray = backend.embed_queries(query_texts) @ vectors.T
    return scores


def read_longest(backend: Any) -> Callable[[], object]:
    """A call that reads the `LONGEST` longest bundled passages, for its time."""
    kind = "cross-encoder" if hasattr(backend, "score_pairs") else "bi-encoder"
    (query_text, *_), passages = bundled_texts(kind)
    if kind == "cross-encoder":
        return lambda: backend.score_pairs(query_text, passages[:LONGEST])
    return lambda: backend.embed_passages(passages[:LONGEST])


def compare(original: FloatArray, prepared: FloatArray) -> Parity:
    """Compare the orders of two arrays of scores, each of shape (queries, passages)."""
    queries, passages = original.shape
    places = _places(original), _places(prepared)
    spearman = np.array([_correlation(*rows) for rows in zip(*places, strict=True)])
    return Parity(
        queries=queries,
        passages=passages,
        spearman_mean=round(float(spearman.mean()), 5),
        spearman_min=round(float(spearman.min()), 5),
        top_10=round(float(_stays(original, prepared).mean()), 3),
    )


def passes(parity: Parity, precision: str) -> bool:
    """Whether a prepared model of that precision is close enough to the original."""
    mean, least, best = _BARS[precision]
    return parity.spearman_mean >= mean and parity.spearman_min >= least and parity.top_10 >= best


def describe(parity: Parity) -> str:
    """The figures in one line."""
    return (
        f"Spearman {parity.spearman_mean:.4f} on average and {parity.spearman_min:.4f} at worst, "
        f"{parity.top_10:.0%} of the ten best kept ({parity.queries} queries x {parity.passages} "
        "passages)"
    )


def _stays(original: FloatArray, prepared: FloatArray) -> NDArray[np.bool_]:
    """Whether each of the ten best is among the original's ten best, shape (queries, ten)."""
    best = np.argsort(-prepared, axis=1, kind="stable")[:, :_BEST]
    last = np.sort(original, axis=1)[:, -best.shape[1]]
    least = last - _TIE * np.ptp(original, axis=1)
    stays: NDArray[np.bool_] = np.take_along_axis(original, best, axis=1) >= least[:, None]
    return stays


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's correlation; 0 if all numbers of one side are equal."""
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
