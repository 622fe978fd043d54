"""What a rescoring did: the new order, each stage, and why each hit has its rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import attrgetter
from typing import NamedTuple, overload

from pipelines.adding import FusionParts
from pipelines.fusion import Ranked
from pipelines.groups import Group
from pipelines.passages import Passage


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage did: how many groups it was given, and how many of them it scored.

    `reason` is the word of the `RescoreError` that ended a later stage; the order of the stages
    before it then stands. None if the stage succeeded. `estimated` counts the groups that have the
    score that a student of the model expects. `sure` is the number of first hits that are as if all
    passages had been read, though some were not; 0 if nothing is known, or all were read.
    """

    model: str
    groups: int
    scored: int
    reason: str | None
    estimated: int = 0
    sure: int = 0


def count_uncut(stages: Sequence[StageReport], uncut: int) -> tuple[StageReport, ...]:
    """The reports, where the first stage was also given documents that were not cut in time."""
    first, *later = stages
    return (replace(first, groups=first.groups + uncut), *later)


class HitReport(NamedTuple):
    """Why a hit has its new rank; what `explain` prints.

    `passage` is the text of the group's best passage in the last stage that scored it. `scores`
    has one entry for each stage in `Rescoring.stages`. A value is None if nothing was scored.

    Under additive fusion, `lexical` is what the words say, `added` what each stage adds, and
    `estimates` the scores that stand for those of a model which did not read the hit.
    """

    position: int
    passage: str | None
    scores: tuple[float | None, ...]
    fused: float | None
    lexical: float | None = None
    added: tuple[float | None, ...] = ()
    estimates: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Rescoring:
    """The outcome of a rescoring.

    `ranking` contains every hit once, in the new order. `scored` counts the hits that the first
    stage scored, and `estimated` those that no model read, but a student of one. `hits` is in the
    original order. `best_passages` has, by the group's index, the best passage in the last stage
    that scored the group. `parts` is what additive fusion added up; None under other methods.
    """

    ranking: tuple[Ranked, ...]
    scored: int
    stages: tuple[StageReport, ...]
    hits: Sequence[HitReport]
    best_passages: Mapping[int, Passage] = field(default_factory=dict, compare=False)
    estimated: int = 0
    parts: FusionParts | None = field(default=None, compare=False)


class HitReports(Sequence[HitReport]):
    """A report of each hit, in the original order; equal to a tuple with the same reports.

    They are written when the first one is read: most searches show none.
    """

    def __init__(self, write: Callable[[], tuple[HitReport, ...]]) -> None:
        self._write = write

    @cached_property
    def _reports(self) -> tuple[HitReport, ...]:
        return self._write()

    @overload
    def __getitem__(self, place: int) -> HitReport: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[HitReport]: ...
    def __getitem__(self, place: int | slice) -> HitReport | Sequence[HitReport]:
        return self._reports[place]

    def __len__(self) -> int:
        return len(self._reports)

    def __eq__(self, other: object) -> bool:
        return self._reports == (other._reports if isinstance(other, HitReports) else other)

    def __hash__(self) -> int:
        return hash(self._reports)


def report_hits(
    groups: Sequence[Group],
    best_passages: Mapping[int, Passage],
    scores_by_stage: Sequence[Mapping[int, float]],
    fused: Mapping[int, float],
    parts: FusionParts | None = None,
) -> HitReports:
    """A report of each hit, in the original order; the arguments must not change afterwards."""
    return HitReports(partial(_write_reports, groups, best_passages, scores_by_stage, fused, parts))


def _write_reports(
    groups: Sequence[Group],
    best_passages: Mapping[int, Passage],
    scores_by_stage: Sequence[Mapping[int, float]],
    fused: Mapping[int, float],
    parts: FusionParts | None,
) -> tuple[HitReport, ...]:
    reports: list[HitReport] = []
    lexical: Mapping[int, float] = parts.lexical if parts else {}
    stages = parts.stages if parts else ()
    for index, group in enumerate(groups):
        best = best_passages.get(index)
        passage = best and best.text
        scores = tuple([scores.get(index) for scores in scores_by_stage])
        added = tuple([stage.added(index) for stage in stages])
        estimates = tuple([stage.estimates.get(index) for stage in stages])
        words, value = lexical.get(index), fused.get(index)
        for one in group.documents:
            reports.append(HitReport(one.position, passage, scores, value, words, added, estimates))
    reports.sort(key=attrgetter("position"))
    return tuple(reports)
