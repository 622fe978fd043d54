"""Passages as clients get them: exact substrings of a document's text, limited in token words.

The core cuts its passages from a cleaned text, and puts the title before each. This file finds such
a passage again in the source text, and widens or narrows it to whole sentences. A token word is a
run of letters and digits with their combining marks; in scripts written without blanks, it is a
word of ICU's dictionaries. Stop words count as token words, so a passage keeps its limit however a
client counts.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from icu4py.breakers import SentenceBreaker, WordBreaker

from pipelines.words import MARKS, Words, different_words, has_unspaced, read_words

QUERY_WORDS = 100
"""Maximum token words of an excerpt in a reply to Query."""

RETRIEVE_WORDS = 200
"""Maximum token words of a passage of Retrieve."""

SENTENCES_ON_THE_LOOP = 2 << 10
"""Characters of documents whose sentences are found in about a millisecond."""

NEAR_DUPLICATE = 0.8
"""A passage that shares more than this part of its word triples with a better one is dropped."""

# 40 characters that are not words count as one word. Otherwise a passage of dashes has no limit.
_WORD = re.compile(rf"\w[\w{MARKS}]{{0,39}}|[^\w\s]{{40}}")
_RUN = re.compile(r"\S+")
_TRIPLE = 3
# With ICU's list of English abbreviations ("Mr.", "Gen."), which do not end a sentence.
_SENTENCES = "en@ss=standard"
# What the list lacks: "Dr. Smith", "J. Smith", "18 U.S.C. 711". The end of a line ends a sentence.
_ABBREVIATION = re.compile(
    r"(?<!\w)((?:[^\W\d_]\.)+|(?:Dr|Mrs|Ms|Prof)\.)[^\S\n\r\v\f\x85\u2028\u2029]*\Z"
)
_ABBREVIATION_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of a text, in code points, and the number of token words in it."""

    start: int
    end: int
    words: int


def split_sentences(text: str, words: int = RETRIEVE_WORDS) -> list[Span]:
    """The sentences of a text, found by ICU, without the blanks around them.

    Abbreviations and initials do not end a sentence. A sentence with more than `words` token words
    is cut between words. The text must not have lone surrogates.
    """
    sentences: list[Span] = []
    at = 0
    for sentence in _break_sentences(text):
        start, at = at, at + len(sentence)
        count = _count_words(sentence)
        if count <= words:
            sentences.extend(_strip(text, start, at, count))
            continue
        spans = list(word_ranges(sentence))
        for first in range(0, len(spans), words):
            following = spans[first + words][0] if first + words < len(spans) else len(sentence)
            begin = spans[first][0] if first else 0
            count = min(words, len(spans) - first)
            sentences.extend(_strip(text, start + begin, start + following, count))
    return sentences


def _break_sentences(text: str) -> Iterator[str]:
    """The sentences with the blanks after them; together they are the text."""
    parts: list[str] = []
    for part in SentenceBreaker(text, _SENTENCES):
        parts.append(part)
        found = _ABBREVIATION.search(part[-_ABBREVIATION_CHARACTERS:])
        if found is None or not found[1][0].isupper():
            yield "".join(parts)
            parts.clear()
    if parts:
        yield "".join(parts)


def split_text(text: str, words: int, most: int | None = None) -> list[Span]:
    """Cut a text into passages of whole sentences, each with at most `words` token words.

    The passages leave out nothing but blanks between them. At most the first `most` are returned.
    """
    passages: list[Span] = []
    for sentence in split_sentences(text, words):
        last = passages[-1] if passages else None
        if last is not None and last.words + sentence.words <= words:
            passages[-1] = Span(last.start, sentence.end, last.words + sentence.words)
        elif most is not None and len(passages) == most:
            break
        else:
            passages.append(sentence)
    return passages


def find_passage(text: str, passage: str) -> tuple[int, int] | None:
    """See `PassageFinder`, for one passage."""
    return PassageFinder(text).find(passage)


class PassageFinder:
    """Finds passages of one text; a text with other blanks is prepared only once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._runs: list[tuple[int, str]] = []
        self._joined: str | None = None
        # Where each run begins in the joined text, which has one blank after each run.
        self._begins: list[int] = []

    def find(self, passage: str) -> tuple[int, int] | None:
        """The half-open range of a passage in the source text; None if it is not there.

        The passage is from the cleaned text. Any run of blanks matches any other.
        """
        words = " ".join(passage.split())
        at = self._text.find(words)
        if not words or at >= 0:
            return (at, at + len(words)) if words else None
        if self._joined is None:
            self._runs = [(match.start(), match[0]) for match in _RUN.finditer(self._text)]
            self._joined = " ".join(run for _, run in self._runs)
            self._begins = list(accumulate((len(run) + 1 for _, run in self._runs), initial=0))
        at = self._joined.find(words)
        if at < 0:
            return None
        return self._locate(at), self._locate(at + len(words) - 1) + 1

    def _locate(self, offset: int) -> int:
        index = bisect_right(self._begins, offset) - 1
        return self._runs[index][0] + offset - self._begins[index]


def widen_passage(
    sentences: Sequence[Span], start: int, end: int, words: int = RETRIEVE_WORDS
) -> Span:
    """The passage from `start` to `end`, with whole sentences around it, up to `words` token words.

    Sentences are added in turn after it and before it. A passage that is longer than that already
    is cut after the last sentence that fits.
    """
    first, last = find_sentences(sentences, start, end)
    count = sentences[first].words
    upto = first
    while upto < last and count + sentences[upto + 1].words <= words:
        upto += 1
        count += sentences[upto].words
    if upto == last:
        grown = True
        while grown:
            grown = False
            if upto + 1 < len(sentences) and count + sentences[upto + 1].words <= words:
                upto += 1
                count += sentences[upto].words
                grown = True
            if first > 0 and count + sentences[first - 1].words <= words:
                first -= 1
                count += sentences[first].words
                grown = True
    return Span(sentences[first].start, sentences[upto].end, count)


def narrow_passage(
    text: str,
    sentences: Sequence[Span],
    start: int,
    end: int,
    query_words: Collection[str],
    words: int = QUERY_WORDS,
) -> Span:
    """The run of whole sentences of a passage that shares most words with the query.

    The run has at most `words` token words. If several runs are equally good, the first is taken.
    """
    first, last = find_sentences(sentences, start, end)
    query = different_words(" ".join(query_words))
    best: tuple[int, Span] | None = None
    for begin in range(first, last + 1):
        stop, count = begin, sentences[begin].words
        while stop < last and count + sentences[stop + 1].words <= words:
            stop += 1
            count += sentences[stop].words
        span = Span(sentences[begin].start, sentences[stop].end, count)
        shared = count_shared(query, text[span.start : span.end])
        if best is None or shared > best[0]:
            best = (shared, span)
        if stop == last:
            break
    assert best is not None  # a passage overlaps at least one sentence
    return best[1]


def count_shared(query: Words, text: str) -> int:
    """How many of the query's words, from `different_words`, the text has."""
    return int(np.isin(query, read_words(text)).sum())


class NearDuplicates:
    """Finds passages that repeat a better passage. Pass the passages to `repeats`, best first.

    A passage repeats another if they share more than `most` of the word triples of the longer one.
    The longer one counts because a long passage that mentions something must not hide a document
    that is about it. Passages with fewer than three words are compared whole.
    """

    def __init__(self, most: float = NEAR_DUPLICATE) -> None:
        self._most = most
        self._sizes: list[int] = []
        self._owners: dict[tuple[str, ...], list[int]] = {}

    def repeats(self, passage: str, *, whole: bool = False) -> bool:
        """Whether a passage repeats an earlier one. If not, it is remembered as an earlier one.

        `whole`: only a passage with all the same triples counts as a repetition.
        """
        triples = _triples(passage)
        shared = Counter(owner for triple in triples for owner in self._owners.get(triple, ()))
        for owner, count in shared.items():
            longer = max(len(triples), self._sizes[owner])
            if count == longer or (count > self._most * longer and not whole):
                return True
        for triple in triples:
            self._owners.setdefault(triple, []).append(len(self._sizes))
        self._sizes.append(len(triples))
        return False


def find_sentences(sentences: Sequence[Span], start: int, end: int) -> tuple[int, int]:
    """The indices of the first and the last sentence that the range overlaps."""
    inside = [
        index
        for index, sentence in enumerate(sentences)
        if sentence.start < end and sentence.end > start
    ]
    if not inside:
        raise ValueError("the passage lies between two sentences; find it in the same text")
    return inside[0], inside[-1]


def _strip(text: str, start: int, end: int, words: int) -> list[Span]:
    """The range without blanks at its ends; no span if it has only blanks."""
    part = text[start:end]
    content = part.strip()
    if not content:
        return []
    begin = start + len(part) - len(part.lstrip())
    return [Span(begin, begin + len(content), words)]


def _count_words(text: str) -> int:
    if not has_unspaced(text):
        return len(_WORD.findall(text))
    return sum(1 for _ in word_ranges(text))


def word_ranges(text: str) -> Iterator[tuple[int, int]]:
    """The half-open range of each token word of a text."""
    if not has_unspaced(text):
        yield from (match.span() for match in _WORD.finditer(text))
        return
    # ICU cuts between any two signs, so signs are counted over all segments up to the next word.
    at = signs = 0
    for segment in WordBreaker(text, "en"):
        if _WORD.match(segment):
            yield from (match.span() for match in _WORD.finditer(text, signs, at))
            yield from ((at + m.start(), at + m.end()) for m in _WORD.finditer(segment))
            signs = at + len(segment)
        at += len(segment)
    yield from (match.span() for match in _WORD.finditer(text, signs))


def _triples(passage: str) -> set[tuple[str, ...]]:
    if has_unspaced(passage):
        words = [passage[start:end] for start, end in word_ranges(passage)]
    else:
        words = _WORD.findall(passage.lower())
    if len(words) < _TRIPLE:
        return {tuple(words)}
    return set(zip(words, words[1:], words[2:], strict=False))
