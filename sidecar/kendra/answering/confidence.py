"""Turns a model's score into the confidence bucket that a result shows.

The score is first calibrated to an estimate of the probability that the text is relevant. In a list
sorted by relevance, confidence never rises from one result to the next. The plan's order depends on
more than the model's score, so probabilities that would rise are replaced by their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from sidecar.config.kendra import Confidence
from sidecar.logits import LARGEST, relevance

Bucket = Literal["VERY_HIGH", "HIGH", "MEDIUM", "LOW", "NOT_AVAILABLE"]

NOT_AVAILABLE: Final = "NOT_AVAILABLE"


def calibrate(score: float, is_cosine: bool, settings: Confidence) -> float:
    """The probability, from 0 to 1, that a text with this score is relevant."""
    logit = settings.cosine.scale * (score - settings.cosine.middle) if is_cosine else score
    return relevance(min(max(logit, -LARGEST), LARGEST))


def bucket(probability: float | None, settings: Confidence) -> Bucket:
    """The bucket of a probability; None gives NOT_AVAILABLE."""
    if probability is None:
        return NOT_AVAILABLE
    if probability >= settings.very_high:
        return "VERY_HIGH"
    if probability >= settings.high:
        return "HIGH"
    return "MEDIUM" if probability >= settings.medium else "LOW"


def never_rising(probabilities: Sequence[float | None]) -> list[float | None]:
    """The list that does not rise and is closest to this one, by least squares.

    None stays where it is.
    Source: pool adjacent violators (Ayer et al., Annals of Mathematical Statistics 1955).
    """
    blocks: list[tuple[float, int]] = []
    for value in probabilities:
        if value is None:
            continue
        mean, size = value, 1
        while blocks and blocks[-1][0] < mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    means = iter([mean for mean, size in blocks for _ in range(size)])
    return [None if value is None else next(means) for value in probabilities]
