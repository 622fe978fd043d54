"""Turns scores into logits, and logits into relevance from 0 to 1.

A cross-encoder's score is already a logit. A bi-encoder's score is a cosine, but clients of rerank
APIs expect numbers with the spread of logits. So it becomes scale x (cosine - middle), which keeps
the order.

The defaults, 10 and 0.4, are close to the result of logistic regression on judged pairs with
all-MiniLM-L6-v2, with equal weight for relevant and irrelevant pairs: 10.2 and 0.40 (film
descriptions), 12.5 and 0.39 (abstracts), 10.4 and 0.34 (encyclopaedia). If all candidates come from
the same page, the result is 8.9 and 0.66. So the relevance is only a rough estimate of a
probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from sidecar.config.rerank import CosineLogits

LARGEST = 100.0
"""The largest absolute value of a logit, so that each can be written in a few digits."""

NO_TEXT = -LARGEST
"""The logit of a document without text: no other is lower."""

_DECIMALS = 7


def write_logits(scores: Sequence[float], cosine: CosineLogits | None) -> list[float]:
    """Return the logits of scores, in the same order. `cosine` None: the scores are logits."""
    if cosine is not None:
        scores = [cosine.scale * (score - cosine.middle) for score in scores]
    return [min(max(score, -LARGEST), LARGEST) for score in scores]


def relevance(logit: float) -> float:
    """The sigmoid of a logit within +-LARGEST: a number from 0 to 1 that keeps the order."""
    return 1 / (1 + exp(-logit))


def rounded(number: float) -> float:
    """The number as answers show it: seven decimals, and no negative zero."""
    return round(number, _DECIMALS) + 0.0
