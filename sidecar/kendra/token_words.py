"""Token words: what counts of a query text, and the cut behind the last of them.

A token word is a word by Unicode's rules (UAX 29) that is no stop word, no operator and no field
name: `Timeoff AND October AND Category:HR` has three, timeoff, october and hr.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from icu4py.breakers import WordBreaker

from pipelines.documents import replace_surrogates
from pipelines.kendra_text import STOP_WORDS

OPERATORS = frozenset({"AND", "OR", "NOT"})

_FIELD_NAME = re.compile(r"(?<![\w-])[A-Za-z0-9_][A-Za-z0-9_-]*:(?=\S)")
# A range is one clause: half of one would be a mistake that the user did not make.
_RANGE = re.compile(r"[^\s()]*[\[{][^\[\]{}]*\Z")
_DANGLING = re.compile(r"(?:\s+|\(|(?<![\w-])(?:AND|OR|NOT)|(?<![\w-])[A-Za-z0-9_][\w-]*:[<>=]*)\Z")


@dataclass(frozen=True, slots=True)
class TokenWord:
    """One token word and where it stands, in code points."""

    text: str
    start: int
    end: int


def find_token_words(text: str) -> list[TokenWord]:
    """The token words of a query text, in order.

    A lower-case `and` is a stop word by itself, and so is the `TO` of `[1 TO 5]`.
    """
    names = [match.span() for match in _FIELD_NAME.finditer(text)]
    found: list[TokenWord] = []
    for start, word in _words(text):
        if word in OPERATORS:
            continue
        if any(begin <= start < end for begin, end in names):
            continue
        if word.lower() not in STOP_WORDS:
            found.append(TokenWord(word, start, start + len(word)))
    return found


def cut_query_text(text: str, most: int) -> str:
    """Drop what stands behind the last token word that counts.

    Quotes and parentheses that the cut leaves open are closed, a range that it would halve is
    left out whole, and so are operators that have lost their right side.
    """
    words = find_token_words(text)
    if len(words) <= most:
        return text
    end = words[most - 1].end
    while text[end : end + 1] in ("*", "]", "}"):
        end += 1
    kept, dropped = text[:end], text[end:]
    if (half := _RANGE.search(kept)) and re.match(r"[^\[\]{}]*[\]}]", dropped):
        kept = kept[: half.start()]
        while match := _DANGLING.search(kept):
            kept = kept[: match.start()]
    if kept.count('"') % 2 and dropped.count('"') % 2:
        kept += '"'
    opened = _outside_quotes(kept).count("(") - _outside_quotes(kept).count(")")
    return kept + ")" * max(0, min(opened, dropped.count(")")))


def _words(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    # For ICU a colon between letters is part of the word, as in Swedish.
    for segment in WordBreaker(replace_surrogates(text).replace(":", " "), "en"):
        if any(char.isalnum() for char in segment):
            yield at, segment
        at += len(segment)


def _outside_quotes(text: str) -> str:
    return "".join(text.split('"')[::2])
