"""`passages: {method: sentences}`: windows of whole sentences, with the title before each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from icu4py.breakers import SentenceBreaker, WordBreaker
from pydantic import Field

from pipelines.strict import Strict
from pipelines.texts import clean_text
from pipelines.words import MARKS, has_unspaced

TITLE_WORDS = 30
"""Words of the title that stand before each passage."""

# A run without blanks may be a table or encoded data of any length. A word of it is bounded, and
# ends after the marks of its last letter.
_WORD_CHARACTERS = 40
_WORD = re.compile(
    rf"\s*(?:\S{{1,{_WORD_CHARACTERS - 1}}}(?!\S)"  # what nearly every word is
    rf"|\S{{1,{_WORD_CHARACTERS}}}[{MARKS}]{{0,{_WORD_CHARACTERS}}})\s*"
)


class SentencePassages(Strict):
    """Windows of whole sentences."""

    method: Literal["sentences"] = "sentences"
    """Selects this method."""

    words: int = Field(default=120, ge=8, le=4000)
    """Maximum words per passage."""

    overlap: int = Field(default=1, ge=0, le=10)
    """Sentences at the end of a passage that the next one repeats."""

    per_group: int = Field(default=3, ge=1, le=100)
    """Maximum number of passages scored per group; the best by BM25 are taken."""

    keeps_small_groups: ClassVar[bool] = True

    @property
    def cutting(self) -> str:
        """See `PassageMethod`."""
        return f"{self.method} {self.words} {self.overlap}"

    def cut(self, title: str, body: str) -> list[tuple[str, str]]:
        """See `PassageMethod`. A document with only a title gives one passage, the title."""
        before = write_before(title)
        bodies = split_body(clean_text(body), self.words, self.overlap)
        if not bodies:
            return [(_cut_title(title), "")] if before else []
        return [(before + body, body) for body in bodies]

    def needs_scores(self, counts: Iterable[int]) -> bool:
        """See `PassageMethod`: only where a group has more passages than are scored."""
        return max(counts, default=0) > self.per_group

    def choose(
        self, query_text: str, groups: Sequence[Sequence[str]], scores: Sequence[Sequence[float]]
    ) -> list[Sequence[int]]:
        """See `PassageMethod`. Ties go to the earlier passage."""
        return [self._best(own) for own in scores]

    def _best(self, scores: Sequence[float]) -> Sequence[int]:
        places = range(len(scores))
        if len(scores) <= self.per_group:
            return places
        return sorted(places, key=lambda place: -scores[place])[: self.per_group]


def write_before(title: str) -> str:
    """What stands before each passage of a document: its title, as a sentence of its own.

    Empty without a title. At most the first 30 words of the title are kept.
    """
    title = _cut_title(title)
    if not title:
        return ""
    return title + (" " if title[-1] in ".!?:;…。！？：；" else ". ")


def _cut_title(title: str) -> str:
    return "".join(_cut_words(clean_text(title))[:TITLE_WORDS]).rstrip()


def split_body(text: str, words: int, overlap: int) -> list[str]:
    """Cut a text into windows of whole sentences of at most `words` words each.

    A window begins with up to `overlap` sentences of the one before, as far as at least one new
    sentence fits behind them. A sentence that is longer than a whole window is cut between words.
    Sentences are ICU's. A word is a run without blanks; in scripts written without blanks it is
    what ICU's dictionaries say. `text` is as `clean_text` returns it.
    """
    if not text:
        return []
    runs = text.split(" ")
    # Blanks are counted far faster than the pattern finds words, where both count the same.
    plain = max(map(len, runs)) <= _WORD_CHARACTERS and not has_unspaced(text)
    if (len(runs) if plain else len(_cut_words(text))) <= words:
        return [text]
    pieces: list[str] = []
    lengths: list[int] = []
    for sentence in SentenceBreaker(text, "en"):
        if plain:
            length = sentence.strip(" ").count(" ") + 1
        else:
            length = len(_cut_words(sentence))
        if length <= words:
            pieces.append(sentence)
            lengths.append(length)
            continue
        cut_words = _cut_words(sentence)
        for start in range(0, len(cut_words), words):
            run = cut_words[start : start + words]
            pieces.append("".join(run))
            lengths.append(len(run))

    windows = []
    start = end = 0
    while end < len(pieces):
        start = max(start, end - overlap)
        length = sum(lengths[start:end])
        while start < end and length + lengths[end] > words:
            length -= lengths[start]
            start += 1
        while end < len(pieces) and length + lengths[end] <= words:
            length += lengths[end]
            end += 1
        windows.append("".join(pieces[start:end]).rstrip())
    return windows


def _cut_words(text: str) -> list[str]:
    """Cut a text into words, each with the blanks after it, so that joined they are the text."""
    if not has_unspaced(text):
        return _WORD.findall(text)
    words: list[str] = []
    for segment in WordBreaker(text, "en"):
        if segment.isspace() and words:
            words[-1] += segment
        else:
            words.extend(_WORD.findall(segment))
    return words
