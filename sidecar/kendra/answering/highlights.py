"""Finds the words of the query in an excerpt or a title.

A word is highlighted when the field's analyzer makes the same term of it as of a word of the query.
So a query for "cell" highlights "cells" exactly when it also finds "cells" in OpenSearch. The terms
of a word between blanks do not depend on its neighbours. `word_terms.py` therefore asks OpenSearch
(`_analyze`) only once for each word.

A *piece* is what stands between two blanks. Its *run* is the piece without punctuation at its ends.
Offsets and ranges are in code points unless a docstring says otherwise; ranges are half-open.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from pipelines.kendra_text import STOP_WORDS
from pipelines.words import MARKS, WORD
from sidecar.config.kendra import OffsetUnit

HighlightType = Literal["STANDARD", "THESAURUS_SYNONYM"]

_PIECE = re.compile(r"\S+")
_LETTER = re.compile(r"[^\W_]")
_MARKS = re.compile(f"[{MARKS}]*")
# A longer run is encoded data, which no query asks for. Sentences in scripts without blanks are
# shorter.
_LONGEST_RUN = 1000


@dataclass(frozen=True, slots=True)
class Term:
    """A term that an analyzer makes of a part of a word. `start` and `end` are offsets in the word.

    `synonym`: the term is not in the text; a synonym filter added it.
    """

    text: str
    start: int
    end: int
    synonym: bool = False


Terms = Mapping[str, Sequence[Term]]
"""The terms of each piece, with their offsets in the piece."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """The range of one highlighted word."""

    start: int
    end: int
    type: HighlightType


def find_run(piece: str) -> tuple[int, str]:
    """The offset at which the run of a piece begins, and the run.

    The run is empty if the piece has only punctuation, or is too long for a word.
    """
    if piece.isalnum():
        return 0, piece if len(piece) <= _LONGEST_RUN else ""
    first = _LETTER.search(piece)
    last = _LETTER.search(piece[::-1])
    if first is None or last is None:
        return 0, ""
    end = len(piece) - last.start()
    marks = _MARKS.match(piece, end)
    run = piece[first.start() : marks.end() if marks else end]
    return (first.start(), run) if len(run) <= _LONGEST_RUN else (0, "")


def write_analyze(field: str, runs: Sequence[str]) -> dict[str, Any]:
    """The body of an `_analyze` request for the terms of the runs, by the field's analyzer."""
    return {"field": field, "text": list(runs)}


def read_analyze(answer: Mapping[str, Any], runs: Sequence[str]) -> dict[str, tuple[Term, ...]]:
    """The terms of each run, read from the answer to `_analyze`. A run of stop words has none.

    OpenSearch counts offsets in UTF-16 units over all runs, plus one between two runs.
    """
    lengths = [len(run) if run.isascii() else len(run.encode("utf-16-le")) // 2 for run in runs]
    begins = list(accumulate((length + 1 for length in lengths), initial=0))
    terms: dict[str, list[Term]] = {run: [] for run in runs}
    for token in answer["tokens"]:
        index = bisect_right(begins, token["start_offset"]) - 1
        start, end = (token[name] - begins[index] for name in ("start_offset", "end_offset"))
        if index >= len(runs) or not 0 <= start < end <= lengths[index]:
            continue
        run = runs[index]
        if lengths[index] != len(run):
            start, end = (_code_points(run, offset) for offset in (start, end))
        terms[run].append(Term(token["token"], start, end, token["type"] == "SYNONYM"))
    return {run: tuple(terms_of_run) for run, terms_of_run in terms.items()}


def guess_terms(runs: Iterable[str]) -> dict[str, tuple[Term, ...]]:
    """The terms of runs when OpenSearch gives none: their words in lower case."""
    return {
        run: tuple(Term(m[0].lower(), m.start(), m.end()) for m in WORD.finditer(run))
        for run in runs
    }


def find_query_terms(query_text: str, terms: Terms) -> dict[str, bool]:
    """The terms of the query. The value is True for a term that comes only from a synonym.

    Stop words are left out, unless the query has no other words.
    """
    pieces = query_text.split()
    telling = [piece for piece in pieces if find_run(piece)[1].lower() not in STOP_WORDS]
    query_terms: dict[str, bool] = {}
    for piece in telling or pieces:
        for term in terms.get(piece, ()):
            query_terms[term.text] = term.synonym and query_terms.get(term.text, True)
    return query_terms


def find_marks(terms: Terms, query_terms: Mapping[str, bool]) -> dict[str, tuple[Highlight, ...]]:
    """The highlights of each piece that has a term of the query.

    They do not overlap, and their offsets are within the piece.
    """
    marks: dict[str, tuple[Highlight, ...]] = {}
    for piece, terms_of_piece in terms.items():
        # Several terms may stand at one place: synonyms, or a compound and its parts.
        places: dict[tuple[int, int], bool] = {}
        for term in terms_of_piece:
            synonym = query_terms.get(term.text)
            if synonym is not None:
                place = (term.start, term.end)
                places[place] = (synonym or term.synonym) and places.get(place, True)
        if places:
            marks[piece] = tuple(_choose(places))
    return marks


def find_highlights(text: str, marks: Mapping[str, Sequence[Highlight]]) -> list[Highlight]:
    """The highlights of a text, in its order; they do not overlap."""
    return [
        Highlight(match.start() + mark.start, match.start() + mark.end, mark.type)
        for match in _PIECE.finditer(text)
        for mark in marks.get(match[0], ())
    ]


def write_text(
    text: str, highlights: Sequence[Highlight], unit: OffsetUnit, top_answer: bool = False
) -> dict[str, Any]:
    """A TextWithHighlights of the API. Its offsets count code points or UTF-16 units."""
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
    """Where ranges overlap, the first wins; where they start together, the longest."""
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
    """The offsets of the characters that take two UTF-16 units."""
    return [index for index, char in enumerate(text) if char > "\uffff"]


def _code_points(text: str, units: int) -> int:
    """Converts an offset in UTF-16 units to code points."""
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))
