"""Spelling suggestions: what to ask in the search itself, and the corrected query text.

Each word is one suggestion of the search, by OpenSearch's `term` suggester. That one looks into the
whole index, so where a caller may not see all documents the `phrase` suggester is asked instead: it
can be told to offer only what one of the caller's documents has (`collate`). It offers the word
itself too, so that a word is misspelt for a caller exactly when none of his documents has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.kendra.highlights import OffsetUnit
from sidecar.kendra.token_words import TokenWord, find_token_words

_SHORTEST, _LONGEST = 3, 30
_MOST_WORDS = 30
_LONGEST_TEXT = 1000
"""Characters of a suggested text that the service's model allows."""
_LEAST_SHARE = 0.0001
"""A word is offered that at least one in ten thousand documents has."""

_NAME = "spelling-{}"
_PART = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_CANDIDATES = 5
_CLAUSE = re.compile(
    r"(?<![\w-])[A-Za-z0-9_][A-Za-z0-9_-]*:[<>=]*(?:[\[{][^\]}]*[\]}]?|\"[^\"]*\"?|\S+)"
)


@dataclass(frozen=True, slots=True)
class Correction:
    """One corrected word; `start` and `end` are code points of the suggested query text."""

    start: int
    end: int
    term: str
    corrected: str


def find_words(query_text: str) -> list[TokenWord]:
    """The words of a query text that may be corrected: 3 to 30 letters, no digits.

    Parts of a hyphenated word are words of their own. Field clauses and operators are left alone.
    """
    clauses = [match.span() for match in _CLAUSE.finditer(query_text)]
    words = []
    for token in find_token_words(query_text):
        if any(start <= token.start < end for start, end in clauses):
            continue
        following = query_text[token.end : token.end + 1]
        for part in _PART.finditer(token.text):
            start, end = token.start + part.start(), token.start + part.end()
            whole = part.end() < len(token.text) or following != "*"
            if _SHORTEST <= len(part[0]) <= _LONGEST and part[0] == token.text and whole:
                words.append(TokenWord(part[0], start, end))
    return words[:_MOST_WORDS]


def write_suggest(
    words: Sequence[TokenWord], field: str, visible: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The `suggest` of a search, one entry a word; empty when there is nothing to correct.

    `field` is not stemmed. `visible`: the filter of the documents that the caller may see, None
    when he sees all.
    """
    entries: dict[str, Any] = {}
    for number, word in enumerate(words):
        text = word.text.lower()
        generator = {
            "field": field,
            "suggest_mode": "missing" if visible is None else "always",
            "min_word_length": _SHORTEST,
            "max_edits": 2,
            "min_doc_freq": _LEAST_SHARE,
        }
        if visible is None:
            entry: dict[str, Any] = {"text": text, "term": {**generator, "size": 1}}
        else:
            query = {"bool": {"must": {"match": {field: "{{suggestion}}"}}, "filter": [visible]}}
            entry = {
                "text": text,
                "phrase": {
                    "field": field,
                    "size": _CANDIDATES + 1,
                    "max_errors": 1,
                    # Without a bound the word as it is would win over every correction.
                    "confidence": 0,
                    "direct_generator": [{**generator, "size": _CANDIDATES}],
                    "collate": {"query": {"source": query}},
                },
            }
        entries[_NAME.format(number)] = entry
    return entries


def read_corrections(suggest: Mapping[str, Any], words: Sequence[TokenWord]) -> dict[int, str]:
    """The correction of each word that has one, by its number, in the word's own capitals."""
    corrections: dict[int, str] = {}
    for number, word in enumerate(words):
        for entry in suggest.get(_NAME.format(number), ()):
            options = [option["text"] for option in entry.get("options", ())]
            if options and word.text.lower() not in options:
                corrections[number] = _like(word.text, options[0])
    return corrections


def correct_query_text(
    query_text: str, words: Sequence[TokenWord], corrections: Mapping[int, str]
) -> tuple[str, list[Correction]]:
    """The query text with its words corrected, all else as it was, and what was corrected."""
    parts: list[str] = []
    found: list[Correction] = []
    upto = length = 0
    for number, corrected in sorted(corrections.items()):
        word = words[number]
        kept = query_text[upto : word.start]
        parts += [kept, corrected]
        start = length + len(kept)
        length = start + len(corrected)
        found.append(Correction(start, length, word.text, corrected))
        upto = word.end
    return "".join([*parts, query_text[upto:]]), found


def write_spell_corrected(
    query_text: str,
    words: Sequence[TokenWord],
    suggest: Mapping[str, Any],
    unit: OffsetUnit = "code_points",
) -> list[dict[str, Any]]:
    """SpellCorrectedQueries of an answer: at most one; empty when there is nothing to correct."""
    suggested, corrections = correct_query_text(query_text, words, read_corrections(suggest, words))
    if not corrections or len(suggested) > _LONGEST_TEXT:
        return []

    def offset(at: int) -> int:
        return at if unit == "code_points" else len(suggested[:at].encode("utf-16-le")) // 2

    return [
        {
            "SuggestedQueryText": suggested,
            "Corrections": [
                {
                    "BeginOffset": offset(correction.start),
                    "EndOffset": offset(correction.end),
                    "Term": correction.term,
                    "CorrectedTerm": correction.corrected,
                }
                for correction in corrections
            ],
        }
    ]


def _like(word: str, corrected: str) -> str:
    """The correction in the capitals of the word: none, the first or all."""
    if word.isupper() and len(word) > 1:
        return corrected.upper()
    return corrected[:1].upper() + corrected[1:] if word[:1].isupper() else corrected
