"""The whole flow: choose the passages of a window, then score and fuse them stage by stage.

Contains the core's only `await`s. A stage of additive fusion adds to what is known of a group; of
the other methods, a later stage replaces the scores of the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from pipelines.adding import (
    FusionParts,
    StageParts,
    assume_mean,
    correct_estimates,
    read_parts,
)
from pipelines.choosing import ChosenPassages, choose_document_passages, choose_passages
from pipelines.errors import DeadlinePassed, Overloaded, RescoreError
from pipelines.fusion import check_range, fuse, lay_on, place_apart, rank_hits, reorder
from pipelines.fusion_methods import AdditiveFusion
from pipelines.original_scores import read_original_scores
from pipelines.passages import Passage
from pipelines.plan import Plan, Stage
from pipelines.reports import HitReport, Rescoring, StageReport, count_uncut, report_hits
from pipelines.scoring import Scorer, group_scores, weigh
from pipelines.sure_pages import SurePage
from pipelines.texts import replace_surrogates

__all__ = [
    "ChosenPassages",
    "HitReport",
    "Rescoring",
    "StageReport",
    "choose_document_passages",
    "choose_passages",
    "rescore",
]

# Passages of a group that a student estimates, the best ones by BM25: the others would add half of
# the time and change little.
_ESTIMATED_PASSAGES: Final = 2

# To ask whether a page is sure takes about a millisecond for this number of passages, after each
# few that are read.
_FOLLOWED_PASSAGES: Final = 1000


async def rescore(
    plan: Plan,
    query_text: str,
    chosen: ChosenPassages,
    scorer: Scorer,
    *,
    breadth_first: bool = False,
    places: int | None = None,
) -> Rescoring:
    """Run the plan's stages over a window and return its new order.

    The first stage scores the groups that have text, in the original order. Each later stage
    scores the best `take` of the groups that the stage before it scored, and reorders only these:
    it fuses original scores with its own.

    Texts go to the scorer in the order of the groups, so that a deadline cuts off the last ones.
    With `breadth_first`, the best passage of each group goes first, by BM25, then the second of
    each, and so on; and a group counts as scored as soon as one of its passages is.

    Under additive fusion, each stage adds to what is known before it. It reads breadth first, and
    the groups that promise most first: by the words and the stages before it, and by what a student
    of the model expects. What it does not read has the score that the student expects, or without a
    student the mean of the scores that were read.

    `places` is the number of first hits that the caller shows, None for all. If the plan has one
    stage, and sure_pages.py can tell that these hits are final, the stage reads no more; its report
    then has `sure`. The hits behind them have the order that is known.

    Raises the first stage's RescoreError, or DeadlinePassed if that stage scored nothing and has no
    student. If a later stage fails or is too late, the order before it stands and its report says
    why.
    """
    if chosen.uncut:
        places = None  # what was not cut could change any page
    if isinstance(plan.fusion, AdditiveFusion):
        return await _Addition(plan, plan.fusion, query_text, chosen, scorer, places).run()
    groups = chosen.groups
    originals = read_original_scores(group.original_score for group in groups)
    order = list(range(len(groups)))
    readable = {index for index in order if chosen.passages[index]}
    apart = not all(originals.hold(groups[index].original_score) for index in readable)
    fused: dict[int, float] = {}
    latest: dict[int, float] = {}
    best_passages: dict[int, Passage] = {}
    scores_by_stage: list[dict[int, float]] = []
    stages: list[StageReport] = []

    def fuse_scores(scores: Mapping[int, float]) -> dict[int, float]:
        return fuse(groups, originals, scores, plan.fusion, chosen.evidence)

    for stage in plan.stages:
        candidates = [index for index in order if index in readable][: stage.take]
        passages = _list_passages(chosen, candidates, breadth_first)
        texts = [passage.text for passage in passages]
        asked = replace_surrogates(query_text)
        page = None
        try:
            answer = await scorer.recall(stage.model, asked, texts)
            if answer is None:
                if breadth_first and not apart and len(candidates) == len(readable):
                    page = _follow(plan, places, scorer, passages, fuse_scores)
                answer = await _score(scorer, stage.model, asked, texts, page)
            scores, best = group_scores(
                passages, answer, stage.aggregate, stage.averaged, partly=breadth_first
            )
            if not scores:
                raise DeadlinePassed("the deadline passed before one hit was scored")
            assumed = page.assume(answer, scores, {}) if page else {}
            values = fuse_scores({**scores, **assumed})
        except RescoreError as error:
            if not stages:
                raise
            stages.append(StageReport(stage.model, len(candidates), 0, error.reason))
            scores_by_stage.append({})
            break
        order = reorder(order, values)
        placed = [index for index in order if index in values]
        if fused:
            # Values of two models cannot be compared, so these get the range that they had before.
            laid = lay_on([values[i] for i in placed], [fused[i] for i in placed])
            values = dict(zip(placed, laid, strict=True))
        fused |= values
        latest |= scores
        best_passages |= best
        scores_by_stage.append(scores)
        sure = page.places if page and assumed else 0
        stages.append(StageReport(stage.model, len(candidates), len(scores), None, sure=sure))
        readable = set(scores)

    return Rescoring(
        ranking=rank_hits(groups, originals, order, fused, latest, plan.scores),
        scored=sum(len(groups[index].documents) for index in scores_by_stage[0]),
        stages=count_uncut(stages, chosen.uncut),
        hits=report_hits(groups, best_passages, scores_by_stage, fused),
        best_passages=best_passages,
    )


class _Addition:
    """A rescoring by additive fusion, stage by stage; all mappings are by the group's index."""

    def __init__(
        self,
        plan: Plan,
        fusion: AdditiveFusion,
        query_text: str,
        chosen: ChosenPassages,
        scorer: Scorer,
        places: int | None,
    ) -> None:
        self._plan = plan
        self._places = places
        self._query_text = replace_surrogates(query_text)
        self._chosen = chosen
        self._scorer = scorer
        groups = chosen.groups
        scores = [group.original_score for group in groups]
        self._originals = read_original_scores(scores)
        readable = [index for index, passages in enumerate(chosen.passages) if passages]
        self._held = [index for index in readable if self._originals.hold(scores[index])]
        self._apart = set(readable).difference(self._held)
        self._words = read_parts(fusion, groups, self._held, self._originals, chosen.evidence)
        self._factor = fusion.guard.factor(chosen.evidence.query_words)
        # What is known so far; a group without an entry has its place in the order alone.
        self._order = list(range(len(groups)))
        self._open = readable
        self._totals: dict[int, float] = {}
        self._fused: dict[int, float] = {}
        self._latest: dict[int, float] = {}
        self._best: dict[int, Passage] = {}
        self._expected: dict[int, Passage] = {}
        self._by_student: set[int] = set()
        self._parts: list[StageParts] = []
        self._stages: list[StageReport] = []

    async def run(self) -> Rescoring:
        """Read with each stage, and report."""
        for stage in self._plan.stages:
            try:
                report = await self._run(stage)
            except RescoreError as error:
                if not self._stages:
                    raise
                given = len(self._open[: stage.take])
                report = StageReport(stage.model, given, 0, error.reason)
                self._parts.append(StageParts(stage.model, 0.0, 1.0, {}, {}))
            self._stages.append(report)
            if report.reason is not None:
                break
        groups = self._chosen.groups
        read: set[int] = set().union(*(part.scores for part in self._parts))
        words = self._words
        parts = FusionParts(
            words.originals, words.evidence, words.exact, words.lexical, tuple(self._parts)
        )
        best = self._expected | self._best
        scores = [part.scores for part in self._parts]
        return Rescoring(
            ranking=rank_hits(
                groups, self._originals, self._order, self._fused, self._latest, self._plan.scores
            ),
            scored=sum(len(groups[index].documents) for index in scores[0]),
            stages=count_uncut(self._stages, self._chosen.uncut),
            hits=report_hits(groups, best, scores, self._fused, parts),
            best_passages=best,
            estimated=sum(len(groups[index].documents) for index in self._by_student - read),
            parts=parts,
        )

    async def _run(self, stage: Stage) -> StageReport:
        return await self._recall(stage) or await self._read(stage)

    async def _recall(self, stage: Stage) -> StageReport | None:
        """The stage, if its model needs to read nothing for it; else None."""
        if stage.take is not None and stage.take < len(self._open):
            return None  # which groups it takes may depend on what a student expects
        passages = [passage for index in self._open for passage in self._chosen.passages[index]]
        texts = [passage.text for passage in passages]
        answer = await self._scorer.recall(stage.model, self._query_text, texts)
        if answer is None:
            return None
        scores, best = group_scores(passages, answer, stage.aggregate, stage.averaged)
        self._best |= best
        spread, weight = self._scorer.spread(stage.model), stage.added * self._factor
        known = self._totals or self._words.lexical
        given = len(self._open)
        self._add(StageParts(stage.model, weight, spread, scores, {}), known)
        return StageReport(stage.model, given, len(scores), None)

    async def _read(self, stage: Stage) -> StageReport:
        spread = self._scorer.spread(stage.model)
        weight = stage.added * self._factor
        known = self._totals or self._words.lexical
        expected, by_passage = await self._estimate(stage)
        by_student = expected.keys()
        if expected:
            # The student may have no time for all, and knows nothing of some texts.
            readable = (index for index in self._open if self._chosen.passages[index])
            expected = {**assume_mean(readable, expected, spread), **expected}
        order = self._open
        # Groups that stand apart keep their places, so they are read last.
        promise: Mapping[int, float]
        if expected:
            promise = {
                index: known[index] + weight * expected[index] / spread
                for index in order
                if index in known and index in expected
            }
        else:
            promise = known
        order = sorted(order, key=lambda index: -promise.get(index, float("-inf")))[: stage.take]
        passages = self._list(order, by_passage)

        def fuse_scores(scores: Mapping[int, float]) -> dict[int, float]:
            return StageParts(stage.model, weight, spread, scores, {}).add_to(known)

        page = None
        if not self._apart and len(order) == len(self._open):
            page = _follow(self._plan, self._places, self._scorer, passages, fuse_scores)
        answer: Sequence[float | None] = ()
        reason = None
        try:
            texts = [passage.text for passage in passages]
            answer = await _score(self._scorer, stage.model, self._query_text, texts, page)
            scores, best = group_scores(
                passages, answer, stage.aggregate, stage.averaged, partly=True
            )
            if not scores:
                raise DeadlinePassed("the deadline passed before one hit was scored")
        except (DeadlinePassed, Overloaded) as error:
            if not expected:
                raise
            scores, reason = {}, error.reason
        else:
            self._best |= best
        if expected:
            estimates = correct_estimates(expected, scores, spread)
        else:
            estimates = assume_mean(known, scores, spread)
        assumed = page.assume(answer, scores, estimates) if page and scores else {}
        if assumed:
            estimates = {index: assumed[index] for index in assumed.keys() - scores.keys()}
            scores = {index: assumed.get(index, score) for index, score in scores.items()}
        if expected:
            self._latest = {**estimates, **self._latest}
            self._by_student |= estimates.keys() & by_student
        part = StageParts(stage.model, weight, spread, scores, estimates)
        self._add(part, known)
        estimated = len(estimates.keys() & by_student)
        sure = page.places if page and assumed else 0
        return StageReport(stage.model, len(order), len(scores), reason, estimated, sure)

    def _add(self, part: StageParts, known: Mapping[int, float]) -> None:
        later = part.add_to(known)
        check_range(later.values())
        seen = part.scores.keys() | part.estimates.keys()
        values = place_apart(later, self._apart & seen, self._chosen.groups, self._originals)
        self._order = reorder(self._order, values)
        if self._fused.keys() - values.keys():
            # Other groups keep values without this stage. So that all compare, these groups get the
            # range that their own values had before it.
            placed = [index for index in self._order if index in values]
            laid = lay_on([values[i] for i in placed], [self._fused[i] for i in placed])
            values = dict(zip(placed, laid, strict=True))
        self._fused |= values
        self._totals = later
        self._open = [index for index in self._order if index in values]
        self._latest |= part.scores
        self._parts.append(part)

    async def _estimate(self, stage: Stage) -> tuple[dict[int, float], dict[str, float]]:
        """What a student expects of each group, and of each of their best passages."""
        if self._plan.student == "off":
            return {}, {}
        passages = [
            passage
            for index in self._open
            for passage in self._chosen.best_first(index)[:_ESTIMATED_PASSAGES]
        ]
        texts = [passage.text for passage in passages]
        try:
            answer = await self._scorer.estimate(stage.model, self._query_text, texts)
        except RescoreError:
            return {}, {}
        if answer is None:
            return {}, {}
        expected, best = group_scores(
            passages, answer, stage.aggregate, stage.averaged, partly=True
        )
        self._expected |= best
        by_passage = {
            text: score for text, score in zip(texts, answer, strict=True) if score is not None
        }
        return expected, by_passage

    def _list(self, order: Sequence[int], expected: Mapping[str, float]) -> list[Passage]:
        """The passages of these groups, the best one of each first."""
        if not expected:
            return _list_passages(self._chosen, order, breadth_first=True)
        least = min(expected.values())
        turns = zip_longest(
            *(
                sorted(
                    self._chosen.passages[index],
                    key=lambda one: -weigh(one, expected.get(one.text, least)),
                )
                for index in order
            )
        )
        return [passage for turn in turns for passage in turn if passage is not None]


def _follow(
    plan: Plan,
    places: int | None,
    scorer: Scorer,
    passages: Sequence[Passage],
    fuse_scores: Callable[[Mapping[int, float]], Mapping[int, float]],
) -> SurePage | None:
    """What can tell that the first hits are final before everything is read; None if nothing can.

    What a later stage reads depends on the whole order, so a plan must have one stage.
    """
    if places is None or len(plan.stages) > 1 or not plan.fusion.separate:
        return None
    if len(passages) > _FOLLOWED_PASSAGES:
        return None
    [stage] = plan.stages
    highest = scorer.highest(stage.model)
    if highest is None:
        return None
    return SurePage(places, highest, stage, passages, fuse_scores)


async def _score(
    scorer: Scorer, model: str, query_text: str, texts: Sequence[str], page: SurePage | None
) -> Sequence[float | None]:
    if page is None:
        return await scorer.score(model, query_text, texts)
    return await scorer.score_until(model, query_text, texts, page.is_sure)


def _list_passages(
    chosen: ChosenPassages, groups: Sequence[int], breadth_first: bool
) -> list[Passage]:
    """The passages of these groups in the order in which they are read."""
    if not breadth_first:
        return [passage for index in groups for passage in chosen.passages[index]]
    turns = zip_longest(*(chosen.best_first(index) for index in groups))
    return [passage for turn in turns for passage in turn if passage is not None]
