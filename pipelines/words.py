"""The words of a text as numbers, so that a search counts them without reading the text again."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int64]
"""A text's words in reading order, each as its hash; shape (words,). Valid in this process."""

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts written without blanks, as the inside of a character class: Thai, Lao, Burmese, Khmer,
Japanese, Chinese."""

_UNSPACED = re.compile(f"[{UNSPACED}]")
_WORD = re.compile(r"\w+")
# Scripts without blanks are compared character by character.
_WORD_OR_CHARACTER = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def read_words(text: str) -> Words:
    """The words of a text, lower-cased and unstemmed; every character of an unspaced script is one.

    Two words are taken for the same when Python's 64-bit hashes of them are.
    """
    pattern = _WORD_OR_CHARACTER if has_unspaced(text) else _WORD
    words = pattern.findall(text.lower())
    return np.fromiter(map(hash, words), np.int64, len(words))


def different_words(text: str) -> Words:
    """Each word of a text once, in ascending order of its hash."""
    return np.unique(read_words(text))


def has_unspaced(text: str) -> bool:
    """Whether the text has a character of the scripts in `UNSPACED`."""
    return not text.isascii() and _UNSPACED.search(text) is not None
