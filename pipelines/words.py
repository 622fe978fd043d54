"""What a word is, and the words of a text as numbers, which are counted without reading it again.

The product finds words with `WORD`: a letter, digit or underscore, then any number of these and of
the signs in `MARKS`. Python's own word characters do not include combining marks, so it would cut
words of Hindi, Thai, pointed Hebrew or with decomposed accents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from typing import NamedTuple
from unicodedata import category, normalize

import numpy as np
import Stemmer
from numpy.typing import NDArray

Words = NDArray[np.int64]
"""A text's words in reading order, each as its hash; shape (words,). Valid in this process."""

STEM_LANGUAGES: tuple[str, ...] = tuple(sorted(Stemmer.algorithms()))
"""Languages whose word stems Snowball knows, by its names."""

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts written without blanks, as the inside of a character class: Thai, Lao, Burmese, Khmer,
Japanese, Chinese."""

# Soft hyphen, zero-width non-joiner and joiner, word joiner: invisible, and inside words.
_JOINERS = "\u00ad\u200c\u200d\u2060"


def _find_marks(characters: Iterable[int]) -> str:
    """The combining marks among these characters, as the inside of a character class."""
    ranges: list[list[int]] = []
    for character in characters:
        if category(chr(character)).startswith("M"):
            if ranges and ranges[-1][1] == character - 1:
                ranges[-1][1] = character
            else:
                ranges.append([character, character])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_BMP_MARKS = _find_marks(range(0x300, 0x10000)) + _JOINERS
# Beyond the second plane, only the variation selectors are marks.
_FAR_MARKS = _find_marks(chain(range(0x10000, 0x20000), range(0xE0100, 0xE01F0)))

MARKS = _BMP_MARKS + _FAR_MARKS
"""Characters that belong to the word before them, as the inside of a character class: combining
marks and the invisible signs within words."""

# Equal to \w[\w{MARKS}]*, but twice as fast: the hundred ranges of marks beyond the first 65,536
# characters, which `re` tries one by one, are not tried at the end of every word.
WORD = re.compile(
    rf"\w[\w{_BMP_MARKS}]*(?:(?=[\U00010000-\U000fffff])[{_FAR_MARKS}][\w{_BMP_MARKS}]*)*"
)
"""A word, in every text that people read or write."""

# In ASCII, translating and splitting finds what `\w+` finds, in a third of its time.
_ASCII_BLANKS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}
_UNSPACED = re.compile(f"[{UNSPACED}]")
# Cuts a word of `WORD`. Scripts without blanks are compared character by character.
_CHARACTER_OR_REST = re.compile(rf"[{UNSPACED}][{MARKS}]*|[^{UNSPACED}]+[{MARKS}]*")
_INVISIBLE = re.compile(f"[{_JOINERS}]")
_DIGIT = re.compile(r"\d")
# A stem takes a microsecond, so those of the words that were met last are kept, about 15 MB.
_MOST_STEMS = 1 << 17
_LONGEST_STEMMED = 64
# Sorting the marks of a letter takes time that grows with their square; no real word is as long.
_LONGEST_COMPOSED = 64


def read_words(text: str, language: str | None = None) -> Words:
    """The words of a text, lower-cased; every character of an unspaced script is one.

    `language`: one of `STEM_LANGUAGES`, by whose rules words become stems; unstemmed if None. Words
    with a digit are never stemmed. Composed and decomposed spellings are the same word, and so are
    spellings with and without invisible signs. Two words with the same 64-bit hash of Python's
    count as the same.
    """
    words = _split_words(text)
    number: Callable[[str], int] = hash if language is None else _stems(language).__getitem__
    return np.fromiter(map(number, words), np.int64, len(words))


def _split_words(text: str) -> list[str]:
    if text.isascii():
        return text.lower().translate(_ASCII_BLANKS).split()
    text = _INVISIBLE.sub("", text.lower())
    words = WORD.findall(text)
    if has_unspaced(text):
        words = [part for word in words for part in _CHARACTER_OR_REST.findall(word)]
    return [word if word.isascii() else _compose(word) for word in words]


class _Stems(dict[str, int]):
    """The hash of each word's stem, for the words that were met last. For use in any thread."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._language = language
        # A stemmer is not safe for threads, so each call takes one out.
        self._free: list[Stemmer.Stemmer] = []

    def __missing__(self, word: str) -> int:
        if len(word) > _LONGEST_STEMMED:
            return hash(word)
        number = hash(word if _DIGIT.search(word) else self._stem(word))
        if len(self) >= _MOST_STEMS:
            self.clear()
        self[word] = number
        return number

    def _stem(self, word: str) -> str:
        try:
            stemmer = self._free.pop()
        except IndexError:
            stemmer = Stemmer.Stemmer(self._language, 0)
        stem: str = stemmer.stemWord(word)
        self._free.append(stemmer)
        return stem


@cache
def _stems(language: str) -> _Stems:
    return _Stems(language)


def _compose(word: str) -> str:
    return normalize("NFC", word) if len(word) <= _LONGEST_COMPOSED else word


class QueryWords(NamedTuple):
    """The words of a query text.

    `different` has each word once, in ascending order of its hash. `pairs` has shape (pairs, 2):
    the places in `different` of two words that are neighbours in the query text, each pair once, in
    ascending order.
    """

    different: Words
    pairs: NDArray[np.int64]


def read_query_words(text: str, language: str | None = None) -> QueryWords:
    """The words and pairs of words of a query text; see `read_words`."""
    words = read_words(text, language)
    different = _each_once(words)
    places = np.searchsorted(different, words)
    first, second = places[:-1], places[1:]
    unlike = first != second
    # A pair as one number: numpy takes ten times as long to sort rows.
    codes = _each_once(first[unlike] * len(different) + second[unlike])
    pairs = np.empty((len(codes), 2), np.int64)
    np.divmod(codes, max(1, len(different)), out=(pairs[:, 0], pairs[:, 1]))
    return QueryWords(different, pairs)


def _each_once(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """`np.unique` in a fifth of the time, for a few numbers."""
    ordered = np.sort(numbers)
    return ordered[:1] if len(ordered) < 2 else _first_of_equals(ordered)


def _first_of_equals(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    first = np.empty(len(ordered), np.bool_)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def different_words(text: str, language: str | None = None) -> Words:
    """Each word of a text once, in ascending order of its hash; see `read_words`."""
    return np.unique(read_words(text, language))


def numbered_words(text: str) -> Words:
    """Each word of a text that has a digit, as in `RTX-4090` or `A320`; see `different_words`."""
    words = {hash(word) for word in _split_words(text) if _DIGIT.search(word)}
    return np.array(sorted(words), np.int64)


def find_spans(text: str, words: Words) -> list[tuple[int, int]]:
    """Where these words are in a text: `text[start:end]`, in reading order.

    Words that touch each other, as in scripts without blanks, have one span together.
    """
    wanted = set(words.tolist())
    spans: list[tuple[int, int]] = []
    for match in WORD.finditer(text):
        parts = [(0, len(match[0]))]
        if has_unspaced(match[0]):
            parts = [part.span() for part in _CHARACTER_OR_REST.finditer(match[0])]
        for first, last in parts:
            word = _INVISIBLE.sub("", match[0][first:last].lower())
            if hash(word if word.isascii() else _compose(word)) not in wanted:
                continue
            start, end = match.start() + first, match.start() + last
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, end))
    return spans


def has_unspaced(text: str) -> bool:
    """Whether the text has a character of the scripts in `UNSPACED`."""
    return not text.isascii() and _UNSPACED.search(text) is not None
