"""What the numbers mean: scores to logits, logits to relevance from 0 to 1.

A cross-encoder's score is a logit as it stands. A bi-encoder's is a cosine, and clients of rerank
APIs expect numbers that are spread like logits: scale x (cosine - middle), which keeps the order.

The defaults, 10 and 0.4, are near what logistic regression on all-MiniLM-L6-v2 gives for judged
pairs, relevant and irrelevant ones weighted alike: 10.2 and 0.40 (film descriptions), 12.5 and
0.39 (abstracts), 10.4 and 0.34 (encyclopaedia). Where all candidates come from the same page it
gives 8.9 and 0.66. So the relevance is a fair guess of a probability, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from sidecar.config_rerank import CosineLogits

LARGEST = 100.0
"""Logits are kept within this, so that every one can be written in a few digits."""

NO_TEXT = -LARGEST
"""The logit of a document without any text: below all others."""

_DECIMALS = 7


def write_logits(scores: Sequence[float], cosine: CosineLogits | None) -> list[float]:
    """Logits of scores, in their order. `cosine` None: the scores are logits already."""
    if cosine is not None:
        scores = [cosine.scale * (score - cosine.middle) for score in scores]
    return [min(max(score, -LARGEST), LARGEST) for score in scores]


def relevance(logit: float) -> float:
    """The sigmoid of a logit within +-LARGEST: from 0 to 1, in the same order."""
    return 1 / (1 + exp(-logit))


def rounded(number: float) -> float:
    """As it is shown: seven decimals, and no negative zero."""
    return round(number, _DECIMALS) + 0.0
