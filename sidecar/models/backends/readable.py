"""What every tokenizer can read: text without half characters, and no more of it than counts."""

from __future__ import annotations

# What a model cannot read need not be cut into tokens: one huge text would hold up every search.
_CHARACTERS_PER_TOKEN = 32


def readable(text: str, max_tokens: int | None) -> str:
    """A text as a tokenizer takes it, cut where `max_tokens` tokens surely end."""
    if max_tokens is not None:
        text = text[: max_tokens * _CHARACTERS_PER_TOKEN]
    # JSON may carry half a surrogate pair, which the tokenizers refuse.
    return text.encode("utf-8", "replace").decode("utf-8")
