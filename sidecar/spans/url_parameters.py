"""The query string as OpenSearch reads it, with the place of each value.

The rules are those of OpenSearch's `RestUtils.decodeQueryString`: `+` is a space, `%%` is a percent
sign, a parameter may lack `=`. Spellings that two readers could understand differently are refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes


class BadUrl(ValueError):
    """The URL has a spelling that OpenSearch does not read, or that others read differently."""


class TooManyParameters(BadUrl):
    """The URL has more parameters than the caller allows."""


class Parameter(NamedTuple):
    """One parameter; `target[start:end]` is its value as written in the request target."""

    name: str
    value: str
    start: int
    end: int


_broken_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})").search


def decode_escapes(spelled: bytes, *, plus_is_blank: bool) -> str:
    """Decode one name, value or path segment.

    Raises BadUrl for a broken escape, for bytes that are not UTF-8, and for non-ASCII bytes without
    an escape (OpenSearch reads those as Latin-1 or as UTF-8, depending on the text beside them).
    """
    if not spelled.isascii():
        raise BadUrl("a byte beyond ASCII is not escaped")
    if plus_is_blank:
        spelled = spelled.replace(b"+", b" ")
    if b"%" in spelled:
        parts = spelled.split(b"%%")
        if any(_broken_escape(part) for part in parts):
            raise BadUrl("an escape is not % and two hexadecimal digits")
        spelled = b"%".join(unquote_to_bytes(part) for part in parts)
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        raise BadUrl("the escaped bytes are not UTF-8") from None


def read_url_parameters(target: bytes, most: int | None = None) -> tuple[Parameter, ...]:
    """Return all parameters of a request target in order; if a name is repeated, the last counts.

    Raises TooManyParameters if there are more than `most`. Raises BadUrl for `;` and `#`, which
    OpenSearch reads as a separator and as the end, and for what `decode_escapes` refuses.
    """
    path, mark, query = target.partition(b"?")
    if most is not None and query.count(b"&") >= most:
        raise TooManyParameters(f"there are more than {most} parameters")
    if b"#" in target or b";" in query:
        raise BadUrl("the query string has ; or #")
    parameters = []
    start = len(path) + len(mark)
    for piece in query.split(b"&"):
        end = start + len(piece)
        # OpenSearch drops `=` signs before a name: `==a=b` is `a=b`, and `=b` is `b` alone.
        spelled_name, _, spelled_value = piece.lstrip(b"=").partition(b"=")
        if spelled_name:
            name = decode_escapes(spelled_name, plus_is_blank=True)
            value = decode_escapes(spelled_value, plus_is_blank=True)
            parameters.append(Parameter(name, value, end - len(spelled_value), end))
        start = end + 1
    return tuple(parameters)
