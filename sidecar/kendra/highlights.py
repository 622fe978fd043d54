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

_PIECE = re.compile(r"\S+")
_EDGE = re.compile(r"^[\W_]+|[\W_]+$")
# Encoded data is nobody's query; sentences of scripts without blanks are shorter.
_LONGEST_RUN = 1000
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Term:
    """What an analyzer makes of a part of a word; offsets in code points."""

    text: str
    start: int
    end: int
    synonym: bool = False


Terms = Mapping[str, Sequence[Term]]
"""The terms of pieces, which are what stands between blanks; offsets in code points of a piece."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """One highlighted token: a half-open range of code points."""

    start: int
    end: int
    type: HighlightType


def find_run(piece: str) -> tuple[int, str]:
    """The run of a piece and where it begins in it: the piece without punctuation at its ends.

    It is empty for a piece of nothing but punctuation, and for one that is too long for a word.
    """
    if piece.isalnum():
        return 0, piece if len(piece) <= _LONGEST_RUN else ""
    run = _EDGE.sub("", piece)
    return (piece.index(run), run) if len(run) <= _LONGEST_RUN else (0, "")


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
    pieces = query_text.split()
    telling = [piece for piece in pieces if find_run(piece)[1].lower() not in STOP_WORDS]
    wanted: dict[str, bool] = {}
    for piece in telling or pieces:
        for term in terms.get(piece, ()):
            wanted[term.text] = term.synonym and wanted.get(term.text, True)
    return wanted


def find_marks(terms: Terms, wanted: Mapping[str, bool]) -> dict[str, tuple[Highlight, ...]]:
    """What is highlighted in each piece that has a wanted term: one token each, none over another.

    Offsets are within the piece.
    """
    marks: dict[str, tuple[Highlight, ...]] = {}
    for piece, found in terms.items():
        # Several terms may stand at one place: synonyms, parts of a compound and the whole of it.
        places: dict[tuple[int, int], bool] = {}
        for term in found:
            synonym = wanted.get(term.text)
            if synonym is not None:
                place = (term.start, term.end)
                places[place] = (synonym or term.synonym) and places.get(place, True)
        if places:
            marks[piece] = tuple(_choose(places))
    return marks


def find_highlights(text: str, marks: Mapping[str, Sequence[Highlight]]) -> list[Highlight]:
    """The highlights of a text: in order, none over another."""
    return [
        Highlight(match.start() + mark.start, match.start() + mark.end, mark.type)
        for match in _PIECE.finditer(text)
        for mark in marks.get(match[0], ())
    ]


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


def _choose(places: Mapping[tuple[int, int], bool]) -> Iterator[Highlight]:
    """Of places over one another the first, and of those that begin together the longest."""
    upto = 0
    for (start, end), synonym in sorted(places.items(), key=lambda p: (p[0][0], -p[0][1])):
        if start >= upto:
            yield Highlight(start, end, "THESAURUS_SYNONYM" if synonym else "STANDARD")
            upto = end


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
