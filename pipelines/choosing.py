"""Chooses the passages of a window that the models read.

This is pure computing, so the shell may run it in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from pipelines.documents import Document, read_documents
from pipelines.errors import BadScores, NoText
from pipelines.fusion import LARGEST
from pipelines.fusion_methods import AdditiveFusion
from pipelines.groups import Group, group_documents
from pipelines.hits import Hit
from pipelines.lexical import (
    Evidence,
    count_window,
    count_words,
    find_exact,
    weigh_evidence,
)
from pipelines.passage_selection import select_passages
from pipelines.passages import Passage, Splitter, split_document, split_passages
from pipelines.plan import Plan
from pipelines.texts import replace_surrogates
from pipelines.words import numbered_words, read_query_words

_group_of = attrgetter("group")


@dataclass(frozen=True, slots=True)
class ChosenPassages:
    """What the models read of a window: its groups, and the chosen passages of each group.

    `passages` has one entry per group, empty for a group without text. `all_passages` are those
    that it was chosen from, group by group, and `bm25` has the BM25 of each, which is 0 if the plan
    compares none; `starts` has the place of the first one of each group with passages. `evidence`
    has no groups if the plan's fusion does not use it. `uncut` counts the documents that a caller
    had no time to cut: they have no passages here, and stay where they are.
    """

    groups: tuple[Group, ...]
    passages: tuple[tuple[Passage, ...], ...]
    all_passages: Sequence[Passage]
    bm25: Sequence[float]
    evidence: Evidence
    starts: Mapping[int, int]
    uncut: int = 0

    @property
    def documents(self) -> Iterator[Document]:
        """All documents, group by group."""
        return (document for group in self.groups for document in group.documents)

    def best_first(self, group: int) -> list[Passage]:
        """The passages of a group by their BM25; equal ones keep their order."""
        if len(self.passages[group]) < 2:
            return list(self.passages[group])
        start, bm25 = self.starts[group], self.bm25
        return sorted(self.passages[group], key=lambda one: -bm25[start + one.number])


def choose_passages(
    plan: Plan,
    query_text: str,
    hits: Sequence[Hit],
    split: Splitter = split_document,
) -> ChosenPassages:
    """Turn a window's hits into documents, and choose the passages that the models read.

    Raises NoText if no hit has any text in the plan's fields, and BadScores for an original score
    that is not finite or too large.
    """
    documents = read_documents(hits, plan)
    return choose_document_passages(plan, query_text, documents, split)


def choose_document_passages(
    plan: Plan,
    query_text: str,
    documents: Sequence[Document],
    split: Splitter = split_document,
) -> ChosenPassages:
    """Group and cut documents, and choose the passages that the models read.

    This is the entrance for callers that have documents, not hits; the plan's `document` and
    `group_by` do not apply. Raises NoText if no document has any text, and BadScores as above.
    """
    if not all(abs(document.original_score) <= LARGEST for document in documents):
        raise BadScores("an original score is not a finite number, or too large")
    groups = group_documents(documents)
    query_text = replace_surrogates(query_text)
    language = plan.stem_language
    passages = split_passages(groups, plan.passages, split, language)
    if not passages:
        raise NoText("no hit has text in the fields of the plan's document; check their names")
    query = read_query_words(query_text, language)
    scores = [0.0] * len(passages)
    evidence: Mapping[int, float] = {}
    exact: Mapping[int, float] = {}
    reads_words = plan.fusion.reads_words
    if reads_words:
        counts = count_window(query, passages)
        scores = counts.bodies.bm25()
        evidence = weigh_evidence(query, passages, counts)
        if isinstance(plan.fusion, AdditiveFusion) and plan.fusion.guard.identifiers:
            exact = find_exact(query, numbered_words(query_text), passages, counts)
    elif plan.passages.needs_scores(_count_passages(passages)):
        scores = count_words(query, [passage.words for passage in passages]).bm25()
    selected = select_passages(query_text, passages, scores, plan.passages)
    by_group: list[tuple[Passage, ...]] = [()] * len(groups)
    for group, own in groupby(selected, key=_group_of):
        by_group[group] = tuple(own)
    return ChosenPassages(
        tuple(groups),
        tuple(by_group),
        passages,
        scores,
        Evidence(len(query.different), evidence, exact),
        {passage.group: place for place, passage in enumerate(passages) if not passage.number},
    )


def _count_passages(passages: Sequence[Passage]) -> Iterable[int]:
    """The number of passages of each group, and of each field of it that is read separately."""
    return Counter((passage.group, passage.part) for passage in passages).values()
