"""How reliable a mean over queries is: the bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
_SEED = 20_240_229
# Random picks in memory at once: 32 MiB.
_PICKS = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95 % of the means of many resamples of the queries."""

    low: float
    high: float


def bootstrap_interval(values: Sequence[float], resamples: int = RESAMPLES) -> Interval:
    """The 95 % interval of the mean of one value per query, such as the change of nDCG.

    The percentile bootstrap (Efron 1979) with a fixed seed: equal values give an equal interval.
    To compare two systems, give the differences; this is the paired bootstrap (Sakai, "Evaluating
    evaluation metrics based on the bootstrap", SIGIR 2006). Raises ValueError without values.
    """
    if not values:
        raise ValueError("there is no query to resample")
    numbers = np.asarray(values, np.float64)
    generator = np.random.default_rng(_SEED)
    means = np.empty(resamples)
    step = max(1, _PICKS // len(numbers))
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        picks = generator.integers(0, len(numbers), (stop - start, len(numbers)))
        means[start:stop] = numbers[picks].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(low), float(high))
