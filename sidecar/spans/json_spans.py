"""JSON values with their places, so that text can be changed by replacing spans.

To parse JSON and write it again would also change the notation of values (`1.10`, `1E5`, escapes,
white space). The standard library's C scanner reads values and returns where each one ends; this
file walks only the objects and arrays whose members matter. Offsets count characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn


class NotJson(ValueError):
    """The text is not the expected JSON, judged as strictly as OpenSearch does."""


class NestingTooDeep(NotJson):
    """Objects and arrays are nested too deeply for the parser."""


class TooMany(NotJson):
    """An object or array has more members or elements than the caller allows."""


class Spanned(NamedTuple):
    """A value and where its text stands: `text[start:end]`."""

    value: Any
    start: int
    end: int


Reader = Callable[[str, int], tuple[Any, int]]
"""Reads the value that starts at an offset; returns it and the offset after it."""


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


def _short_integer(digits: str) -> int:
    # Python needs quadratic time for many digits. OpenSearch's parser refuses more than 1,000
    # (Jackson's `StreamReadConstraints.maxNumberLength`).
    if len(digits) > _MOST_DIGITS:
        raise NotJson(f"a number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _read_float(number: str) -> float:
    # In Python rather than in C, so that other threads can run between the numbers of a vector.
    return float(number)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("an object has a key twice")
    return members


_MOST_DIGITS: Final = 1000

_SPACE: Final = " \t\n\r"
_skip_space = re.compile(r"[ \t\n\r]*").match
_no_readers: Mapping[str, Reader] = MappingProxyType({})

read_value: Reader = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
"""Reads any value; if an object has a key twice, the last one counts."""

read_unique_value: Reader = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_int=_short_integer,
    parse_float=_read_float,
    object_pairs_hook=_unique_members,
).raw_decode
"""Reads any value; like OpenSearch, refuses an object that has a key twice."""


def read_object(
    text: str,
    start: int,
    readers: Mapping[str, Reader] = _no_readers,
    other: Reader = read_value,
    most: int | None = None,
) -> tuple[dict[str, Spanned], int]:
    """Walk one object: return its members by key, and the offset after it.

    `readers` has the readers for the values of some keys; `other` reads all other values. Raises
    NotJson if it is not an object, is malformed, or has a key twice; TooMany if it has more than
    `most` members; and whatever the readers raise.
    """
    members: dict[str, Spanned] = {}
    offset = _enter(text, start, "{")
    if text.startswith("}", offset):
        return members, offset + 1
    while True:
        key, offset = read_value(text, offset)
        if not isinstance(key, str) or key in members:
            raise NotJson("an object's key is not a string, or occurs twice")
        offset = _enter(text, _space_end(text, offset), ":")
        value, end = readers.get(key, other)(text, offset)
        members[key] = Spanned(value, offset, end)
        if most is not None and len(members) > most:
            raise TooMany(f"an object has more than {most} members")
        offset, closed = _next_item(text, end, "}")
        if closed:
            return members, offset


def read_array(
    text: str, start: int, element: Reader, most: int | None = None
) -> tuple[list[Spanned], int]:
    """Walk one array: return its elements, which `element` reads, and the offset after it.

    Raises the same errors as `read_object`.
    """
    elements: list[Spanned] = []
    offset = _enter(text, start, "[")
    if text.startswith("]", offset):
        return elements, offset + 1
    while True:
        value, end = element(text, offset)
        elements.append(Spanned(value, offset, end))
        if most is not None and len(elements) > most:
            raise TooMany(f"an array has more than {most} elements")
        offset, closed = _next_item(text, end, "]")
        if closed:
            return elements, offset


def read_document(text: str, reader: Reader) -> Any:
    """Read a whole text, which must be one value and white space; raises NotJson otherwise."""
    try:
        value, end = reader(text, _space_end(text, 0))
    except NotJson:
        raise
    except RecursionError:
        raise NestingTooDeep("nested too deeply") from None
    except ValueError as error:  # malformed, or an integer of thousands of digits
        raise NotJson(str(error)) from None
    if _space_end(text, end) != len(text):
        raise NotJson("more text follows the value")
    return value


def replace_spans(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Return the text with each span `[start:end]` replaced; spans must not overlap."""
    pieces = []
    copied = 0
    for start, end, new in sorted(edits):
        pieces += [text[copied:start], new]
        copied = end
    return "".join([*pieces, text[copied:]])


def spans_of_members(
    text: str, start: int, members: Mapping[str, Spanned], names: Collection[str]
) -> list[tuple[int, int]]:
    """Return the spans to cut so that the object at `start` loses the members with these names.

    Each span includes one comma, so that the rest is still an object. `members` are as
    `read_object` returns them.
    """
    spans = []
    last_end = start + 1
    any_stays = False
    for name, member in members.items():
        if name in names:
            if any_stays or len(names) == len(members):
                spans.append((last_end, member.end))
        elif not any_stays:
            any_stays = True
            if last_end > start + 1:
                spans.append((start + 1, text.index(",", last_end) + 1))
        last_end = member.end
    return spans


def _space_end(text: str, offset: int) -> int:
    if text[offset : offset + 1] not in _SPACE:
        return offset  # nearly always; it takes a fifth of the time
    match = _skip_space(text, offset)
    assert match is not None  # the pattern matches the empty text
    return match.end()


def _enter(text: str, offset: int, opening: str) -> int:
    if not text.startswith(opening, offset):
        raise NotJson(f"expected {opening} at character {offset}")
    return _space_end(text, offset + 1)


def _next_item(text: str, offset: int, closing: str) -> tuple[int, bool]:
    offset = _space_end(text, offset)
    if text.startswith(closing, offset):
        return offset + 1, True
    return _enter(text, offset, ","), False
