"""Texts made safe for what reads them: ICU and tokenisers refuse what JSON may contain."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Make each run of white space one blank, none at the ends, and the text encodable."""
    return replace_surrogates(" ".join(text.split()))


def replace_surrogates(text: str) -> str:
    r"""Put U+FFFD for each lone surrogate.

    JSON may contain one (`"\ud800"`); tokenisers and ICU refuse it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text
