"""Groups to passages: texts that are short enough for a model, with the title before each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from icu4py.breakers import SentenceBreaker, WordBreaker

from pipelines.documents import Document
from pipelines.groups import Group
from pipelines.kendra_text import BODY_TOKENS, TITLE_TOKENS, split_kendra_passages, tokenise
from pipelines.plan import Passages

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts written without blanks, as the inside of a character class: Thai, Lao, Burmese, Khmer,
Japanese, Chinese."""

_TITLE_WORDS = 30
_UNSPACED = re.compile(f"[{UNSPACED}]")
# A run without blanks may be a table or encoded data of any length; a word of it is bounded.
_WORD_CHARACTERS = 40
_WORD = re.compile(rf"\s*\S{{1,{_WORD_CHARACTERS}}}\s*")


@dataclass(frozen=True, slots=True)
class Passage:
    """A short run of text from one group.

    `group` is the group's index, `number` counts a group's passages from 0 in reading order.
    `text` is what a model reads; `body` is the same without the title, and empty for a document
    that has a title only.
    """

    group: int
    number: int
    text: str
    body: str


def split_passages(groups: Sequence[Group], settings: Passages) -> list[Passage]:
    """Cut each group's documents into passages: groups in order, reading order within.

    A document with a title only gives one passage, one without any text none. A text that a
    group has twice, as variants of a product do, is kept once.
    """
    split = _split_kendra if settings.method == "kendra" else _split_document
    passages: list[Passage] = []
    for index, group in enumerate(groups):
        # First text wins: a dict keeps the order of first insertion.
        texts: dict[str, str] = {}
        for document in group.documents:
            for text, body in split(document, settings):
                texts.setdefault(text, body)
        passages.extend(
            Passage(index, number, text, body) for number, (text, body) in enumerate(texts.items())
        )
    return passages


def _split_document(document: Document, settings: Passages) -> list[tuple[str, str]]:
    title = "".join(_words(document.title)[:_TITLE_WORDS]).rstrip()
    bodies = split_body(document.body, settings.tokens, settings.overlap)
    if not bodies:
        return [(title, "")] if title else []
    if not title:
        return [(body, body) for body in bodies]
    before = title + (" " if title[-1] in ".!?:;…。！？：；" else ". ")
    return [(before + body, body) for body in bodies]


def split_body(text: str, words: int, overlap: int) -> list[str]:
    """Cut a text into windows of whole sentences of at most `words` words each.

    A window begins with up to `overlap` sentences of the one before, as far as at least one new
    sentence fits behind them. A sentence that is longer than a whole window is cut between words.
    Sentences are ICU's. A word is a run without blanks; in scripts written without blanks it is
    what ICU finds in its dictionaries.
    """
    runs = text.split()
    if not runs:
        return []
    # Splitting counts words several times faster than the pattern, where it counts the same.
    plain = len(max(runs, key=len)) <= _WORD_CHARACTERS and not has_unspaced(text)
    if (len(runs) if plain else len(_words(text))) <= words:
        return [text]
    pieces: list[str] = []
    lengths: list[int] = []
    for sentence in SentenceBreaker(text, "en"):
        length = len(sentence.split() if plain else _words(sentence))
        if length <= words:
            pieces.append(sentence)
            lengths.append(length)
            continue
        found = _words(sentence)
        for start in range(0, len(found), words):
            run = found[start : start + words]
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


def has_unspaced(text: str) -> bool:
    """Whether the text has a character of the scripts in `UNSPACED`."""
    return not text.isascii() and _UNSPACED.search(text) is not None


def _words(text: str) -> list[str]:
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


def _split_kendra(document: Document, _settings: Passages) -> list[tuple[str, str]]:
    title = tokenise(document.title)[:TITLE_TOKENS]
    return [
        (" ".join(title + tokens[:BODY_TOKENS]), " ".join(tokens))
        for tokens in split_kendra_passages(document.body)
    ]
