"""Highlights: where an excerpt or a title says what the query text asks for.

A word is highlighted when the field's own analyzer makes the same term of it as of a word of the
query, so that "cells" is found for "cell" where, and only where, OpenSearch finds it. What the
analyzer makes of a run of characters between blanks does not depend on its neighbours, so
OpenSearch is asked once for each run it has not been asked for (`_analyze`, in `word_terms`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from pipelines.kendra_text import STOP_WORDS

OffsetUnit = Literal["code_points", "utf_16"]
HighlightType = Literal["STANDARD", "THESAURUS_SYNONYM"]

_RUN = re.compile(r"\S+")
_EDGE = re.compile(r"^[\W_]+|[\W_]+$")
# Encoded data is nobody's query; sentences of scripts without blanks are shorter.
_LONGEST_RUN = 1000
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Term:
    """What an analyzer makes of a part of a run; offsets in code points of the run."""

    text: str
    start: int
    end: int
    synonym: bool = False


Terms = Mapping[str, Sequence[Term]]
"""The terms of runs."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """One highlighted token: a half-open range of code points."""

    start: int
    end: int
    type: HighlightType


def find_runs(text: str) -> Iterator[tuple[int, str]]:
    """The runs between blanks and where they begin, without punctuation at their ends."""
    for match in _RUN.finditer(text):
        run = match[0]
        if run.isalnum():
            yield match.start(), run
            continue
        kept = _EDGE.sub("", run)
        if kept and len(kept) <= _LONGEST_RUN:
            yield match.start() + run.index(kept), kept


def write_analyze(field: str, runs: Sequence[str]) -> dict[str, Any]:
    """The body of an `_analyze` that says what the field's analyzer makes of the runs."""
    return {"field": field, "text": list(runs)}


def read_analyze(answer: Mapping[str, Any], runs: Sequence[str]) -> dict[str, tuple[Term, ...]]:
    """The terms of each run; a run of nothing but stop words has none.

    OpenSearch counts offsets in UTF-16 units through all runs, with one between two of them.
    """
    lengths = [len(run) if run.isascii() else len(run.encode("utf-16-le")) // 2 for run in runs]
    begins = list(accumulate((length + 1 for length in lengths), initial=0))
    found: dict[str, list[Term]] = {run: [] for run in runs}
    for token in answer["tokens"]:
        index = bisect_right(begins, token["start_offset"]) - 1
        start, end = (token[name] - begins[index] for name in ("start_offset", "end_offset"))
        if index >= len(runs) or not 0 <= start < end <= lengths[index]:
            continue
        run = runs[index]
        if lengths[index] != len(run):
            start, end = (_code_points(run, offset) for offset in (start, end))
        found[run].append(Term(token["token"], start, end, token["type"] == "SYNONYM"))
    return {run: tuple(terms) for run, terms in found.items()}


def guess_terms(runs: Iterable[str]) -> dict[str, tuple[Term, ...]]:
    """The terms of runs where OpenSearch cannot be asked: words in lower case."""
    return {
        run: tuple(Term(m[0].lower(), m.start(), m.end()) for m in _WORD.finditer(run))
        for run in runs
    }


def find_query_terms(query_text: str, terms: Terms) -> dict[str, bool]:
    """The terms that the query asks for; True for those that it only has by a synonym.

    Stop words are not highlighted unless there is nothing else.
    """
    runs = [run for _, run in find_runs(query_text)]
    telling = [run for run in runs if run.lower() not in STOP_WORDS]
    wanted: dict[str, bool] = {}
    for run in telling or runs:
        for term in terms.get(run, ()):
            wanted[term.text] = term.synonym and wanted.get(term.text, True)
    return wanted


def find_highlights(text: str, terms: Terms, wanted: Mapping[str, bool]) -> list[Highlight]:
    """The tokens of a text whose term is wanted: in order, one each, none over another."""
    highlights: list[Highlight] = []
    for at, run in find_runs(text):
        # Several terms may stand at one place: synonyms, parts of a compound and the whole of it.
        places: dict[tuple[int, int], bool] = {}
        for term in terms.get(run, ()):
            synonym = wanted.get(term.text)
            if synonym is not None:
                place = (term.start, term.end)
                places[place] = (synonym or term.synonym) and places.get(place, True)
        upto = 0
        for (start, end), synonym in sorted(places.items(), key=lambda p: (p[0][0], -p[0][1])):
            if start >= upto:
                highlights.append(
                    Highlight(at + start, at + end, "THESAURUS_SYNONYM" if synonym else "STANDARD")
                )
                upto = end
    return highlights


def write_text(
    text: str, highlights: Sequence[Highlight], unit: OffsetUnit, top_answer: bool = False
) -> dict[str, Any]:
    """A text with highlights as the API has it; offsets count code points or UTF-16 units."""
    offset = _offset_counter(text, unit)
    return {
        "Text": text,
        "Highlights": [
            {
                "BeginOffset": offset(highlight.start),
                "EndOffset": offset(highlight.end),
                "TopAnswer": top_answer,
                "Type": highlight.type,
            }
            for highlight in highlights
        ],
    }


def _offset_counter(text: str, unit: OffsetUnit) -> Any:
    wide = [] if text.isascii() or unit == "code_points" else _wide_characters(text)
    if not wide:
        return int
    return lambda offset: offset + bisect_right(wide, offset - 1)


def _wide_characters(text: str) -> list[int]:
    """Where the characters of two UTF-16 units stand."""
    return [index for index, char in enumerate(text) if char > "\uffff"]


def _code_points(text: str, units: int) -> int:
    """How many code points so many UTF-16 units are."""
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))
