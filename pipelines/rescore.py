"""The whole flow: prepare the passages of a window, then score and fuse them stage by stage.

Holds the core's only `await`. `prepare` is pure computing, so the shell may run it in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from pipelines.documents import read_documents, replace_surrogates
from pipelines.errors import BadScores, DeadlinePassed, NoText, RescoreError
from pipelines.fusion import Ranked, fuse, lay_on, rank_hits, reorder
from pipelines.groups import Group, group_documents
from pipelines.hits import Hit
from pipelines.lexical import Evidence, count_words, weigh_evidence
from pipelines.passage_selection import select_passages
from pipelines.passages import Passage, Splitter, split_document, split_passages
from pipelines.plan import Passages, Plan
from pipelines.scoring import Scorer, group_scores, weigh
from pipelines.words import different_words


@dataclass(frozen=True, slots=True)
class Prepared:
    """A window made ready for the models: its groups, and each group's chosen passages.

    `passages` has one entry a group, empty for a group without text. `evidence` has no groups
    when the plan's fusion has no use for it.
    """

    groups: tuple[Group, ...]
    passages: tuple[tuple[Passage, ...], ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage did: how many groups it was given, how many it scored.

    `reason` is the word of the `RescoreError` that ended a later stage, None if it did its work;
    the order of the stages before it stands then.
    """

    model: str
    groups: int
    scored: int
    reason: str | None


class HitReport(NamedTuple):
    """Why a hit stands where it stands; what `explain` prints.

    `passage` is the text of its group that the last stage to score it liked best, `scores` has
    one entry for each stage in `Rescoring.stages`; None where nothing was scored.
    """

    position: int
    passage: str | None
    scores: tuple[float | None, ...]
    fused: float | None


@dataclass(frozen=True, slots=True)
class Rescoring:
    """The outcome of a rescoring.

    `ranking` holds every hit once, in the new order. `scored` counts the hits that the first
    stage scored. `hits` is in the original order.
    """

    ranking: tuple[Ranked, ...]
    scored: int
    stages: tuple[StageReport, ...]
    hits: tuple[HitReport, ...]


def prepare(
    plan: Plan, query_text: str, hits: Sequence[Hit], split: Splitter = split_document
) -> Prepared:
    """Read, group and cut the hits of a window, and choose the passages worth a model's time.

    Raises NoText when no hit has any text in the plan's fields, and BadScores for an original
    score that is not finite.
    """
    if not all(isfinite(hit.original_score) for hit in hits):
        raise BadScores("a hit of the response has a score that is not a finite number")
    groups = group_documents(read_documents(hits, plan))
    query_text = replace_surrogates(query_text)
    passages = split_passages(groups, plan.passages, split)
    if not passages:
        raise NoText("no hit has text in the fields of the plan's document; check their names")
    wanted = different_words(query_text)
    scores = [0.0] * len(passages)
    evidence: Mapping[int, float] = {}
    if plan.fusion.lexical or _has_to_choose(plan.passages, passages):
        counted = count_words(wanted, [passage.words for passage in passages])
        scores = counted.bm25()
        if plan.fusion.lexical:
            evidence = weigh_evidence(wanted, passages, counted)
    by_group: list[list[Passage]] = [[] for _ in groups]
    for passage in select_passages(query_text, passages, scores, plan.passages):
        by_group[passage.group].append(passage)
    return Prepared(tuple(groups), tuple(map(tuple, by_group)), Evidence(len(wanted), evidence))


def _has_to_choose(settings: Passages, passages: Sequence[Passage]) -> bool:
    """Whether BM25 decides which passages are read; the plugin's rules do without it."""
    if settings.method == "kendra":
        return False
    counts = Counter((passage.group, passage.part) for passage in passages)
    return max(counts.values()) > settings.per_document


async def rescore(plan: Plan, query_text: str, prepared: Prepared, scorer: Scorer) -> Rescoring:
    """Run the plan's stages over a prepared window and return its new order.

    The first stage reads the groups that have text, in the original order; each later one reads
    the best `take` of the groups scored before it, in the order so far, and re-orders these
    alone: original scores are fused with that stage's own. Texts go to the scorer in the groups'
    order, so that a deadline cuts off the tail.

    Raises the first stage's RescoreError, or DeadlinePassed when it scored nothing. If a later
    stage fails or comes too late, the order before it stands and its report says why.
    """
    groups = prepared.groups
    order = list(range(len(groups)))
    readable = {index for index in order if prepared.passages[index]}
    fused: dict[int, float] = {}
    latest: dict[int, float] = {}
    best_passages: dict[int, str] = {}
    scores_by_stage: list[dict[int, float]] = []
    stages: list[StageReport] = []

    for stage in plan.stages:
        read = [index for index in order if index in readable][: stage.take]
        passages = [passage for index in read for passage in prepared.passages[index]]
        texts = [passage.text for passage in passages]
        try:
            answer = await scorer.score(stage.model, replace_surrogates(query_text), texts)
            scores = group_scores(passages, answer, stage.aggregate, stage.best)
            if not scores:
                raise DeadlinePassed("the deadline passed before one hit was scored")
            values = fuse(groups, scores, plan.fusion, prepared.evidence)
        except RescoreError as error:
            if not stages:
                raise
            stages.append(StageReport(stage.model, len(read), 0, error.reason))
            scores_by_stage.append({})
            break
        order = reorder(order, values)
        placed = [index for index in order if index in values]
        if fused:
            # Values of two models cannot be compared: these take the range they held before.
            laid = lay_on([values[i] for i in placed], [fused[i] for i in placed])
            values = dict(zip(placed, laid, strict=True))
        fused |= values
        latest |= scores
        best_passages |= _best_passages(passages, answer, scores.keys())
        scores_by_stage.append(scores)
        stages.append(StageReport(stage.model, len(read), len(scores), None))
        readable = set(scores)

    return Rescoring(
        ranking=rank_hits(groups, order, fused, latest, plan.scores),
        scored=sum(len(groups[index].documents) for index in scores_by_stage[0]),
        stages=tuple(stages),
        hits=_report_hits(groups, best_passages, scores_by_stage, fused),
    )


def _best_passages(
    passages: Sequence[Passage], answer: Sequence[float | None], groups: Container[int]
) -> dict[int, str]:
    """The text of each scored group's passage with the highest score."""
    best: dict[int, tuple[float, str]] = {}
    for passage, score in zip(passages, answer, strict=True):
        if score is not None and passage.group in groups:
            known = best.get(passage.group)
            weighed = weigh(passage, score)
            if known is None or weighed > known[0]:
                best[passage.group] = (weighed, passage.text)
    return {group: text for group, (_, text) in best.items()}


def _report_hits(
    groups: Sequence[Group],
    best_passages: Mapping[int, str],
    scores_by_stage: Sequence[Mapping[int, float]],
    fused: Mapping[int, float],
) -> tuple[HitReport, ...]:
    reports = [
        HitReport(
            document.position,
            best_passages.get(index),
            tuple(scores.get(index) for scores in scores_by_stage),
            fused.get(index),
        )
        for index, group in enumerate(groups)
        for document in group.documents
    ]
    return tuple(sorted(reports, key=lambda report: report.position))
