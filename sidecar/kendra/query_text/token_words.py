"""Token words: the words of a query text that count, and the cut after the last of them.

A token word is a word by Unicode's rules (UAX 29), but not a stop word, an operator or a field
name. `Timeoff AND October AND Category:HR` has three of them: timeoff, october and hr.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from icu4py.breakers import WordBreaker

from pipelines.kendra_text import STOP_WORDS
from pipelines.texts import replace_surrogates
from pipelines.words import MARKS

OPERATORS = frozenset({"AND", "OR", "NOT"})

NO_WORD_BEFORE = rf"(?<![\w{MARKS}-])"
"""The beginning of a pattern that may match only at the beginning of a word."""

_FIELD_NAME = re.compile(rf"{NO_WORD_BEFORE}[A-Za-z0-9_][A-Za-z0-9_-]*:(?=\S)")
# A range must not be cut in half: the user would be warned of a mistake that they did not make.
_RANGE = re.compile(r"[^\s()]*[\[{][^\[\]{}]*\Z")
_DANGLING = re.compile(
    rf"(?:\s+|\(|{NO_WORD_BEFORE}(?:(?:AND|OR|NOT)|[A-Za-z0-9_][\w-]*:[<>=]*))\Z"
)


@dataclass(frozen=True, slots=True)
class TokenWord:
    """One token word and its place, in code points."""

    text: str
    start: int
    end: int


def find_token_words(text: str) -> list[TokenWord]:
    """The token words of a query text, in order.

    A lower-case `and` is a stop word, and so is the `TO` of `[1 TO 5]`.
    """
    names = [match.span() for match in _FIELD_NAME.finditer(text)]
    token_words: list[TokenWord] = []
    for start, word in _words(text):
        if word in OPERATORS:
            continue
        if any(begin <= start < end for begin, end in names):
            continue
        if word.lower() not in STOP_WORDS:
            token_words.append(TokenWord(word, start, start + len(word)))
    return token_words


def cut_query_text(text: str, most: int) -> str:
    """Cut the text after its last token word that counts, which has the number `most`.

    Quotation marks and parentheses that the cut leaves open are closed. A range that it would cut
    in half is left out, and so is an operator that would have nothing after it.
    """
    words = find_token_words(text)
    if len(words) <= most:
        return text
    end = words[most - 1].end
    while text[end : end + 1] in ("*", "]", "}"):
        end += 1
    beginning, rest = text[:end], text[end:]
    if (half := _RANGE.search(beginning)) and re.match(r"[^\[\]{}]*[\]}]", rest):
        beginning = beginning[: half.start()]
        while match := _DANGLING.search(beginning):
            beginning = beginning[: match.start()]
    if beginning.count('"') % 2 and rest.count('"') % 2:
        beginning += '"'
    opened = _outside_quotes(beginning).count("(") - _outside_quotes(beginning).count(")")
    return beginning + ")" * max(0, min(opened, rest.count(")")))


def _words(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    # ICU treats a colon between letters as part of the word, as in Swedish.
    for segment in WordBreaker(replace_surrogates(text).replace(":", " "), "en"):
        if any(char.isalnum() for char in segment):
            yield at, segment
        at += len(segment)


def _outside_quotes(text: str) -> str:
    return "".join(text.split('"')[::2])
