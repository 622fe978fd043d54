"""The text rules of OpenSearch's Kendra Intelligent Ranking plugin, to the letter.

Source: opensearch-project/search-processor, `transformer/kendraintelligentranking/preprocess`
(TextTokenizer, SentenceSplitter, PassageGenerator, BM25Scorer) and the choice of the best
passages in `KendraIntelligentRanker`. Its oddities are intended: they decide what the model reads.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from math import log10

from icu4py.breakers import SentenceBreaker, WordBreaker

TITLE_TOKENS = 15
BODY_TOKENS = 200

_SENTENCE_TOKENS = 35
_PASSAGE_TOKENS = 100
_BASE_PASSAGES = 6
_WORD_UNITS = 25
_K1 = 1.6
_B = 0.75

_STOP_LIST = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she
    her hers herself it its itself they them their theirs themselves what which who whom this that
    these those am is are was were be been being have has had having do does did doing a an the
    and but if or because as until while of at by for with about against between into through
    during before after above below to from up down in out on off over under again further then
    once here there when where why how all any both each few more most other some such no nor not
    only own same so than too very s t can will just don should now
"""
STOP_WORDS = frozenset(_STOP_LIST.split())

# Character.isWhitespace of Java: unlike str.rstrip(), no no-break spaces and no U+0085.
_JAVA_BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009"
    "\u200a\u2028\u2029\u205f\u3000"
)

# What Double.parseDouble accepts once lower-cased; "NaN" and "Infinity" need their capitals.
_JAVA_DOUBLE = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?"
    r"|0x(?:[0-9a-f]+\.?|[0-9a-f]*\.[0-9a-f]+)p[+-]?[0-9]+)[fd]?"
)


def tokenise(text: str) -> list[str]:
    """Cut a text into lower-case words, without stop words, numbers and punctuation.

    Words longer than 25 UTF-16 units are cut into pieces of 25. The text has no lone surrogates.
    """
    tokens: list[str] = []
    for segment in WordBreaker(text, "en"):
        word = segment.lower()
        if word.isalpha() and 2 <= len(word) <= _WORD_UNITS // 2:
            # Nearly every word is like this: nothing to cut, no number, no punctuation.
            if word not in STOP_WORDS:
                tokens.append(word)
        elif word := word.rstrip(_JAVA_BLANKS):
            tokens.extend(filter(None, map(_clean_piece, _pieces(word))))
    return tokens


def split_sentences(text: str) -> list[str]:
    """Cut a text at ICU's English sentence breaks; without blank sentences."""
    stripped = (sentence.rstrip(_JAVA_BLANKS) for sentence in SentenceBreaker(text, "en"))
    return [sentence for sentence in stripped if sentence]


def split_kendra_passages(text: str) -> list[list[str]]:
    """Cut a body into at most 10 overlapping passages of about 100 tokens.

    Between two neighbours there is a bridge: the second half of one and the first half of the next.
    The last of several passages appears only in its bridge.
    """
    base = _base_passages(_tokenised_sentences(text))
    if len(base) == 1:
        return [_flatten(base[0])]
    passages = []
    for passage, following in zip(base, base[1:], strict=False):
        middle = len(passage) // 2
        first_half = max(1, len(following) // 2)
        passages.append(_flatten(passage))
        passages.append(_flatten(passage[middle:] + following[:first_half]))
    return passages


def choose_kendra_passages(
    query_tokens: Sequence[str], passages: Sequence[Sequence[str]], count: int
) -> list[int]:
    """Choose the `count` best passages of one document: their indices, best first.

    Equal scores come out as java.util.PriorityQueue leaves them, not in reading order.
    """
    return _best(_bm25(query_tokens, passages), count)


def _pieces(word: str) -> list[str]:
    if 2 * len(word) <= _WORD_UNITS:
        return [word]
    units = word.encode("utf-16-le")
    size = 2 * _WORD_UNITS
    # A cut within a surrogate pair leaves halves that no encoding can represent.
    return [
        units[at : at + size].decode("utf-16-le", "replace") for at in range(0, len(units), size)
    ]


def _clean_piece(piece: str) -> str:
    """The token for a piece, empty if the plugin drops the piece."""
    one_unit = len(piece) == 1 and piece <= "\uffff"
    # Before punctuation is removed: "1,234" is no number for Java, and becomes "1234".
    if one_unit or piece in STOP_WORDS or _JAVA_DOUBLE.fullmatch(piece):
        return ""
    return "".join(char for char in piece if not unicodedata.category(char).startswith("P"))


def _tokenised_sentences(text: str) -> list[list[str]]:
    sentences = []
    for sentence in split_sentences(text):
        tokens = tokenise(sentence)
        while len(tokens) > _SENTENCE_TOKENS + _SENTENCE_TOKENS // 2:
            sentences.append(tokens[:_SENTENCE_TOKENS])
            tokens = tokens[_SENTENCE_TOKENS:]
        if tokens:
            sentences.append(tokens)
    return sentences


def _base_passages(sentences: list[list[str]]) -> list[list[list[str]]]:
    """Gather sentences into at most 6 passages, each closed at 100 tokens."""
    passages: list[list[list[str]]] = []
    passage: list[list[str]] = []
    remaining = sum(map(len, sentences))
    for number, sentence in enumerate(sentences, start=1):
        passage.append(sentence)
        remaining -= len(sentence)
        last = number == len(sentences)
        if not last and remaining <= _PASSAGE_TOKENS // 2:
            return [*passages, passage + sentences[number:]]
        if last or sum(map(len, passage)) >= _PASSAGE_TOKENS:
            passages.append(passage)
            passage = []
        if len(passages) == _BASE_PASSAGES:
            break
    return passages


def _flatten(sentences: list[list[str]]) -> list[str]:
    return [token for sentence in sentences for token in sentence]


def _bm25(query_tokens: Sequence[str], passages: Sequence[Sequence[str]]) -> list[float]:
    """Score the passages of one document; term frequencies are shares of the passage."""
    counts = [Counter(passage) for passage in passages]
    in_passages = Counter(token for count in counts for token in count)
    average = sum(map(len, passages)) / len(passages) if passages else 0.0
    scores = []
    for passage, count in zip(passages, counts, strict=True):
        score = 0.0
        for token in query_tokens:
            if token in count:
                frequency = count[token] / len(passage)
                idf = log10(len(passages) / in_passages[token])
                length = 1 - _B + _B * len(passage) / average
                score += idf * frequency * (_K1 + 1) / (frequency + _K1 * length)
        scores.append(score)
    return scores


def _best(scores: Sequence[float], count: int) -> list[int]:
    """The `count` best indices, as the plugin's queue gives them: offer, poll, drain, reverse."""
    heap: list[tuple[float, int]] = []
    for index, score in enumerate(scores):
        _offer(heap, (score, index))
        if len(heap) > count:
            _poll(heap)
    return [_poll(heap)[1] for _ in range(len(heap))][::-1]


# java.util.PriorityQueue: siftUp and siftDown compare only scores. heapq moves equal entries
# differently, and would choose other passages.


def _offer(heap: list[tuple[float, int]], entry: tuple[float, int]) -> None:
    heap.append(entry)
    at = len(heap) - 1
    while at > 0 and entry[0] < heap[parent := (at - 1) // 2][0]:
        heap[at] = heap[parent]
        at = parent
    heap[at] = entry


def _poll(heap: list[tuple[float, int]]) -> tuple[float, int]:
    least, entry = heap[0], heap.pop()
    if not heap:
        return least
    at = 0
    while (child := 2 * at + 1) < len(heap):
        if child + 1 < len(heap) and heap[child][0] > heap[child + 1][0]:
            child += 1
        if entry[0] <= heap[child][0]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = entry
    return least
