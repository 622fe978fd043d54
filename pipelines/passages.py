"""Groups to passages: texts that are short enough for a model, with the title before each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from icu4py.breakers import SentenceBreaker, WordBreaker

from pipelines.documents import Document, clean_text, replace_surrogates
from pipelines.groups import Group
from pipelines.kendra_text import BODY_TOKENS, TITLE_TOKENS, split_kendra_passages, tokenise
from pipelines.plan import Passages
from pipelines.words import Words, has_unspaced, read_words

_TITLE_WORDS = 30
# More of a title is not compared with a query text word by word.
_TITLE_CHARACTERS = 1000
# A run without blanks may be a table or encoded data of any length; a word of it is bounded.
_WORD_CHARACTERS = 40
_WORD = re.compile(rf"\s*\S{{1,{_WORD_CHARACTERS}}}\s*")


class Passage(NamedTuple):
    """A short run of text from one group.

    `group` is the group's index, `number` counts a group's passages from 0 in reading order.
    `text` is what a model reads; `body` is the same without the title, and empty for a document
    that has a title only. `words` are the body's, `title_words` those of the document's title.
    `part` is 0 for the text that is read together, and counts the fields that are read apart from
    1; their passages carry the field's `weight`.
    """

    group: int
    number: int
    text: str
    body: str
    words: Words
    title_words: Words
    part: int = 0
    weight: float = 1.0


class SplitText(NamedTuple):
    """One passage of a document, as in `Passage`; it says nothing of where the document stands."""

    text: str
    body: str
    words: Words
    title_words: Words
    part: int
    weight: float


SplitDocument = tuple[SplitText, ...]
"""The passages of one document in reading order: all that ranking reads of its text."""

Splitter = Callable[[Document, Passages], SplitDocument]
"""`split_document`, or something that remembers what it gave."""


def split_document(document: Document, settings: Passages) -> SplitDocument:
    """Cut one document into passages; it depends on the title, the body and the settings alone.

    A document with a title only gives one passage, one without any text none. A text that is
    there twice is kept once.
    """
    split = _split_kendra if settings.method == "kendra" else _split_sentences
    # First text wins: a dict keeps the order of first insertion.
    texts: dict[str, tuple[str, int, float]] = {}
    for text, body in split(document.title, document.body, settings):
        texts.setdefault(text, (body, 0, 1.0))
    for number, part in enumerate(document.apart, start=1):
        title, body = (document.title, part.text) if part.titled else (part.text, "")
        for text, piece in split(title, body, settings):
            # A title that is all there is to read keeps its place, and has its own weight.
            texts[text] = (piece, number, part.weight)
    words = read_words(document.title[:_TITLE_CHARACTERS])
    return tuple(
        SplitText(text, body, read_words(body), words, part, weight)
        for text, (body, part, weight) in texts.items()
    )


def split_passages(
    groups: Sequence[Group], settings: Passages, split: Splitter = split_document
) -> list[Passage]:
    """Cut each group's documents into passages: groups in order, reading order within.

    A text that a group has twice, as variants of a product do, is kept once.
    """
    passages: list[Passage] = []
    for index, group in enumerate(groups):
        texts: dict[str, SplitText] = {}
        for document in group.documents:
            for found in split(document, settings):
                texts.setdefault(found.text, found)
        passages.extend(
            Passage(index, number, *found) for number, found in enumerate(texts.values())
        )
    return passages


def _split_sentences(title: str, body: str, settings: Passages) -> list[tuple[str, str]]:
    title = "".join(_words(clean_text(title))[:_TITLE_WORDS]).rstrip()
    bodies = split_body(clean_text(body), settings.tokens, settings.overlap)
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


def _split_kendra(title: str, body: str, _settings: Passages) -> list[tuple[str, str]]:
    # Line breaks end a sentence for the plugin, so its method gets the text as it is.
    before = tokenise(replace_surrogates(title))[:TITLE_TOKENS]
    return [
        (" ".join(before + tokens[:BODY_TOKENS]), " ".join(tokens))
        for tokens in split_kendra_passages(replace_surrogates(body))
    ]
