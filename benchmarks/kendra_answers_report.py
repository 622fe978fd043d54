"""The page docs/kendra-answers.md: figures of the replies, and their first results.

A figure is a count of what a person would notice, found by comparing the reply with the documents,
not by asking the sidecar's own code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.kendra_answers_data import AskedCollection, Question

SHOWN = 3
"""Results of a question on the page."""

_CLOSING = " \t\r\n\"'”’)]"
_LEVELS = {"LOW": 0, "MEDIUM": 1, "HIGH": 2, "VERY_HIGH": 3}
_NOT_AVAILABLE = "NOT_AVAILABLE"
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~$])")


@dataclass(frozen=True, slots=True)
class Result:
    """A result as a person sees it. `marked`: the answer that is marked in the passage."""

    type: str
    document: str
    title: str
    excerpt: str
    confidence: str
    passage: str = ""
    marked: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """The replies to a collection's questions, by question; `texts`: of the documents, by id."""

    collection: AskedCollection
    texts: Mapping[str, str]
    replies: Mapping[str, Sequence[Result]]

    def results(self, kind: str) -> Iterator[Result]:
        """All results of a type."""
        for reply in self.replies.values():
            yield from (result for result in reply if result.type == kind)

    def first(self, question: Question, kind: str) -> Result | None:
        """The first result of a type."""
        return next((r for r in self.replies[question.id] if r.type == kind), None)

    def answered(self) -> list[tuple[Question, Result, Result | None]]:
        """The questions that have an ANSWER, with the first one and the first DOCUMENT."""
        return [
            (question, answer, self.first(question, "DOCUMENT"))
            for question in self.collection.questions
            if (answer := self.first(question, "ANSWER"))
        ]


def read_reply(items: Sequence[Mapping[str, Any]]) -> list[Result]:
    """The results of a reply to a Query."""
    return [_read_item(item) for item in items]


def _read_item(item: Mapping[str, Any]) -> Result:
    answers = [
        attribute["Value"]["TextWithHighlightsValue"]
        for attribute in item.get("AdditionalAttributes", [])
        if attribute["Key"] == "AnswerText"
    ]
    passage = answers[0]["Text"] if answers else ""
    marks = answers[0]["Highlights"] if answers else []
    return Result(
        item["Type"],
        item["DocumentId"],
        item["DocumentTitle"]["Text"],
        item["DocumentExcerpt"]["Text"],
        item["ScoreAttributes"]["ScoreConfidence"],
        passage,
        passage[marks[0]["BeginOffset"] : marks[0]["EndOffset"]] if marks else "",
    )


def hits(question: Question, answer: Result) -> bool:
    """Whether a marked answer is a judged one, in a relevant document.

    A judged sentence has to be marked exactly. A judged part of a sentence has to be in what is
    marked, or the other way round if it is longer.
    """
    if answer.document not in question.relevant:
        return False
    marked = _normal(answer.marked)
    if question.is_sentence:
        return any(_normal(judged) == marked for judged in question.answers)
    return any(
        _normal(judged) in marked or marked in _normal(judged) for judged in question.answers
    )


def is_question(text: str) -> bool:
    """Whether a text ends with a question mark."""
    return text.rstrip(_CLOSING).endswith("?")


def cuts_word(excerpt: str, text: str) -> bool:
    """Whether an excerpt of a text begins or ends within a word."""
    begin = text.find(excerpt)
    if not excerpt or begin < 0:
        return False
    end = begin + len(excerpt)
    return _within_word(text, begin) or _within_word(text, end)


def contradictions(reply: Sequence[Result]) -> int:
    """Documents of a reply that are shown with more than one confidence."""
    seen: dict[str, set[str]] = {}
    for result in reply:
        seen.setdefault(result.document, set()).add(result.confidence)
    return sum(len(values) > 1 for values in seen.values())


def rises(reply: Sequence[Result]) -> bool:
    """Whether the confidence of a DOCUMENT is higher than that of one before it."""
    levels = [
        _LEVELS[result.confidence]
        for result in reply
        if result.type == "DOCUMENT" and result.confidence in _LEVELS
    ]
    return levels != sorted(levels, reverse=True)


def mixes(reply: Sequence[Result]) -> bool:
    """Whether some results of a reply have a confidence, and others have none."""
    absent = [result.confidence == _NOT_AVAILABLE for result in reply]
    return any(absent) and not all(absent)


def _within_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


Figure = Callable[[Pass], str]

FIGURES: Mapping[str, Figure] = {
    "questions that have an ANSWER": lambda p: _of(len(p.answered()), len(p.collection.questions)),
    "first ANSWER's document is relevant": lambda p: _of(
        sum(answer.document in question.relevant for question, answer, _ in p.answered()),
        len(p.answered()),
    ),
    "first DOCUMENT is relevant, same questions": lambda p: _of(
        sum(
            document is not None and document.document in question.relevant
            for question, _, document in p.answered()
        ),
        len(p.answered()),
    ),
    "first DOCUMENT is relevant, all questions": lambda p: _of(
        sum(
            document is not None and document.document in question.relevant
            for question in p.collection.questions
            for document in [p.first(question, "DOCUMENT")]
        ),
        len(p.collection.questions),
    ),
    "first ANSWER marks the judged answer": lambda p: _of(
        sum(hits(question, answer) for question, answer, _ in p.answered()), len(p.answered())
    ),
    "one of the ANSWERs marks the judged answer": lambda p: _of(
        sum(
            any(hits(question, each) for each in p.replies[question.id] if each.type == "ANSWER")
            for question, _, _ in p.answered()
        ),
        len(p.answered()),
    ),
    "answers that are questions": lambda p: _of(
        sum(is_question(answer.marked) for answer in p.results("ANSWER")),
        len([*p.results("ANSWER")]),
    ),
    "answers that are not wholly in the excerpt": lambda p: _of(
        sum(answer.marked not in answer.excerpt for answer in p.results("ANSWER")),
        len([*p.results("ANSWER")]),
    ),
    "excerpts that begin or end within a word": lambda p: _of(
        sum(
            cuts_word(result.excerpt, p.texts[result.document])
            for kind in ("ANSWER", "DOCUMENT")
            for result in p.results(kind)
        ),
        sum(map(len, p.replies.values())),
    ),
    "documents with contradicting confidence": lambda p: str(
        sum(map(contradictions, p.replies.values()))
    ),
    "replies in which the confidence of DOCUMENTs rises": lambda p: _of(
        sum(map(rises, p.replies.values())), len(p.replies)
    ),
    "replies that mix confidence with NOT\\_AVAILABLE": lambda p: _of(
        sum(map(mixes, p.replies.values())), len(p.replies)
    ),
}
"""Rows of a table, and what they count in a pass."""

_HEAD = """\
# Kendra: what a person sees who asks

Written by `make answers` (`benchmarks/kendra_answers.py`); do not edit by hand.

Each collection has {questions} questions, drawn with a fixed seed. They are sent with boto3's
`query` (page of 10) to a sidecar over a real OpenSearch 3.8, with the plan `fused` and the bundled
all-MiniLM-L6-v2, as [the guide](moving-from-kendra.md) sets it up. *Cold*: the passage store is
empty, each question is asked once, with the deadline that comes with the sidecar, on the machine
that wrote this page. *Warm*: `sidecar warm` has read the index, and there is no deadline.

- *Relevant* is what the collection's judges said; most documents that answer by chance are not
  judged.
- *Judged answer*: in wikiqa, the marked text is exactly a sentence that judges chose. There the
  sentences of an article are put together to one document. In the others, the judged answer is a
  part of a sentence, and the marked text has it.
- *Excerpt* is `DocumentExcerpt`. It has at most 300 characters in an ANSWER, so a longer answer is
  not wholly in it; `AnswerText` has all of it.
- Types of results, and how answers are chosen: [answers](moving-from-kendra.md#answers).
"""


def write_page(cold: Sequence[Pass], warm: Sequence[Pass], *, all_texts: bool = False) -> str:
    """The page. `all_texts`: also texts that the repository may not have."""
    lines = [_HEAD.format(questions=max(len(each.replies) for each in warm))]
    for before, after in zip(cold, warm, strict=True):
        lines += _write_figures(before, after)
    for each in warm:
        if all_texts or each.collection.licence.shows:
            lines += _write_results(each, all_texts=all_texts)
    return "\n".join(lines).rstrip() + "\n"


def _write_figures(cold: Pass, warm: Pass) -> Iterator[str]:
    collection = warm.collection
    yield f"## Figures: {collection.name}\n"
    yield f"{len(collection.documents):,} documents. {collection.licence.note}\n"
    yield "| | cold | warm |\n|---|---|---|"
    for name, figure in FIGURES.items():
        yield f"| {name} | {figure(cold)} | {figure(warm)} |"
    yield ""


def _write_results(given: Pass, *, all_texts: bool) -> Iterator[str]:
    yield f"## The first {SHOWN} results of each question: {given.collection.name}, warm\n"
    for question in given.collection.questions:
        yield f"### {_plain(question.text)}\n"
        reply = given.replies[question.id][:SHOWN]
        if not reply:
            yield "No results."
        for number, result in enumerate(reply, 1):
            relevant = ", relevant" if result.document in question.relevant else ""
            yield (
                f"{number}. {result.type}, {_plain(result.confidence)}{relevant}: "
                f"*{_plain(result.title)}*<br>"
            )
            allowed = all_texts or given.collection.licence.needs.search(
                given.texts[result.document]
            )
            yield f"   {_excerpt(result) if allowed else '(a text without a stated licence)'}"
        yield ""


def _excerpt(result: Result) -> str:
    """The excerpt in Markdown, with the marked answer in bold."""
    before, marked, after = (
        result.excerpt.partition(result.marked) if result.marked else (result.excerpt, "", "")
    )
    if not marked:
        return _plain(result.excerpt)
    parts = [_plain(before), f"**{_plain(marked)}**", _plain(after)]
    return " ".join(part for part in parts if part)


def _plain(text: str) -> str:
    """A text on one line, with Markdown's signs escaped."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _of(count: int, total: int) -> str:
    return f"{count} of {total}"
