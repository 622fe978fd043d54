"""Keep the few passages of each group that share most with the query text, to spare the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import numpy as np

from pipelines.kendra_text import choose_kendra_passages, tokenise
from pipelines.passages import Passage
from pipelines.plan import Passages
from pipelines.words import Words, read_words

_K1 = 1.2
_B = 0.75


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
    scores = iter(bm25(query_text, [p.words for p in passages]))
    kept: list[Passage] = []
    for group in groups:
        scored = [(next(scores), passage) for passage in group]
        if len(group) > count:
            scored = sorted(scored, key=lambda pair: -pair[0])[:count]
        kept.extend(passage for _, passage in scored)
    return kept


def bm25(query_text: str, texts: Sequence[Words]) -> list[float]:
    """Score each text against the query text by its words.

    idf = ln(1 + (N - df + 0.5) / (df + 0.5)), never negative; k1 1.2, b 0.75; a word that the
    query repeats counts once. Source: Robertson and Zaragoza, "The Probabilistic Relevance
    Framework: BM25 and Beyond" (2009), with the idf of Lucene's BM25Similarity.
    """
    if not texts:
        return []
    lengths = np.array([*map(len, texts)])
    if not lengths.any():
        return [0.0] * len(texts)
    words = np.concatenate(texts)
    text_of_word = np.repeat(np.arange(len(texts)), lengths)
    counts = np.array(
        [
            np.bincount(text_of_word[words == word], minlength=len(texts))
            for word in np.unique(read_words(query_text))
        ],
        np.float64,
    ).reshape(-1, len(texts))
    holding = np.count_nonzero(counts, axis=1)
    idf = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
    norms = _K1 * (1 - _B + _B * lengths / lengths.mean())
    shares = idf[:, None] * counts * (_K1 + 1) / (counts + norms)
    # Sorted, texts that hold words of the same weights get the very same sum, and tie.
    scores: list[float] = np.sort(shares, axis=0).sum(axis=0).tolist()
    return scores
