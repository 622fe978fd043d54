"""Spelling suggestions: the `suggest` part of the search, and the corrected query text.

Each word has two entries in `suggest`, for OpenSearch's `term` suggester. The first one corrects
words that no document has. The second one corrects words that hardly any document has, such as a
misspelling in one document, to a much more common word. That suggester reads the whole index. So
for a caller who may not see all documents, the entry is for the `phrase` suggester, which offers
only words from the caller's documents (`collate`). It offers the word itself too. So a word counts
as misspelt if none of the caller's documents has it, and only then. How common a word is in other
documents does not show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.words import MARKS
from sidecar.config.kendra import OffsetUnit
from sidecar.kendra.query_text.token_words import NO_WORD_BEFORE, TokenWord, find_token_words

_SHORTEST, _LONGEST = 3, 30
_MOST_WORDS = 30
_LONGEST_TEXT = 1000
"""Maximum number of characters of a suggested text, by the service's model."""
_LEAST_SHARE = 0.0001
"""A word is offered only if at least one in ten thousand documents has it."""

_RARE_SHARE = 0.0001
"""A word that documents have is corrected only if at most one document, or one in ten thousand, has
it. OpenSearch rounds up, so one document is always rare."""
_COMMON_SHARE, _COMMON_DOCUMENTS = 0.001, 5
"""Such a word is corrected only to a word of at least one in a thousand documents, and of five."""
_SHORTEST_RARE = 4
_INFLECTIONS = ("s", "d", "r", "n", "y")
"""`kettles` is no misspelling of `kettle`, although one of them may be rare."""

_NAME = "spelling-{}"
_RARE_NAME = "rare-{}"
_LETTERS = rf"(?:[^\W\d_][{MARKS}]*)+"
_PART = re.compile(rf"{_LETTERS}(?:['\u2019]{_LETTERS})*")
_CANDIDATES = 5
_CLAUSE = re.compile(
    NO_WORD_BEFORE + r"[A-Za-z0-9_][A-Za-z0-9_-]*:[<>=]*(?:[\[{][^\]}]*[\]}]?|\"[^\"]*\"?|\S+)"
)


@dataclass(frozen=True, slots=True)
class Correction:
    """One corrected word; `start` and `end` count code points of the suggested query text."""

    start: int
    end: int
    term: str
    corrected: str


def find_words(query_text: str) -> list[TokenWord]:
    """The words of a query text that may be corrected: 3 to 30 letters, no digits.

    The parts of a hyphenated word count as words. Field clauses and operators are not corrected.
    """
    clauses = [match.span() for match in _CLAUSE.finditer(query_text)]
    words = []
    for token in find_token_words(query_text):
        if any(start <= token.start < end for start, end in clauses):
            continue
        following = query_text[token.end : token.end + 1]
        for part in _PART.finditer(token.text):
            start, end = token.start + part.start(), token.start + part.end()
            is_whole = part.end() < len(token.text) or following != "*"
            if _SHORTEST <= len(part[0]) <= _LONGEST and part[0] == token.text and is_whole:
                words.append(TokenWord(part[0], start, end))
    return words[:_MOST_WORDS]


def write_suggest(
    words: Sequence[TokenWord], field: str, visible: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The `suggest` of a search, with the entries of each word.

    `field` is a text field without stemming. `visible` is the filter for the documents that the
    caller may see; None allows all documents.
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
            if len(text) >= _SHORTEST_RARE:
                popular = {
                    **generator,
                    "suggest_mode": "popular",
                    "max_edits": 1,
                    "max_term_freq": _RARE_SHARE,
                    "min_doc_freq": _COMMON_SHARE,
                    "sort": "frequency",
                    "size": _CANDIDATES,
                }
                entries[_RARE_NAME.format(number)] = {"text": text, "term": popular}
        else:
            query = {"bool": {"must": {"match": {field: "{{suggestion}}"}}, "filter": [visible]}}
            entry = {
                "text": text,
                "phrase": {
                    "field": field,
                    "size": _CANDIDATES + 1,
                    "max_errors": 1,
                    # By default, only corrections that score better than the word are offered.
                    "confidence": 0,
                    "direct_generator": [{**generator, "size": _CANDIDATES}],
                    "collate": {"query": {"source": query}},
                },
            }
        entries[_NAME.format(number)] = entry
    return entries


def read_corrections(suggest: Mapping[str, Any], words: Sequence[TokenWord]) -> dict[int, str]:
    """The corrections by the number of the word, with the capitals of the word."""
    corrections: dict[int, str] = {}
    for number, word in enumerate(words):
        for entry in suggest.get(_NAME.format(number), ()):
            options = [option["text"] for option in entry.get("options", ())]
            if options and word.text.lower() not in options:
                corrections[number] = _copy_capitals(word.text, options[0])
        if number in corrections:
            continue
        for entry in suggest.get(_RARE_NAME.format(number), ()):
            common = [
                option["text"]
                for option in entry.get("options", ())
                if option["freq"] >= _COMMON_DOCUMENTS
                and not _is_inflection(word.text.lower(), option["text"])
            ]
            if common:
                corrections[number] = _copy_capitals(word.text, common[0])
    return corrections


def correct_query_text(
    query_text: str, words: Sequence[TokenWord], corrections: Mapping[int, str]
) -> tuple[str, list[Correction]]:
    """The query text with corrected words and everything else unchanged, and the corrections."""
    parts: list[str] = []
    corrected_words: list[Correction] = []
    upto = length = 0
    for number, corrected in sorted(corrections.items()):
        word = words[number]
        unchanged = query_text[upto : word.start]
        parts += [unchanged, corrected]
        start = length + len(unchanged)
        length = start + len(corrected)
        corrected_words.append(Correction(start, length, word.text, corrected))
        upto = word.end
    return "".join([*parts, query_text[upto:]]), corrected_words


def write_spell_corrected(
    query_text: str,
    words: Sequence[TokenWord],
    suggest: Mapping[str, Any],
    unit: OffsetUnit = "code_points",
) -> list[dict[str, Any]]:
    """The SpellCorrectedQueries of a reply: one, or none if there is nothing to correct."""
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


def _is_inflection(word: str, other: str) -> bool:
    shorter, longer = sorted((word, other), key=len)
    return any(longer == shorter + ending for ending in _INFLECTIONS)


def _copy_capitals(word: str, corrected: str) -> str:
    """The correction with the capitals of the word: none, the first letter, or all letters."""
    if word.isupper() and len(word) > 1:
        return corrected.upper()
    return corrected[:1].upper() + corrected[1:] if word[:1].isupper() else corrected
