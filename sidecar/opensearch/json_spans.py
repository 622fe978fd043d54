"""JSON with the place of each value, so that text is changed by replacing spans.

Parsing and dumping would change what nobody asked to change (`1.10`, `1E5`, escapes, white
space). Values are read by the standard library's C scanner, which says where each one ends; only
the objects and arrays whose inside matters are walked here. Offsets count characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn


class NotJson(ValueError):
    """The text is not the JSON that is expected, read as strictly as OpenSearch reads it."""


class Spanned(NamedTuple):
    """A value and where its text stands: `text[start:end]`."""

    value: Any
    start: int
    end: int


Reader = Callable[[str, int], tuple[Any, int]]
"""Reads the value that starts at an offset; gives it and the offset behind it."""


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("an object has a key twice")
    return members


_skip_space = re.compile(r"[ \t\n\r]*").match
_no_readers: Mapping[str, Reader] = MappingProxyType({})

read_value: Reader = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
"""Any value; of a key that an object has twice the last one counts."""

read_unique_value: Reader = json.JSONDecoder(
    parse_constant=_refuse_constant, object_pairs_hook=_unique_members
).raw_decode
"""Any value; a key that an object has twice is refused, as OpenSearch refuses it."""


def read_object(
    text: str,
    start: int,
    readers: Mapping[str, Reader] = _no_readers,
    other: Reader = read_value,
) -> tuple[dict[str, Spanned], int]:
    """Walk one object: its members by key, and the offset behind it.

    `readers` reads the members of those keys, `other` the rest. Raises NotJson, or what the
    readers raise, when it is not an object, is malformed, or has a key twice.
    """
    members: dict[str, Spanned] = {}
    offset = _enter(text, start, "{")
    if text.startswith("}", offset):
        return members, offset + 1
    while True:
        key, offset = read_value(text, offset)
        if not isinstance(key, str) or key in members:
            raise NotJson("an object's key is not a string, or is there twice")
        offset = _enter(text, _space_end(text, offset), ":")
        value, end = readers.get(key, other)(text, offset)
        members[key] = Spanned(value, offset, end)
        offset, closed = _next_item(text, end, "}")
        if closed:
            return members, offset


def read_array(text: str, start: int, element: Reader) -> tuple[list[Spanned], int]:
    """Walk one array: its elements as `element` reads them, and the offset behind it."""
    elements: list[Spanned] = []
    offset = _enter(text, start, "[")
    if text.startswith("]", offset):
        return elements, offset + 1
    while True:
        value, end = element(text, offset)
        elements.append(Spanned(value, offset, end))
        offset, closed = _next_item(text, end, "]")
        if closed:
            return elements, offset


def read_document(text: str, reader: Reader) -> Any:
    """Read a whole text that is one value and white space; raises NotJson for anything else."""
    try:
        value, end = reader(text, _space_end(text, 0))
    except NotJson:
        raise
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError as error:  # malformed, or an integer of thousands of digits
        raise NotJson(str(error)) from None
    if _space_end(text, end) != len(text):
        raise NotJson("something follows the value")
    return value


def replace_spans(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """The text with each span `[start:end]` replaced; spans must not overlap."""
    pieces = []
    behind = 0
    for start, end, new in sorted(edits):
        pieces += [text[behind:start], new]
        behind = end
    return "".join([*pieces, text[behind:]])


def spans_of_members(
    text: str, start: int, members: Mapping[str, Spanned], names: Collection[str]
) -> list[tuple[int, int]]:
    """The spans to cut for the object that starts there to lose these members: each with one
    comma, so that what is left is an object. `members` as `read_object` gives them."""
    spans = []
    behind = start + 1
    kept = False
    for name, member in members.items():
        if name in names:
            if kept or len(names) == len(members):
                spans.append((behind, member.end))
        elif not kept:
            kept = True
            if behind > start + 1:
                spans.append((start + 1, text.index(",", behind) + 1))
        behind = member.end
    return spans


def _space_end(text: str, offset: int) -> int:
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
