"""Chooses which sentences of a passage can be an answer, and cuts a short text around one.

A question, a heading, a line that introduces a list, and a sentence that only repeats the query are
not answers, although models score them high, because they share the query's words.
"""

from __future__ import annotations

import re

from pipelines.words import WORD, has_unspaced
from sidecar.kendra.answering.text_passages import QUERY_WORDS, Span, split_sentences, word_ranges

HEADING_WORDS = 12
"""Maximum words of a line without a full stop that counts as a heading."""

_CLOSING = " \t\r\n\"'\u201c\u201d\u2018\u2019\u00ab\u00bb)]}*_\u3009\u300b\u300d\u300f\u3011\uff09"
# Latin, full-width, Arabic and Greek; then the double and the exclaiming ones.
_QUESTION_MARKS = ("?", "\uff1f", "\u061f", "\u037e", "\u2047", "\u2048", "\u2049", "\u203d")
# Latin, CJK (three kinds), Devanagari, Urdu, Khmer, Ethiopic, Armenian.
_FULL_STOPS = (
    *(".", "!", "\u2026", "\u3002", "\uff0e", "\uff61", "\uff01", "\u0964", "\u0965", "\u06d4"),
    *("\u17d4", "\u1362", "\u0589"),
)
_COLONS = (":", "\uff1a")
_MARKDOWN_HEADING = re.compile(r"#{1,6}\s")


def find_answer_sentences(text: str, title: str, query_text: str) -> list[Span]:
    """The sentences of a text that can be an answer to the query, in the order of the text.

    `title`: of the document. A sentence has at most 100 token words.
    """
    query = _words(query_text)
    title_words = WORD.findall(title.lower())
    return [
        span
        for span in split_sentences(text, QUERY_WORDS)
        if not _is_question(sentence := text[span.start : span.end])
        and not _is_heading(text, span, title_words)
        and not _words(sentence) <= query
    ]


def cut_around(text: str, start: int, end: int, most: int) -> str:
    """The part of a text around the answer from `start` to `end`: at most `most` characters.

    Sentences after the answer and before it are added in turn while they fit. An answer that is
    longer than `most` is cut at the end of a word.
    """
    if len(text) <= most:
        return text
    sentences = split_sentences(text, QUERY_WORDS)
    # The cell of a table is part of its row, which counts as a sentence here.
    overlapped = [span for span in sentences if span.start < end and span.end > start]
    begin = min([start, *(span.start for span in overlapped)])
    stop = max([end, *(span.end for span in overlapped)])
    if stop - begin > most:
        begin, stop = start, end
    if stop - begin > most:
        return _cut_at_word(text[begin:stop], most)
    after = [span.end for span in sentences if span.start >= stop]
    before = [span.start for span in reversed(sentences) if span.end <= begin]
    grown = True
    while grown:
        grown = False
        if after and after[0] - begin <= most:
            stop = after.pop(0)
            grown = True
        if before and stop - before[0] <= most:
            begin = before.pop(0)
            grown = True
    return text[begin:stop]


def _words(text: str) -> frozenset[str]:
    return frozenset(WORD.findall(text.lower()))


def _is_question(sentence: str) -> bool:
    return sentence.rstrip(_CLOSING).endswith(_QUESTION_MARKS)


def _is_heading(text: str, span: Span, title_words: list[str]) -> bool:
    """Whether a sentence is a heading: the title, or a short line of its own above other text.

    A line of a paragraph with hard line breaks is not a heading: it begins with a small letter, or
    the next line does.
    """
    sentence = text[span.start : span.end]
    if _MARKDOWN_HEADING.match(sentence):
        return True
    ending = sentence.rstrip(_CLOSING)
    if ending.endswith(_COLONS):
        return True
    if ending.endswith(_FULL_STOPS):
        return False
    if title_words and WORD.findall(sentence.lower()) == title_words:
        return True
    rest = text[span.end :]
    following = rest.lstrip()
    gap = rest[: len(rest) - len(following)]
    if not following or not ("\n" in gap or "\r" in gap) or span.words > HEADING_WORDS:
        return False
    # Items of lists, rows of tables, and "Price: 30" may well be answers.
    if not sentence[0].isalnum() or any(sign in sentence for sign in ("|", "<", ": ")):
        return False
    return not sentence[0].islower() and not following[0].islower()


def _cut_at_word(sentence: str, most: int) -> str:
    """The beginning of a sentence, up to the last word that ends within `most` characters."""
    head = sentence[:most]
    if head[-1].isspace() or sentence[most].isspace():
        return head.rstrip()
    if has_unspaced(sentence):
        ends = [stop for _, stop in word_ranges(sentence) if stop <= most]
        return sentence[: ends[-1]] if ends else head
    return head.rsplit(maxsplit=1)[0]
