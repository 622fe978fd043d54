"""Learns what the levels of `min_relevance` mean: how likely a hit of some relevance is relevant.

A logistic curve is fitted to judged hits (Platt, "Probabilistic Outputs for Support Vector
Machines", 1999, with his smoothed targets). The levels are where it reaches 0.2, 0.4, 0.6 and 0.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt

import numpy as np

from pipelines.plan import RelevanceLevels

LEAST_OF_EACH = 30
"""Relevant hits, and hits that are not, that the curve needs."""

_PROBABILITIES = {"low": 0.2, "medium": 0.4, "high": 0.6, "very_high": 0.8}
_ITERATIONS = 50
# A slope of fewer standard errors may be chance.
_CERTAIN = 3.0
# Keeps the curve finite where relevance separates the hits completely.
_RIDGE = 1e-3


class NoLevels(ValueError):
    """The judgments do not give levels; the message says why."""


def judged_pairs(
    rated: Mapping[str, Sequence[tuple[str, float]]], qrels: Mapping[str, Mapping[str, float]]
) -> tuple[list[tuple[float, bool]], bool]:
    """(relevance, is relevant) of hits, and whether unjudged hits count as not relevant.

    `rated` has the (id, relevance) of each query's hits. Unjudged hits count as they do in nDCG
    only if fewer than LEAST_OF_EACH hits are judged not relevant, as in judgments that name
    nothing but what is relevant.
    """
    judged = [
        (relevance, qrels[query][document] > 0)
        for query, hits in rated.items()
        for document, relevance in hits
        if document in qrels.get(query, {})
    ]
    if sum(not relevant for _, relevant in judged) >= LEAST_OF_EACH:
        return judged, False
    everything = [
        (relevance, qrels.get(query, {}).get(document, 0) > 0)
        for query, hits in rated.items()
        for document, relevance in hits
    ]
    return everything, True


def fit_levels(pairs: Iterable[tuple[float, bool]]) -> RelevanceLevels:
    """The levels for (relevance, is relevant) of judged hits. Raises NoLevels."""
    listed = list(pairs)
    relevant = sum(is_relevant for _, is_relevant in listed)
    others = len(listed) - relevant
    if min(relevant, others) < LEAST_OF_EACH:
        raise NoLevels(
            f"{relevant} relevant hits and {others} others are too few;"
            f" {LEAST_OF_EACH} of each are needed"
        )
    values = np.array([value for value, _ in listed], np.float64)
    middle, unit = float(values.mean()), float(values.std())
    if not unit:
        raise NoLevels("all judged hits are equally relevant to the models")
    scaled = (values - middle) / unit
    high, low = (relevant + 1) / (relevant + 2), 1 / (others + 2)
    targets = np.where([is_relevant for _, is_relevant in listed], high, low)
    slope, offset = 0.0, log(relevant / others)
    hessian = np.eye(2)
    for _ in range(_ITERATIONS):
        chance = 1 / (1 + np.exp(-np.clip(slope * scaled + offset, -30, 30)))
        variance = chance * (1 - chance)
        gradient = np.array(
            [np.sum((targets - chance) * scaled) - _RIDGE * slope, np.sum(targets - chance)]
        )
        cross = float(np.sum(variance * scaled))
        hessian = np.array(
            [[np.sum(variance * scaled**2) + _RIDGE, cross], [cross, np.sum(variance) + _RIDGE]]
        )
        step = np.linalg.solve(hessian, gradient)
        # Newton's step may be too long where the curve is steep.
        step *= min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        slope, offset = slope + float(step[0]), offset + float(step[1])
        if float(np.abs(step).max()) < 1e-9:
            break
    error = sqrt(float(np.linalg.inv(hessian)[0, 0]))
    if slope < _CERTAIN * error:
        raise NoLevels("the models' scores do not tell relevant hits from others")
    cuts = {
        name: round(middle + unit * (log(chance / (1 - chance)) - offset) / slope, 4)
        for name, chance in _PROBABILITIES.items()
    }
    return RelevanceLevels(**cuts)
