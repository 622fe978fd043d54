"""How stages add up under additive fusion, and what stands for what a stage did not read.

A stage adds `weight x score / spread`. A group that it did not read must be compared fairly with
those that it read. If a student of the model expects a score of the group, that stands for the
score, moved by the mean error of the student on the groups that were read. Without a student, the
mean of the scores that were read stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Final

from pipelines.fusion_methods import AdditiveFusion, ScoredGroups
from pipelines.groups import Group
from pipelines.lexical import Evidence
from pipelines.original_scores import OriginalScores

# A mean error of fewer groups says more about these groups than about the student.
_LEAST_READ: Final = 3
# With fewer scores, their mean says little; the groups that were not read then keep their places.
_LEAST_SCORES: Final = 4
# What the model read goes before what is only expected, if both are equal. In spreads; measured
# with all-MiniLM-L6-v2 as 0.01 of a cosine.
_DOUBT: Final = 0.12


@dataclass(frozen=True, slots=True)
class StageParts:
    """What one stage knows of each group, by the group's index.

    `weight` is the plan's, times the factor of the guards. `scores` are the model's, and
    `estimates` what stands for those of the groups that it did not read. Either adds `weight x
    score / spread`.
    """

    model: str
    weight: float
    spread: float
    scores: Mapping[int, float]
    estimates: Mapping[int, float]

    def added(self, group: int) -> float | None:
        """What the stage adds to a group; None if it does not know the group."""
        score = self.scores.get(group, self.estimates.get(group))
        return None if score is None else self.weight * score / self.spread

    def add_to(self, known: Mapping[int, float]) -> dict[int, float]:
        """The values of the groups in `known` that the stage knows, with what it adds."""
        return {
            index: value + added
            for index, value in known.items()
            if (added := self.added(index)) is not None
        }


@dataclass(frozen=True, slots=True)
class FusionParts:
    """What additive fusion adds up, by the group's index; pages fuse again from it.

    `originals` is (original - least) / (5 x mean difference), `evidence` the lexical evidence,
    empty if there is none, and `exact` the share of the query's identifiers that the group
    contains. `lexical` is the part that they make together. Groups that stand apart by their
    original score, or have no text, are in none of them.
    """

    originals: Mapping[int, float]
    evidence: Mapping[int, float]
    exact: Mapping[int, float]
    lexical: Mapping[int, float]
    stages: tuple[StageParts, ...] = field(default=())


def read_parts(
    fusion: AdditiveFusion,
    groups: Sequence[Group],
    indices: Sequence[int],
    originals: OriginalScores,
    evidence: Evidence,
) -> FusionParts:
    """What the words say of the groups with these indices, before any model reads them."""
    scored = ScoredGroups(
        original=[groups[index].original_score for index in indices],
        model=(),
        evidence=[evidence.groups[index] for index in indices] if evidence.groups else (),
        originals=originals,
        query_words=evidence.query_words,
        exact=[evidence.exact[index] for index in indices] if evidence.exact else (),
    )
    return FusionParts(
        dict(zip(indices, scored.terms(), strict=True)),
        dict(zip(indices, scored.evidence, strict=False)),
        dict(zip(indices, scored.exact, strict=False)),
        dict(zip(indices, fusion.lexical_part(scored), strict=True)),
    )


def assume_mean(
    groups: Iterable[int], scores: Mapping[int, float], spread: float
) -> dict[int, float]:
    """What stands for the scores of the groups that have none, if no student knows better.

    It is the mean of the scores, less half a spread, because the groups that promised most were
    read first. With fewer than four scores it is nothing.

    docs/quality.md, "Cold searches", shows what searches gain by it.
    """
    if len(scores) < _LEAST_SCORES:
        return {}
    assumed = fsum(scores.values()) / len(scores) - spread / 2
    return {group: assumed for group in groups if group not in scores}


def correct_estimates(
    estimates: Mapping[int, float], scores: Mapping[int, float], spread: float
) -> dict[int, float]:
    """What stands for the scores of the groups that have an estimate and no score.

    Estimates are moved by the mean of score - estimate over the groups that have both, less a
    small doubt. With fewer than three such groups they stay as they are.
    """
    both = estimates.keys() & scores.keys()
    shift = 0.0
    if len(both) >= _LEAST_READ:
        errors = fsum(scores[group] - estimates[group] for group in both)
        shift = errors / len(both) - _DOUBT * spread
    return {group: estimate + shift for group, estimate in estimates.items() if group not in scores}
