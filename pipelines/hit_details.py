"""What a reader of a rescored hit may want to know: its score, its best passage, its place."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from pipelines.documents import read_only_text
from pipelines.fusion_methods import AdditiveFusion
from pipelines.hits import Hit
from pipelines.original_scores import read_original_scores
from pipelines.plan import Plan
from pipelines.relevance import rate_relevance
from pipelines.rescore import ChosenPassages, HitReport, Rescoring
from pipelines.texts import replace_surrogates

_word = re.compile(r"\S+")


class TextPlace(NamedTuple):
    """Where a passage is in a field's value: `value[start:end]`, counted in characters.

    The white space between the words may be another than in the passage.
    """

    field: str
    start: int
    end: int


class AddedScore(NamedTuple):
    """What a stage of additive fusion adds to a hit; `estimated`: the model did not read it."""

    model: str
    added: float
    estimated: bool


@dataclass(frozen=True, slots=True)
class HitDetails:
    """Details of one hit; each is None if there is none.

    `score` is that of the last model that scored the hit's group, and `model` is its name.
    `lexical` is the group's lexical evidence. Under additive fusion, `words` is what the words say
    and `added` what each stage adds, with its model and whether it is estimated. `passage` is
    the group's best passage without the title; `own` is false if it belongs to another hit of the
    group. `too_low`: the score is below the lowest one that was asked for, or the hit is less
    relevant than the plan asks for.
    """

    score: float | None = None
    model: str | None = None
    lexical: float | None = None
    passage: str | None = None
    place: TextPlace | None = None
    own: bool = False
    too_low: bool = False
    words: float | None = None
    added: tuple[AddedScore, ...] = ()


def list_details(
    plan: Plan,
    hits: Sequence[Hit],
    chosen: ChosenPassages,
    rescoring: Rescoring,
    min_score: float | None = None,
    spreads: Sequence[float] = (),
) -> tuple[HitDetails, ...]:
    """The details of each hit of a window, in the original order; linear in the hits' texts.

    `spreads` has that of each stage's model; the plan's `min_relevance` needs them.
    """
    details = [HitDetails()] * len(hits)
    too_low = _find_too_low(chosen, rescoring, min_score)
    too_low |= _find_irrelevant(plan, chosen, rescoring, spreads)
    for index, group in enumerate(chosen.groups):
        best = rescoring.best_passages.get(index)
        text = best and (best.body or best.text)
        for number, document in enumerate(group.documents):
            own = best is not None and best.document == number
            score, model = _last_score(rescoring, rescoring.hits[document.position])
            details[document.position] = HitDetails(
                score,
                model,
                chosen.evidence.groups.get(index),
                text,
                _find_place(plan, hits[document.position].source, text) if own and text else None,
                own,
                index in too_low,
                rescoring.hits[document.position].lexical,
                _list_added(rescoring, rescoring.hits[document.position]),
            )
    return tuple(details)


def _list_added(rescoring: Rescoring, report: HitReport) -> tuple[AddedScore, ...]:
    if not report.added:
        return ()
    parts = zip(rescoring.stages, report.added, report.estimates, strict=True)
    return tuple(
        AddedScore(stage.model, added, estimate is not None)
        for stage, added, estimate in parts
        if added is not None
    )


def _last_score(rescoring: Rescoring, report: HitReport) -> tuple[float | None, str | None]:
    for stage, score in zip(reversed(rescoring.stages), reversed(report.scores), strict=True):
        if score is not None:
            return score, stage.model
    return None, None


def _find_too_low(
    chosen: ChosenPassages, rescoring: Rescoring, min_score: float | None
) -> frozenset[int]:
    """The groups whose score is too low, by the scale of the last stage's model.

    A group that the last stage was not given is too low, because that stage reads the best ones. A
    group that the deadline cut off, or without text, is not; nor is one that is pinned. If the last
    stage failed, no group is too low: the scores are on another scale.
    """
    last = rescoring.stages[-1]
    if min_score is None or last.reason is not None:
        return frozenset()
    originals = read_original_scores(group.original_score for group in chosen.groups)
    found = set()
    for index, group in enumerate(chosen.groups):
        if group.original_score > originals.high:
            continue
        *earlier, score = rescoring.hits[group.documents[0].position].scores
        if score is not None:
            below = score < min_score
        else:
            below = last.scored == last.groups and any(one is not None for one in earlier)
        if below:
            found.add(index)
    return frozenset(found)


def _find_irrelevant(
    plan: Plan, chosen: ChosenPassages, rescoring: Rescoring, spreads: Sequence[float]
) -> frozenset[int]:
    """The groups that are less relevant than the plan asks for.

    Groups whose relevance is not known are not among them, nor are pinned ones; but a group that
    the last of several stages was not given is, where only that stage's score counts.
    """
    least = plan.least_relevance
    if least is None:
        return frozenset()
    if not isinstance(plan.fusion, AdditiveFusion):
        return _find_too_low(chosen, rescoring, least)
    originals = read_original_scores(group.original_score for group in chosen.groups)
    found = set()
    for index, group in enumerate(chosen.groups):
        scores = rescoring.hits[group.documents[0].position].scores
        relevance = rate_relevance(plan, scores, spreads)
        if relevance is not None and relevance < least and group.original_score <= originals.high:
            found.add(index)
    return frozenset(found)


def _find_place(plan: Plan, source: Mapping[str, object], passage: str) -> TextPlace | None:
    """The place of a passage in the first field that contains it as one text."""
    for field in (*plan.document.body, *plan.document.title):
        value = read_only_text(source, field.field)
        if value is None:
            continue
        value = replace_surrogates(value)
        start = value.find(passage)
        if start >= 0:
            return TextPlace(field.field, start, start + len(passage))
        span = _find_words(value, passage)
        if span is not None:
            return TextPlace(field.field, *span)
    return None


def _find_words(value: str, passage: str) -> tuple[int, int] | None:
    """Where a passage with single blanks is in a text with any white space."""
    spans = [match.span() for match in _word.finditer(value)]
    joined = " ".join(value[start:end] for start, end in spans)
    found = joined.find(passage)
    if found < 0:
        return None
    starts = [0, *accumulate(end - start + 1 for start, end in spans)]

    def offset(place: int) -> int:
        word = bisect_right(starts, place) - 1
        return spans[word][0] + place - starts[word]

    return offset(found), offset(found + len(passage) - 1) + 1
