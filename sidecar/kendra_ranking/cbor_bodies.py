"""Decodes CBOR (RFC 8949) from untrusted clients, after a check of its size and its keys.

In CBOR one byte can be a whole value, and an array can be a key. Only numbers and texts are allowed
as keys: Python's hash of arrays is not secret, so a client could send many keys with the same hash.
The check reads only the heads of values and skips the content of texts.
"""

from __future__ import annotations

import struct
from typing import Final

import cbor2

# Tags whose values cbor2 would convert, such as big fractions: that may take any amount of time.
_TAGS = (*range(6), 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)

_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6
_MOST_NESTED: Final = 100
_INDEFINITE: Final = 31
_INDEFINITE_LEFT: Final = -2
_BREAK: Final = 0xFF
_LENGTHS: Final = {24: (1, ">B"), 25: (2, ">H"), 26: (4, ">I"), 27: (8, ">Q")}


class BadCbor(ValueError):
    """The body is not valid CBOR, or has too many values; the message says which."""


def parse_cbor(body: bytes, most: int) -> object:
    """Decode a body with at most `most` values, whose keys are numbers and texts.

    Tags are dropped. Raises BadCbor.
    """
    _check(body, most)
    try:
        return cbor2.loads(body, semantic_decoders=dict.fromkeys(_TAGS, _leave_untagged))
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        raise BadCbor("the body is not valid CBOR") from None


def _check(body: bytes, most: int) -> None:
    # The containers that are open, innermost last. For each: how many values are still to come,
    # and whether it is a map, in which keys and values alternate. A container of indefinite length
    # counts down from -2, without an end.
    open_values = [(1, False)]
    at = values = 0
    size = len(body)
    while open_values:
        left, is_map = open_values.pop()
        if left == 0:
            continue
        if at >= size:
            raise BadCbor("the body ends early")
        first = body[at]
        if left < 0 and first == _BREAK:
            at += 1
            continue
        values += 1
        if values > most or len(open_values) > _MOST_NESTED:
            raise BadCbor("the body has too many values")
        kind, detail = first >> 5, first & 31
        if is_map and left % 2 == 0 and kind > _TEXT:
            raise BadCbor("a key is neither a number nor a text")
        open_values.append((left - 1, is_map))
        at, length = _read_length(body, at + 1, detail)
        if kind in (_TEXT, _BYTES) and length is not None:
            at += length
        elif kind in (_TEXT, _BYTES, _ARRAY):
            open_values.append((_INDEFINITE_LEFT if length is None else length, False))
        elif kind == _MAP:
            open_values.append((_INDEFINITE_LEFT if length is None else 2 * length, True))
        elif kind == _TAG:
            open_values.append((1, False))


def _read_length(body: bytes, at: int, detail: int) -> tuple[int, int | None]:
    """Where a head ends, and the number in it; None for an indefinite length."""
    if detail < 24:
        return at, detail
    if detail == _INDEFINITE:
        return at, None
    if detail not in _LENGTHS:
        raise BadCbor("the body is not valid CBOR")
    width, form = _LENGTHS[detail]
    if at + width > len(body):
        raise BadCbor("the body ends early")
    return at + width, struct.unpack_from(form, body, at)[0]


def _leave_untagged(value: object, _immutable: bool) -> object:
    return value
