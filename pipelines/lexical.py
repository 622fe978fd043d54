"""Lexical evidence: how well the words of a window's texts match those of the query text.

OpenSearch's own score knows a document as a whole, and weighs a word by the whole index. Counted
again over the window, words that all its hits share weigh less, a long document counts by its
best passage, and it shows how many of the query's words a document holds at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.passages import Passage
from pipelines.words import Words

_K1 = 1.2
_B = 0.75
# Added to each word's weight in evidence: in a window of near-equals, as for short product
# queries, the words that every hit holds are the ones that matter.
_SHARED_WORD = 1.0

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How often each text holds each different word of a query text.

    `counts` has shape (words, texts), `lengths` shape (texts,) and counts all words of a text.
    """

    counts: Counts
    lengths: NDArray[np.int64]

    def bm25(self, shared_word: float = 0.0) -> list[float]:
        """Score each text by its words; a word that the query repeats counts once.

        idf = shared_word + ln(1 + (N - df + 0.5) / (df + 0.5)), never negative; k1 1.2, b 0.75.
        Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
        (2009), with the idf of Lucene's BM25Similarity.
        """
        texts = len(self.lengths)
        if not self.lengths.any():
            return [0.0] * texts
        holding = np.count_nonzero(self.counts, axis=1)
        idf = shared_word + np.log1p((texts - holding + 0.5) / (holding + 0.5))
        norms = _K1 * (1 - _B + _B * self.lengths / self.lengths.mean())
        shares = idf[:, None] * self.counts * (_K1 + 1) / (self.counts + norms)
        # Sorted, texts that hold words of the same weights get the very same sum, and tie.
        scores: list[float] = np.sort(shares, axis=0).sum(axis=0).tolist()
        return scores


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the words say: of each group by its index, and of the query text.

    `groups` is empty where nothing was counted, or no group shares a word with the query text.
    `query_words` is the number of different words in the query text.
    """

    query_words: int
    groups: Mapping[int, float]


def count_words(wanted: Words, texts: Sequence[Words]) -> WordCounts:
    """Count each of the wanted words in each text; see `different_words` of a query text."""
    lengths = np.array([*map(len, texts)], np.int64)
    counts = np.zeros((len(wanted), len(texts)))
    if lengths.any():
        words = np.concatenate(texts)
        text_of_word = np.repeat(np.arange(len(texts)), lengths)
        for row, word in zip(counts, wanted, strict=True):
            row[:] = np.bincount(text_of_word[words == word], minlength=len(texts))
    return WordCounts(counts, lengths)


def weigh_evidence(
    wanted: Words, passages: Sequence[Passage], counted: WordCounts
) -> dict[int, float]:
    """Lexical evidence of each group that has passages, by its index; empty if there is none.

    BM25 of a group's best title plus that of its best passage, divided by the mean over all
    groups, plus the share of the query's words that the group holds in any text, out of those
    that any group holds. `counted` has the query's words in the passages' bodies; titles are
    compared with titles, each of a group's different ones once.
    """
    titles: dict[tuple[int, bytes], Words] = {}
    for passage in passages:
        titles.setdefault((passage.group, passage.title_words.tobytes()), passage.title_words)
    counted_titles = count_words(wanted, list(titles.values()))

    groups = list(dict.fromkeys(passage.group for passage in passages))
    row = {group: number for number, group in enumerate(groups)}
    best = np.zeros(len(groups))
    held = np.zeros((len(groups), len(counted.counts)))
    for rows, texts in (
        ([row[passage.group] for passage in passages], counted),
        ([row[group] for group, _ in titles], counted_titles),
    ):
        highest = np.zeros(len(groups))
        np.maximum.at(highest, rows, texts.bm25(_SHARED_WORD))
        best += highest
        np.maximum.at(held, rows, texts.counts.T)

    found = np.count_nonzero(held.any(axis=0))
    if not found:
        return {}
    evidence = best / best.mean() + np.count_nonzero(held, axis=1) / found
    return dict(zip(groups, evidence.tolist(), strict=True))
