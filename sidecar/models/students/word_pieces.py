"""Cuts texts into the pieces of the model's tokenizer, in a tenth of the tokenizer's time.

A tokenizer of BERT's kind cuts each word apart from the others (`backends/piece_rules.py`), and
texts repeat their words. So numpy finds the words of many texts at once, and looks up their pieces;
the tokenizer is asked for the words that are not known. Texts of other tokenizers, and texts to
which the rules do not apply, are cut by the tokenizer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import Pieces
from sidecar.models.backends.piece_rules import PieceRules
from sidecar.models.students.known_words import (
    MOST_BYTES,
    MOST_PIECES,
    KnownWords,
    WordHashes,
)

# The tokenizer cuts longer texts, so this bounds the memory that one text takes.
_MOST_CHARACTERS: Final = 1 << 14
# Of the texts that are cut together.
_MOST_TEXT_BYTES: Final = 1 << 17
_WORDS_TOGETHER: Final = 1 << 11
# Row n: which places of a row of pieces a word of n pieces has.
_USED: Final = np.tri(MOST_PIECES + 1, MOST_PIECES, -1, np.bool_)
_WORD, _SIGN, _BLANK, _IGNORED = range(4)


def _kinds() -> NDArray[np.uint8]:
    """What each byte of UTF-8 is to a tokenizer of BERT's kind."""
    kinds = np.full(256, _WORD, np.uint8)
    for number in range(128):
        character = chr(number)
        if character in " \t\n\r":
            kinds[number] = _BLANK
        elif not character.isprintable():
            kinds[number] = _IGNORED
        elif not character.isalnum():
            kinds[number] = _SIGN
    return kinds


_KINDS: Final = _kinds().tobytes()


class CutTexts(NamedTuple):
    """The pieces of n texts."""

    pieces: Pieces
    """Those of all texts, one after the other."""

    counts: NDArray[np.intp]
    """How many each text has, shape (n,)."""


def join_pieces(texts: Sequence[Pieces]) -> CutTexts:
    """The pieces of each text as those of all."""
    counts = np.fromiter(map(len, texts), np.intp, len(texts))
    return CutTexts(np.concatenate([*texts, np.empty(0, np.uint32)]), counts)


class WordPieces:
    """Cuts texts as `read_pieces` does; any thread may call it."""

    def __init__(
        self,
        read_pieces: Callable[[Sequence[str]], Sequence[Pieces]],
        rules: PieceRules | None = None,
    ) -> None:
        """`read_pieces`, `rules`: those of `backends.base.PieceReader`."""
        self._read_pieces = read_pieces
        self._rules = rules
        if rules is not None:
            self._marks = [mark.encode() for mark in rules.marks]
            self._mark_begins = {mark[:1] for mark in self._marks}
            self._most_characters = min(rules.most_characters or _MOST_CHARACTERS, _MOST_CHARACTERS)
            self._hash = WordHashes(rules.lowercase, _MOST_TEXT_BYTES)
            self._known = KnownWords()
            self._learn_vocabulary(rules)

    def __call__(self, texts: Sequence[str]) -> CutTexts:
        """The pieces of each text, as many as the tokenizer reads."""
        rules = self._rules
        if rules is None:
            return join_pieces(self._read_pieces(texts))
        cut_off = rules.most_characters
        texts = [text[:cut_off] for text in texts]
        parts = [
            text.encode("utf-8", "replace") if len(text) <= self._most_characters else None
            for text in texts
        ]
        joined = b" ".join(filter(None, parts))
        for mark in self._marks if any(begin in joined for begin in self._mark_begins) else ():
            if mark in joined:
                parts = [None if part and mark in part else part for part in parts]
        whole = [place for place, part in enumerate(parts) if part is None]
        cut = self._cut([part or b"" for part in parts])
        return self._cut_whole(texts, whole, cut) if whole else cut

    def _cut_whole(self, texts: Sequence[str], whole: Sequence[int], cut: CutTexts) -> CutTexts:
        """Let the tokenizer cut the texts at the places `whole`, which have no pieces in `cut`."""
        pieces = np.split(cut.pieces, np.cumsum(cut.counts)[:-1])
        for place, one in zip(whole, self._read_pieces([texts[n] for n in whole]), strict=True):
            pieces[place] = one
        return join_pieces(pieces)

    def _cut(self, parts: Sequence[bytes]) -> CutTexts:
        """Cut texts in UTF-8 by the rules."""
        lengths = np.fromiter(map(len, parts), np.intp, len(parts)) + 1
        if lengths.sum() > _MOST_TEXT_BYTES:
            middle = len(parts) // 2
            first, second = self._cut(parts[:middle]), self._cut(parts[middle:])
            return CutTexts(
                np.concatenate([first.pieces, second.pieces]),
                np.concatenate([first.counts, second.counts]),
            )
        raw = b" ".join([*parts, b""])
        text = np.frombuffer(raw, np.uint8)
        kinds = np.frombuffer(raw.translate(_KINDS), np.uint8)
        begins = np.concatenate([[0], np.cumsum(lengths)])
        if kinds.max(initial=0) == _IGNORED:
            read = kinds != _IGNORED
            begins = np.concatenate([[0], np.cumsum(read)])[begins]
            text, kinds = text[read], kinds[read]
        starts, ends = _find_words(kinds)
        pieces, counts = self._read_words(text, starts, ends)
        # The number of pieces before each word, and so before each text.
        before = np.concatenate([[0], np.cumsum(counts)])
        counts = np.diff(before[np.searchsorted(starts, begins)])
        most = self._rules.most_pieces if self._rules is not None else None
        if most is not None and counts.max(initial=0) > most:
            places = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts)
            pieces, counts = pieces[places < most], np.minimum(counts, most)
        return CutTexts(pieces, counts)

    def _read_words(
        self, text: NDArray[np.uint8], starts: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> CutTexts:
        """The pieces of each word `text[start:end]`."""
        hashes = self._hash(text, starts, ends)
        known, counts, rows = self._known.find(hashes)
        # Long words are never remembered; another word might have the same hash by malice.
        known &= ends - starts <= MOST_BYTES
        missing = np.flatnonzero(~known)
        if not len(missing):
            return CutTexts(_in_a_row(rows, counts), counts.astype(np.intp))
        raw = text.tobytes()
        bounds = zip(starts[missing].tolist(), ends[missing].tolist(), strict=True)
        numbers: dict[bytes, int] = {}
        owners = np.array(
            [numbers.setdefault(raw[start:end], len(numbers)) for start, end in bounds], np.intp
        )
        new = self._read_new(list(numbers))
        counts[missing], rows[missing] = new.counts[owners], new.rows[owners]
        _, places = np.unique(hashes[missing], return_index=True)
        places = places[new.is_short[owners[places]]]
        self._known.remember(
            hashes[missing[places]], counts[missing[places]], rows[missing[places]]
        )
        pieces, all_counts = _in_a_row(rows, counts), counts.astype(np.intp)
        if new.long:
            # Their pieces come between those of the words before and after them.
            of_long = [new.long.get(number) for number in owners.tolist()]
            at = missing[[one is not None for one in of_long]]
            long = join_pieces([one for one in of_long if one is not None])
            before = (np.cumsum(all_counts) - all_counts)[at]
            pieces = np.insert(pieces, np.repeat(before, long.counts), long.pieces)
            all_counts[at] = long.counts
        return CutTexts(pieces, all_counts)

    def _read_new(self, words: Sequence[bytes]) -> _NewWords:
        """Let the tokenizer cut words."""
        read = self._read_pieces([word.decode() for word in words])
        counts = np.zeros(len(words), np.uint8)
        rows = np.zeros((len(words), MOST_PIECES), np.uint32)
        is_short = np.ones(len(words), np.bool_)
        long: dict[int, Pieces] = {}
        for number, (word, pieces) in enumerate(zip(words, read, strict=True)):
            is_short[number] = len(word) <= MOST_BYTES and len(pieces) <= MOST_PIECES
            if len(pieces) > MOST_PIECES:
                long[number] = pieces
            else:
                counts[number], rows[number, : len(pieces)] = len(pieces), pieces
        return _NewWords(counts, rows, is_short, long)

    def _learn_vocabulary(self, rules: PieceRules) -> None:
        """Remember the words that are one piece, so that fewer are new to the first searches."""
        words = [word for word in rules.words if len(word) <= MOST_BYTES]
        for first in range(0, len(words), _WORDS_TOGETHER):
            block = words[first : first + _WORDS_TOGETHER]
            raw = " ".join(block).encode()
            bounds = _find_words(np.frombuffer(raw.translate(_KINDS), np.uint8))
            rows = np.zeros((len(block), MOST_PIECES), np.uint32)
            rows[:, 0] = [rules.words[word] for word in block]
            hashes = self._hash(np.frombuffer(raw, np.uint8), *bounds)
            self._known.remember(hashes, np.ones(len(block), np.uint8), rows)


class _NewWords(NamedTuple):
    """The pieces of n words as the tokenizer cuts them."""

    counts: NDArray[np.uint8]
    rows: NDArray[np.uint32]
    is_short: NDArray[np.bool_]
    """Which words may be remembered."""

    long: dict[int, Pieces]
    """The pieces of words that have more than a row has room for; their count is 0."""


def _find_words(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where words begin and end, in a text whose bytes are of these kinds."""
    inside = np.zeros(len(kinds) + 2, np.bool_)
    np.equal(kinds, _WORD, out=inside[1:-1])
    signs = kinds == _SIGN
    starts = np.flatnonzero((inside[1:-1] & ~inside[:-2]) | signs)
    ends = np.flatnonzero((inside[1:-1] & ~inside[2:]) | signs) + 1
    return starts, ends


def _in_a_row(rows: NDArray[np.uint32], counts: NDArray[np.uint8]) -> Pieces:
    """The pieces of all words, one after the other."""
    # numpy takes a third of the time for this that it takes to choose by a mask.
    return rows.reshape(-1).take(np.flatnonzero(_USED.take(counts, axis=0)))
