"""Lexical evidence: how well the words of a window's texts match those of the query text.

OpenSearch's own score judges a document as a whole, and weighs words by the whole index. A new
count within the window gives less weight to words that all hits share, judges a long document by
its best passage, and shows how many of the query's words, and of its pairs of neighbouring words, a
document contains at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.passages import Passage
from pipelines.words import QueryWords, Words

_K1 = 1.2
_B = 0.75
# Added to each word's weight in evidence: where hits are nearly equal, as for short product
# queries, the words that every hit contains are the ones that matter.
_SHARED_WORD = 1.0

_LAST_BITS = 0xFFFF

# A word is rare if at most this number of a window's groups contain it.
_RARE = 2

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class WordCounts:
    """How often each text contains each different word of a query text.

    `counts` has shape (words, texts). `lengths` has shape (texts,): all words of each text. `pairs`
    has shape (pairs, texts): whether the text contains two neighbours of the query text beside
    each other, in the same order.
    """

    counts: Counts
    lengths: NDArray[np.int64]
    pairs: NDArray[np.bool_]

    def bm25(self, shared_word: float = 0.0) -> list[float]:
        """Score each text by its words; a word that the query repeats counts once.

        idf = shared_word + ln(1 + (N - df + 0.5) / (df + 0.5)), never negative; k1 1.2, b 0.75.
        Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
        (2009), with the idf of Lucene's BM25Similarity.
        """
        texts = len(self.lengths)
        if not self.lengths.any():
            return [0.0] * texts
        idf = shared_word + self._idf
        shares = idf[:, None] * self.counts * (_K1 + 1) / self._damping
        # Sorted, so that texts with words of the same weights get exactly the same sum, and tie.
        scores: list[float] = np.sort(shares, axis=0).sum(axis=0).tolist()
        return scores

    @cached_property
    def _idf(self) -> Counts:
        holding = np.count_nonzero(self.counts, axis=1)
        idf: Counts = np.log1p((len(self.lengths) - holding + 0.5) / (holding + 0.5))
        return idf

    @cached_property
    def _damping(self) -> Counts:
        damping: Counts = self.counts + _K1 * (1 - _B + _B * self.lengths / self.lengths.mean())
        return damping

    def part(self, texts: slice) -> WordCounts:
        """The counts of some of the texts."""
        return WordCounts(self.counts[:, texts], self.lengths[texts], self.pairs[:, texts])


class EvidenceCounts(NamedTuple):
    """The words of a query text in a window's passages, and in its titles, which are read apart.

    Each different title of a group counts once; `title_groups` has the index of its group.
    """

    bodies: WordCounts
    titles: WordCounts
    title_groups: Sequence[int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Lexical evidence of each group, by its index, and the length of the query text.

    `groups` is empty if nothing was counted, or no group shares a word with the query text.
    `query_words` is the number of different words in the query text. `exact` is the share of the
    query's identifiers that each group contains; empty if there are none, or the plan has no guard
    for them.
    """

    query_words: int
    groups: Mapping[int, float]
    exact: Mapping[int, float] = field(default_factory=dict)


def count_words(query: QueryWords, texts: Sequence[Words]) -> WordCounts:
    """Count the words and pairs of words of a query text in each text."""
    lengths = np.array([*map(len, texts)], np.int64)
    size = len(query.different)
    counts = np.zeros((size, len(texts)))
    pairs = np.zeros((len(query.pairs), len(texts)), np.bool_)
    if size and lengths.any():
        words = np.concatenate(texts)
        # Nearly all words of the texts are none of the query's, and the last bits of a hash tell
        # that in a tenth of the time of a search among its words.
        may_be_asked = np.zeros(_LAST_BITS + 1, np.bool_)
        may_be_asked[query.different & _LAST_BITS] = True
        places = np.flatnonzero(may_be_asked[words & _LAST_BITS])
        numbers = np.minimum(np.searchsorted(query.different, words[places]), size - 1)
        asked = query.different[numbers] == words[places]
        places, numbers = places[asked], numbers[asked]
        owners = np.searchsorted(np.cumsum(lengths), places, side="right")
        cells = np.bincount(numbers * len(texts) + owners, minlength=counts.size)
        counts = cells.reshape(counts.shape).astype(np.float64)
        beside = (np.diff(places) == 1) & (owners[:-1] == owners[1:])
        if len(pairs):
            # `query.pairs` is in ascending order, and so are its codes.
            asked_codes = query.pairs[:, 0] * size + query.pairs[:, 1]
            codes = (numbers[:-1] * size + numbers[1:])[beside]
            rows = np.minimum(np.searchsorted(asked_codes, codes), len(pairs) - 1)
            held = asked_codes[rows] == codes
            pairs[rows[held], owners[:-1][beside][held]] = True
    return WordCounts(counts, lengths, pairs)


def count_window(query: QueryWords, passages: Sequence[Passage]) -> EvidenceCounts:
    """Count the words of a query text in the bodies of passages, and in their titles."""
    title_groups, titles = _different_titles(passages)
    # Together, since it is one step after the other in numpy, and few texts take as long as many.
    counts = count_words(query, [*(passage.words for passage in passages), *titles])
    bodies = len(passages)
    return EvidenceCounts(
        counts.part(slice(0, bodies)), counts.part(slice(bodies, None)), title_groups
    )


def weigh_evidence(
    query: QueryWords, passages: Sequence[Passage], counts: EvidenceCounts
) -> dict[int, float]:
    """Lexical evidence of each group that has passages, by its index; empty if there is none.

    It is a sum of three parts: BM25 of the group's best title plus BM25 of its best passage,
    divided by the mean over all groups; and the shares of the query's words, and of its pairs of
    neighbouring words, that the group contains, out of those that any group contains. The rarer a
    word or a pair is within the window, the more it counts in its share (its idf). Titles are
    compared with titles. `counts` is `count_window` of the same query and passages.

    Source of the pairs: Metzler and Croft, "A Markov Random Field Model for Term Dependencies"
    (SIGIR 2005), whose ordered phrases they are.
    """
    passage_owners = [passage.group for passage in passages]
    groups = list(dict.fromkeys(passage_owners))
    best = np.zeros(len(groups))
    words = np.zeros((len(query.different), len(groups)), np.bool_)
    pairs = np.zeros((len(query.pairs), len(groups)), np.bool_)
    for owners, texts in (
        (passage_owners, counts.bodies),
        (counts.title_groups, counts.titles),
    ):
        # The texts of a group stand together.
        if len(owners) == len(groups):
            best += texts.bm25(_SHARED_WORD)
            words |= texts.counts > 0
            pairs |= texts.pairs
            continue
        array = np.array(owners)
        starts = np.concatenate([[0], np.flatnonzero(array[1:] != array[:-1]) + 1])
        best += np.maximum.reduceat(texts.bm25(_SHARED_WORD), starts)
        words |= np.logical_or.reduceat(texts.counts > 0, starts, axis=1)
        pairs |= np.logical_or.reduceat(texts.pairs, starts, axis=1)

    if not words.any():
        return {}
    evidence = best / best.mean() + _share(words.T) + _share(pairs.T)
    return dict(zip(groups, evidence.tolist(), strict=True))


def _different_titles(passages: Sequence[Passage]) -> tuple[list[int], list[Words]]:
    """The titles of each group, each different one once, with the group's index."""
    owners: list[int] = []
    titles: list[Words] = []
    group, title = -1, None
    seen: set[bytes] = set()  # of the group's titles, from the second one on
    for passage in passages:
        own = passage.title_words
        if passage.group != group:
            group, title, seen = passage.group, own, set()
        elif own is title:
            continue
        else:
            seen = seen or {titles[-1].tobytes()}
            title, key = own, own.tobytes()
            if key in seen:
                continue
            seen.add(key)
        owners.append(group)
        titles.append(own)
    return owners, titles


def _share(contains: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of the columns with any True, the share that each row has, weighed by their idf; 0 to 1."""
    rows = len(contains)
    holding = np.count_nonzero(contains, axis=0)
    idf = np.where(holding, np.log1p((rows - holding + 0.5) / (holding + 0.5)), 0.0)
    whole = idf.sum()
    if not whole:
        return np.zeros(rows)
    # Sorted, so that rows with columns of the same weights get exactly the same sum, and tie.
    shares: NDArray[np.float64] = np.sort(contains * idf, axis=1).sum(axis=1) / whole
    return shares


def find_exact(
    query: QueryWords, numbered: Words, passages: Sequence[Passage], counts: EvidenceCounts
) -> dict[int, float]:
    """The share of the query's identifiers that each group with passages contains, by its index.

    An identifier is a word of the query text that some group contains, and that has a digit (it is
    in `numbered`), or that only the first of the groups and at most one other contain: OpenSearch
    put that group first for it. Empty if the query text has none. The arguments are those of
    `weigh_evidence`.
    """
    groups = list(dict.fromkeys(passage.group for passage in passages))
    row = {group: number for number, group in enumerate(groups)}
    contains = np.zeros((len(groups), len(query.different)), bool)
    passage_groups = [passage.group for passage in passages]
    for owners, texts in ((passage_groups, counts.bodies), (counts.title_groups, counts.titles)):
        np.logical_or.at(contains, [row[group] for group in owners], (texts.counts > 0).T)
    holding = np.count_nonzero(contains, axis=0)
    rare = contains[0] & (holding <= _RARE) & (len(groups) > _RARE)
    identifiers = (np.isin(query.different, numbered) | rare) & (holding > 0)
    if not identifiers.any():
        return {}
    shares = contains[:, identifiers].mean(axis=1)
    return dict(zip(groups, shares.tolist(), strict=True))
