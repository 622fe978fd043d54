"""How much a JSON text contains: judged before it is parsed, or of a value that is parsed.

Parsing takes time and memory for each value rather than for each byte: a parsed value takes about
a hundred times the two bytes of its shortest spelling. The standard library's C scanner also lets
no other thread run before it ends, so the number of values is bounded even where a thread parses.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_QUICK_BYTES: Final = 16 << 10
_QUICK_COUNTED_BYTES: Final = 256 << 10
_QUICK_CONTAINERS: Final = 2000
_QUICK_COMMAS: Final = 10_000

# Other threads run only between two steps. A step takes less than a millisecond.
_STEP: Final = 1 << 20
_EXACT_STEP: Final = 32 << 10

_COMMA: Final = ord(",")
_BRACKET: Final = ord("[")
# "[" and "{" differ in one bit.
_BRACKET_BITS: Final = 0xFF ^ ord("[") ^ ord("{")
_SIGNS: Final = (b",", b"[", b"{")


def has_more_values(text: bytes, most: int) -> bool:
    """Whether a JSON text has more than `most` numbers, strings, constants, objects and arrays.

    Each value but the first follows a comma or an opening bracket, or the colon of a member that
    one of these precedes. An empty object or array counts as two values. Signs within strings do
    not count. Where the text is not JSON, the values before the mistake are counted, as a parser
    makes them. The time grows with the length: 0.1 ms for each megabyte where even all signs,
    those within strings included, are few enough, else up to 20 ms.
    """
    if len(text) <= most or not _has_more_signs(text, most - 1):
        return False
    return _has_more_signs_outside_strings(text, most - 1)


def _has_more_signs(text: bytes, most: int) -> bool:
    count = 0
    for start in range(0, len(text), _STEP):
        count += sum(text.count(sign, start, start + _STEP) for sign in _SIGNS)
        if count > most:
            return True
    return False


def _has_more_signs_outside_strings(text: bytes, most: int) -> bool:
    count = start = 0
    in_string = False
    while start < len(text):
        piece = text[start : start + _EXACT_STEP]
        if b"\\" in piece:
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
                piece += text[start + len(piece) : start + len(piece) + 1]  # an escape stays whole
            start += len(piece)
            # Escaped backslashes first: a quotation mark is escaped only if the backslash before
            # it is not. Each mark that remains begins or ends a string.
            piece = piece.replace(rb"\\", b"").replace(rb"\"", b"")
        else:
            start += len(piece)
        parts = piece.split(b'"')
        outside = b" ".join(parts[in_string::2])
        count += sum(map(outside.count, _SIGNS))
        if count > most:
            return True
        in_string ^= len(parts) % 2 == 0
    return False


def is_quick_to_read(text: bytes) -> bool:
    """Whether the standard library's scanner parses the text in about a millisecond.

    The scanner takes at most 0.2 us for a number, a string, an object or an array.
    """
    size = len(text)
    if size <= _QUICK_BYTES:
        return True
    if size > _QUICK_COUNTED_BYTES:
        return False
    # numpy counts in 0.05 ns for each byte; `bytes.count` in 0.3 ns, and 15 ns for each sign.
    signs = np.frombuffer(text, np.uint8)
    return (
        int(np.count_nonzero(signs & _BRACKET_BITS == _BRACKET)) <= _QUICK_CONTAINERS
        and int(np.count_nonzero(signs == _COMMA)) <= _QUICK_COMMAS
    )


def is_deeper(value: object, most: int) -> bool:
    """Whether more than `most` objects and arrays of a parsed value stand inside one another.

    The value itself counts. There is no recursion, so any depth can be judged.
    """
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def has_more_objects(value: object, most: int) -> bool:
    """Whether a parsed value has more than `most` objects, itself included."""
    count = 0
    to_visit = [value]
    while to_visit:
        one = to_visit.pop()
        if isinstance(one, dict):
            count += 1
            if count > most:
                return True
            to_visit += one.values()
        elif isinstance(one, list):
            to_visit += one
    return False
