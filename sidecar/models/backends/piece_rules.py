"""Tells from a tokenizer whether it cuts the words of a text apart from each other.

A tokenizer of BERT's kind does: after its normalizer, which changes each character alone, it cuts
at blanks and around signs of punctuation, and then cuts each word into pieces. Other tokenizers
look beyond the space between two words, or may; nothing is said of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.models.backends.readable import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class PieceRules:
    """What a tokenizer of BERT's kind does with a text.

    It cuts a text at ASCII's blank, tab, line feed and carriage return, ignores ASCII's other
    control characters, and takes each of its signs of punctuation as a word. What lies between is
    cut apart from what is before and after it.
    """

    lowercase: bool
    """Whether the letters A to Z count as a to z."""

    words: Mapping[str, int]
    """The numbers of words of ASCII letters and digits, and of its signs, that are one piece."""

    marks: tuple[str, ...]
    """A text with one of these strings is not cut by these rules."""

    most_pieces: int | None
    """Pieces of a text after which the tokenizer ignores the rest; None if it reads all."""

    most_characters: int | None
    """Characters of a text after which `readable` cuts it off; None if it does not."""


def find_piece_rules(tokenizer: Tokenizer, max_tokens: int | None) -> PieceRules | None:
    """The rules of a tokenizer that cuts texts off at `max_tokens`; None if it is of another kind.

    Takes some 20 ms for a vocabulary of 30,000 pieces.
    """
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    normalizer, model = tokenizer.normalizer, tokenizer.model
    if not (
        isinstance(normalizer, BertNormalizer)
        and normalizer.clean_text
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and isinstance(model, WordPiece)
    ):
        return None
    # These are found before the normalizer changes the text, or in the text that it has changed.
    added = tokenizer.get_added_tokens_decoder().values()
    if any(token.normalized or " " in token.content for token in added):
        return None
    words = {
        word: number
        for word, number in tokenizer.get_vocab(with_added_tokens=False).items()
        if word.isascii() and (word.isalnum() or len(word) == 1) and word.isprintable()
        if len(word) <= model.max_input_chars_per_word
        if not (normalizer.lowercase and word != word.lower())
    }
    words.pop(" ", None)
    return PieceRules(
        bool(normalizer.lowercase),
        words,
        tuple(token.content for token in added if token.content),
        max_tokens,
        None if max_tokens is None else max_tokens * CHARACTERS_PER_TOKEN,
    )
