"""Makes a text fit for any tokenizer: valid Unicode, and no longer than the model can read."""

from __future__ import annotations

# A model ignores the rest of a long text, and a tokenizer that reads it delays every search.
CHARACTERS_PER_TOKEN = 32
"""Characters of a text that are read for each token that the model reads."""


def readable(text: str, max_tokens: int | None) -> str:
    """The text as valid Unicode, cut to a length that has more than `max_tokens` tokens."""
    if max_tokens is not None:
        text = text[: max_tokens * CHARACTERS_PER_TOKEN]
    # JSON may contain half a surrogate pair, which tokenizers refuse.
    return text.encode("utf-8", "replace").decode("utf-8")
