"""How relevant the models find a hit, as one number that can be compared between searches.

Original scores depend on the words of each query, so they have no part in it. Levels of relevance
are thresholds on this number; `sidecar tune` learns them from judgments.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.fusion_methods import AdditiveFusion
from pipelines.plan import Plan


def rate_relevance(
    plan: Plan, scores: Sequence[float | None], spreads: Sequence[float]
) -> float | None:
    """The relevance of a hit, from its score by each stage; None if no score counts.

    Under additive fusion it is the mean of score / spread over the stages that scored the hit, by
    their weights. Under the other methods a later stage replaces the earlier, so it is the score
    of the plan's last stage. `scores` may be shorter than `spreads`, if a stage failed.
    """
    if not isinstance(plan.fusion, AdditiveFusion):
        return scores[-1] if len(scores) == len(plan.stages) else None
    weighted = [
        (stage.added, score / spread)
        for stage, score, spread in zip(plan.stages, scores, spreads, strict=False)
        if score is not None
    ]
    total = sum(weight for weight, _ in weighted)
    if not total:
        return None
    return sum(weight * value for weight, value in weighted) / total
