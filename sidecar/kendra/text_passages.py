"""Passages as callers get them: exact substrings of a document's text, of so many token words.

The core cuts its passages from a cleaned text, with the title before each. Here a passage is found
again in the source, and widened or narrowed to whole sentences of it. A token word is a run of
letters and digits; in scripts written without blanks, what ICU finds in its dictionaries. Stop
words count, so that a passage keeps within its limit by either reading of "token words".
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from icu4py.breakers import SentenceBreaker, WordBreaker

from pipelines.words import has_unspaced

QUERY_WORDS = 100
RETRIEVE_WORDS = 200
NEAR_DUPLICATE = 0.8
"""Share of the shorter passage's word triples that another has too, above which it is dropped."""

# What is no word counts too in the long run: a passage of a thousand dashes has no end otherwise.
_WORD = re.compile(r"\w{1,40}|[^\w\s]{40}")
_RUN = re.compile(r"\S+")
_TRIPLE = 3


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of code points of a text, and the token words in it."""

    start: int
    end: int
    words: int


def split_sentences(text: str, words: int = RETRIEVE_WORDS) -> list[Span]:
    """The sentences of a text by ICU, without the blanks around them.

    A sentence of more than `words` token words is cut between words. The text has no lone
    surrogates.
    """
    sentences: list[Span] = []
    at = 0
    for sentence in SentenceBreaker(text, "en"):
        start, at = at, at + len(sentence)
        found = _count_words(sentence)
        if found <= words:
            sentences.extend(_strip(text, start, at, found))
            continue
        spans = list(_word_spans(sentence))
        for first in range(0, len(spans), words):
            following = spans[first + words][0] if first + words < len(spans) else len(sentence)
            begin = spans[first][0] if first else 0
            count = min(words, len(spans) - first)
            sentences.extend(_strip(text, start + begin, start + following, count))
    return sentences


def split_text(text: str, words: int, most: int | None = None) -> list[Span]:
    """Cut a text into passages of whole sentences of at most `words` token words each.

    They follow one another and leave out nothing but blanks. At most `most` of them, the first.
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
    """Where a passage of the cleaned text stands in its source, None if it does not.

    Any run of blanks in one is any run of blanks in the other.
    """
    wanted = " ".join(passage.split())
    at = text.find(wanted)
    if not wanted or at >= 0:
        return (at, at + len(wanted)) if wanted else None
    runs = [(match.start(), match[0]) for match in _RUN.finditer(text)]
    at = " ".join(run for _, run in runs).find(wanted)
    if at < 0:
        return None
    # Where each run begins in the joined text: a blank stands behind each.
    begins = list(accumulate((len(run) + 1 for _, run in runs), initial=0))

    def locate(offset: int) -> int:
        index = bisect_right(begins, offset) - 1
        return runs[index][0] + offset - begins[index]

    return locate(at), locate(at + len(wanted) - 1) + 1


def widen_passage(
    sentences: Sequence[Span], start: int, end: int, words: int = RETRIEVE_WORDS
) -> Span:
    """The passage from `start` to `end`, with whole sentences around it up to `words` token words.

    Sentences are added after and before it in turn. A passage that has more words already is cut
    behind the last sentence that fits.
    """
    first, last = _touched(sentences, start, end)
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
    """The run of whole sentences within a passage that shares most words with the query.

    It has at most `words` token words; of equally good runs the longest first one is taken.
    `query_words` are in lower case.
    """
    first, last = _touched(sentences, start, end)
    wanted = frozenset(query_words)
    best: tuple[int, Span] | None = None
    for begin in range(first, last + 1):
        stop, count = begin, sentences[begin].words
        while stop < last and count + sentences[stop + 1].words <= words:
            stop += 1
            count += sentences[stop].words
        span = Span(sentences[begin].start, sentences[stop].end, count)
        shared = len(wanted.intersection(_WORD.findall(text[span.start : span.end].lower())))
        if best is None or shared > best[0]:
            best = (shared, span)
        if stop == last:
            break
    assert best is not None  # a passage touches a sentence
    return best[1]


class NearDuplicates:
    """Tells passages that say again what a better one has said; they are shown it best first.

    A passage repeats another when more than `most` of the word triples of the longer of both are
    in both: what a longer one says in passing is no reason to leave out the document that is about
    it. Passages of fewer than three words are compared whole.
    """

    def __init__(self, most: float = NEAR_DUPLICATE) -> None:
        self._most = most
        self._sizes: list[int] = []
        self._owners: dict[tuple[str, ...], list[int]] = {}

    def repeats(self, passage: str, *, whole: bool = False) -> bool:
        """Whether it repeats one before; if not, those behind it are compared with it too.

        `whole`: only what has all the same triples is a repetition.
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


def _touched(sentences: Sequence[Span], start: int, end: int) -> tuple[int, int]:
    """The first and last sentence that a passage has a part of."""
    inside = [
        index
        for index, sentence in enumerate(sentences)
        if sentence.start < end and sentence.end > start
    ]
    if not inside:
        raise ValueError("the passage stands between two sentences; find it in the same text")
    return inside[0], inside[-1]


def _strip(text: str, start: int, end: int, words: int) -> list[Span]:
    part = text[start:end]
    kept = part.strip()
    if not kept:
        return []
    begin = start + len(part) - len(part.lstrip())
    return [Span(begin, begin + len(kept), words)]


def _count_words(text: str) -> int:
    if not has_unspaced(text):
        return len(_WORD.findall(text))
    return sum(1 for _ in _word_spans(text))


def _word_spans(text: str) -> Iterator[tuple[int, int]]:
    if not has_unspaced(text):
        yield from (match.span() for match in _WORD.finditer(text))
        return
    at = 0
    for segment in WordBreaker(text, "en"):
        yield from ((at + m.start(), at + m.end()) for m in _WORD.finditer(segment))
        at += len(segment)


def _triples(passage: str) -> set[tuple[str, ...]]:
    if has_unspaced(passage):
        words = [passage[start:end] for start, end in _word_spans(passage)]
    else:
        words = _WORD.findall(passage.lower())
    if len(words) < _TRIPLE:
        return {tuple(words)}
    return set(zip(words, words[1:], words[2:], strict=False))
