"""The shapes of an AWS service's messages, and the one function that checks a message by them.

A door declares its messages as these values; constraint, error message and member path all come
from there. The messages' wording is that of AWS services: `1 validation error detected: Value
'x' at 'documents.1.member.id' failed to satisfy constraint: ...`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite

from sidecar.aws_json import AwsError, printable

_MOST_MISTAKES = 10
_SHOWN_CHARACTERS = 100
_WORDS_FOR_NUMBERS = ("NaN", "Infinity", "-Infinity")

NO_CONTROLS = r"^\P{C}*$"
"""AWS's pattern for text without characters of the category Other: line breaks, joiners, ..."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `shortest` to `longest` code points. `pattern` covers all of it."""

    shortest: int = 0
    longest: int | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    least: int
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number within a range.

    `bend`: what lies outside is moved to the nearest end, and what is not finite, also as the
    words that JSON writers put for it, is 0.
    """

    least: float
    most: float
    bend: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list of `shortest` to `longest` items."""

    member: Shape
    shortest: int = 0
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Structure:
    """An object; members that are not named here are left out, and null is the same as absent.

    `rule` looks at the whole, read object and says what is wrong with it, or None.
    """

    members: Mapping[str, Shape]
    required: frozenset[str] = frozenset()
    rule: Callable[[Mapping[str, object]], str | None] | None = None


Shape = Text | Whole | Number | Items | Structure
Path = tuple[str | int, ...]
"""Names of members and numbers of items, from 1; spelt out only for a mistake."""


@dataclass(slots=True)
class _Reading:
    mistakes: list[str] = field(default_factory=list)

    def refuse(self, value: object, path: Path, constraint: str) -> None:
        where = f" at '{write_path(path)}'" if path else ""
        self.mistakes.append(
            f"Value {_show(value)}{where} failed to satisfy constraint: {constraint}"
        )

    @property
    def full(self) -> bool:
        return len(self.mistakes) >= _MOST_MISTAKES


def validation_error(*mistakes: str) -> AwsError:
    """The error that names what is wrong with a request."""
    errors = "error" if len(mistakes) == 1 else "errors"
    listed = "; ".join(mistakes)
    return AwsError(
        "ValidationException", f"{len(mistakes)} validation {errors} detected: {listed}"
    )


def read_message(shape: Structure, members: Mapping[str, object]) -> dict[str, object]:
    """The members that the shape names, checked; raises AwsError with at most ten mistakes."""
    reading = _Reading()
    read = _read_structure(shape, members, (), reading)
    if reading.mistakes:
        raise validation_error(*reading.mistakes)
    return read


def write_path(path: Path) -> str:
    """A member's path as AWS spells it: `documents.1.member.originalScore`."""
    return ".".join(
        f"{part}.member" if isinstance(part, int) else part[:1].lower() + part[1:] for part in path
    )


def has_controls(text: str) -> bool:
    """Whether the text has a character of the category Other."""
    # Printable is: neither Other nor a separator but the blank; so the slow look is rare.
    return not text.isprintable() and any(unicodedata.category(char)[0] == "C" for char in text)


def _read(shape: Shape, value: object, path: Path, reading: _Reading) -> object:
    match shape:
        case Text():
            return _read_text(shape, value, path, reading)
        case Whole():
            return _read_whole(shape, value, path, reading)
        case Number():
            return _read_number(shape, value, path, reading)
        case Items():
            return _read_items(shape, value, path, reading)
        case Structure():
            if isinstance(value, dict):
                return _read_structure(shape, value, path, reading)
            reading.refuse(value, path, "Member must be an object")
            return None


def _read_structure(
    shape: Structure, value: Mapping[str, object], path: Path, reading: _Reading
) -> dict[str, object]:
    before = len(reading.mistakes)
    read: dict[str, object] = {}
    for name, member in shape.members.items():
        given = value.get(name)
        if given is not None:
            read[name] = _read(member, given, (*path, name), reading)
        elif name in shape.required:
            reading.refuse(None, (*path, name), "Member must not be null")
    if shape.rule and len(reading.mistakes) == before and (wrong := shape.rule(read)):
        where = f" at '{write_path(path)}'" if path else ""
        reading.mistakes.append(f"Value{where} failed to satisfy constraint: {wrong}")
    return read


def _read_text(shape: Text, value: object, path: Path, reading: _Reading) -> str:
    if not isinstance(value, str):
        reading.refuse(value, path, "Member must be a string")
        return ""
    _check_length(len(value), shape.shortest, shape.longest, value, path, reading)
    if shape.pattern is not None:
        if shape.pattern == NO_CONTROLS:
            matches = not has_controls(value)
        else:
            matches = re.fullmatch(shape.pattern, value) is not None
        if not matches:
            reading.refuse(
                value, path, f"Member must satisfy regular expression pattern: {shape.pattern}"
            )
    return value


def _read_whole(shape: Whole, value: object, path: Path, reading: _Reading) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        reading.refuse(value, path, "Member must be an integer")
        return 0
    _check_range(value, shape.least, shape.most, path, reading)
    return value


def _read_number(shape: Number, value: object, path: Path, reading: _Reading) -> float:
    if shape.bend and isinstance(value, str) and value in _WORDS_FOR_NUMBERS:
        return 0.0
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        reading.refuse(value, path, "Member must be a number")
        return 0.0
    if isinstance(value, float) and not isfinite(value):
        if not shape.bend:
            reading.refuse(value, path, "Member must be a finite number")
        return 0.0
    if shape.bend:
        return float(max(shape.least, min(shape.most, value)))
    return float(value) if _check_range(value, shape.least, shape.most, path, reading) else 0.0


def _read_items(shape: Items, value: object, path: Path, reading: _Reading) -> list[object]:
    if not isinstance(value, (list, tuple)):
        reading.refuse(value, path, "Member must be a list")
        return []
    _check_length(len(value), shape.shortest, shape.longest, value, path, reading)
    if isinstance(shape.member, Text) and _are_plain(shape.member, value):
        return value if isinstance(value, list) else list(value)
    read: list[object] = []
    for number, item in enumerate(value, start=1):
        if reading.full:
            break
        where = (*path, number)
        if item is None:
            reading.refuse(None, where, "Member must not be null")
        else:
            read.append(_read(shape.member, item, where, reading))
    return read


def _are_plain(shape: Text, items: list[object] | tuple[object, ...]) -> bool:
    """Whether all are texts of a right length: a request has 15,000 tokens, so no loop here."""
    if shape.pattern is not None or set(map(type, items)) != {str}:
        return False
    lengths: set[int] = set(map(len, items))  # type: ignore[arg-type]
    return min(lengths) >= shape.shortest and (
        shape.longest is None or max(lengths) <= shape.longest
    )


def _check_length(
    length: int, shortest: int, longest: int | None, value: object, path: Path, reading: _Reading
) -> None:
    if length < shortest:
        reading.refuse(value, path, f"Member must have length greater than or equal to {shortest}")
    elif longest is not None and length > longest:
        reading.refuse(value, path, f"Member must have length less than or equal to {longest}")


def _check_range(
    value: float, least: float, most: float | None, path: Path, reading: _Reading
) -> bool:
    if value < least:
        reading.refuse(value, path, f"Member must have value greater than or equal to {least}")
    elif most is not None and value > most:
        reading.refuse(value, path, f"Member must have value less than or equal to {most}")
    else:
        return True
    return False


def _show(value: object) -> str:
    if value is None:
        return "null"
    # Python refuses to spell out an integer of thousands of digits.
    long = isinstance(value, int) and value.bit_length() > 1024
    if long or not isinstance(value, (str, int, float)):
        return f"of type {type(value).__name__}"
    text = printable(str(value))
    return f"'{text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + '...'}'"
