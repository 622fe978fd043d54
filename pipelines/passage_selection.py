"""Keep the few passages of each group that share most with the query text, to spare the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import fsum, log1p
from operator import attrgetter

from pipelines.kendra_text import choose_kendra_passages, tokenise
from pipelines.passages import UNSPACED, Passage, has_unspaced
from pipelines.plan import Passages

_K1 = 1.2
_B = 0.75
_WORD = re.compile(r"\w+")
# Scripts without blanks are compared character by character.
_WORD_OR_CHARACTER = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def select_passages(
    query_text: str, passages: Sequence[Passage], settings: Passages
) -> list[Passage]:
    """Keep at most `settings.per_document` passages of each group, the best ones first.

    `passages` is as `split_passages` returns it. By BM25 in Lucene's form, with document
    frequencies and the average length taken over all passages given; ties, and a query that
    shares no word, go to the earlier passage. A group that has no more passages than are kept
    stays as it is. Method `kendra` always chooses by the plugin's own rules, within each group.
    """
    groups = [list(group) for _, group in groupby(passages, key=attrgetter("group"))]
    count = settings.per_document
    if settings.method == "kendra":
        tokens = tokenise(query_text)
        return [
            group[index]
            for group in groups
            for index in choose_kendra_passages(tokens, [p.body.split(" ") for p in group], count)
        ]
    if all(len(group) <= count for group in groups):
        return list(passages)
    scores = iter(bm25(query_text, [p.body for p in passages]))
    kept: list[Passage] = []
    for group in groups:
        scored = [(next(scores), passage) for passage in group]
        if len(group) > count:
            scored = sorted(scored, key=lambda pair: -pair[0])[:count]
        kept.extend(passage for _, passage in scored)
    return kept


def bm25(query_text: str, texts: Sequence[str]) -> list[float]:
    """Score each text against the query text by its words, lower-cased and unstemmed.

    idf = ln(1 + (N - df + 0.5) / (df + 0.5)), never negative; k1 1.2, b 0.75; a word that the
    query repeats counts once. Source: Robertson and Zaragoza, "The Probabilistic Relevance
    Framework: BM25 and Beyond" (2009), with the idf of Lucene's BM25Similarity.
    """
    query_words = frozenset(_words(query_text))
    lengths = []
    counts = []
    for text in texts:
        words = _words(text)
        lengths.append(len(words))
        counts.append(Counter(filter(query_words.__contains__, words)))
    holding = Counter(word for count in counts for word in count)
    idf = {word: log1p((len(texts) - n + 0.5) / (n + 0.5)) for word, n in holding.items()}
    average = fsum(lengths) / max(1, len(lengths))
    scores = []
    for length, count in zip(lengths, counts, strict=True):
        norm = _K1 * (1 - _B + _B * length / average) if count else 0.0
        scores.append(fsum(idf[word] * n * (_K1 + 1) / (n + norm) for word, n in count.items()))
    return scores


def _words(text: str) -> list[str]:
    pattern = _WORD_OR_CHARACTER if has_unspaced(text) else _WORD
    return pattern.findall(text.lower())
