"""Shapes of an AWS service's messages, and the function that checks a message against them.

A door declares its messages as shapes: a shape says what is allowed, and words the error. The
errors read as those of AWS services do: `1 validation error detected: Value 'x' at
'documents.1.member.id' failed to satisfy constraint: ...`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, isfinite
from typing import Any, Protocol

from sidecar.aws.json import AwsError, printable

_MOST_MISTAKES = 10
_SHOWN_CHARACTERS = 100
# The end of the year 9999, the last year in Python's dates.
_LAST_MOMENT = 253_402_300_799
_WORDS_FOR_NUMBERS = ("NaN", "Infinity", "-Infinity")

NO_CONTROLS = r"^\P{C}*$"
"""AWS's pattern for text without characters of Unicode's category Other, such as line breaks."""


Path = tuple[str | int, ...]
"""Names of members, and numbers of items from 1; written as text only for a mistake."""


@dataclass(slots=True)
class Mistakes:
    """The mistakes in one message so far, in AWS's words."""

    texts: list[str] = field(default_factory=list)

    def refuse(self, value: object, path: Path, constraint: str) -> None:
        """Add a mistake: the value breaks a constraint."""
        where = f" at '{write_path(path)}'" if path else ""
        self.texts.append(f"Value {_show(value)}{where} failed to satisfy constraint: {constraint}")

    def check_length(
        self, value: str | Sequence[object], shortest: int, longest: int | None, path: Path
    ) -> None:
        """Refuse a value that is shorter or longer."""
        if len(value) < shortest:
            rule = f"Member must have length greater than or equal to {shortest}"
            self.refuse(value, path, rule)
        elif longest is not None and len(value) > longest:
            self.refuse(value, path, f"Member must have length less than or equal to {longest}")

    def check_range(self, value: float, least: float, most: float | None, path: Path) -> None:
        """Refuse a value that is less or more."""
        if value < least:
            rule = f"Member must have value greater than or equal to {least}"
            self.refuse(value, path, rule)
        elif most is not None and value > most:
            self.refuse(value, path, f"Member must have value less than or equal to {most}")


class Shape(Protocol):
    """What a value in a message must be."""

    def read(self, value: object, path: Path, mistakes: Mistakes) -> object:
        """The checked value, never None; adds to `mistakes` if the value is not allowed."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `shortest` to `longest` code points; `pattern` must match all of it."""

    shortest: int = 0
    longest: int | None = None
    pattern: str | None = None

    def read(self, value: object, path: Path, mistakes: Mistakes) -> str:
        if not isinstance(value, str):
            mistakes.refuse(value, path, "Member must be a string")
            return ""
        mistakes.check_length(value, self.shortest, self.longest, path)
        if self.pattern is not None and not _matches(self.pattern, value):
            rule = f"Member must satisfy regular expression pattern: {self.pattern}"
            mistakes.refuse(value, path, rule)
        return value

    def are_right(self, values: list[Any]) -> bool:
        """True if all values are right; much faster than one by one. False may be wrong."""
        try:
            length = len("".join(values))
        except TypeError:
            return False
        if self.pattern is not None or self.shortest > 1 or (self.shortest and "" in values):
            return False
        # If all values together are short enough, each one is.
        longest = self.longest
        return longest is None or length <= longest or max(map(len, values)) <= longest


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    least: int
    most: int | None = None

    def read(self, value: object, path: Path, mistakes: Mistakes) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            mistakes.refuse(value, path, "Member must be an integer")
            return 0
        mistakes.check_range(value, self.least, self.most, path)
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A number within a range.

    `bend`: a number outside the range becomes the nearest end; one that is not finite becomes 0,
    also if it is written as a word, as JSON writers do.
    """

    least: float
    most: float
    bend: bool = False

    def read(self, value: object, path: Path, mistakes: Mistakes) -> float:
        if self.bend and isinstance(value, str) and value in _WORDS_FOR_NUMBERS:
            return 0.0
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            mistakes.refuse(value, path, "Member must be a number")
            return 0.0
        if isinstance(value, float) and not isfinite(value):
            if not self.bend:
                mistakes.refuse(value, path, "Member must be a finite number")
            return 0.0
        if not self.bend:
            mistakes.check_range(value, self.least, self.most, path)
        # An integer of a thousand digits is too large for a float until it is moved.
        return float(max(self.least, min(self.most, value)))


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    def read(self, value: object, path: Path, mistakes: Mistakes) -> bool:
        if not isinstance(value, bool):
            mistakes.refuse(value, path, "Member must be a boolean")
        return value is True


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in epoch seconds; fractions of a second are dropped."""

    def read(self, value: object, path: Path, mistakes: Mistakes) -> int:
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not isfinite(value)
            or abs(value) > _LAST_MOMENT
        ):
            mistakes.refuse(value, path, "Member must be a time in epoch seconds")
            return 0
        return floor(value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of the given words."""

    words: tuple[str, ...]

    def read(self, value: object, path: Path, mistakes: Mistakes) -> str:
        if value not in self.words:
            rule = f"Member must satisfy enum value set: [{', '.join(self.words)}]"
            mistakes.refuse(value, path, rule)
        return str(value)


@dataclass(frozen=True, slots=True)
class NestingEnd:
    """The shape below the deepest allowed level: every value is refused with this message."""

    message: str

    def read(self, value: object, path: Path, mistakes: Mistakes) -> object:
        raise AwsError("ValidationException", self.message)


@dataclass(frozen=True, slots=True)
class Items:
    """A list of `shortest` to `longest` items."""

    member: Shape
    shortest: int = 0
    longest: int | None = None

    def read(self, value: object, path: Path, mistakes: Mistakes) -> list[object]:
        if not isinstance(value, list):
            mistakes.refuse(value, path, "Member must be a list")
            return []
        mistakes.check_length(value, self.shortest, self.longest, path)
        if isinstance(self.member, Text) and self.member.are_right(value):
            return value
        items: list[object] = []
        for number, item in enumerate(value, start=1):
            if len(mistakes.texts) >= _MOST_MISTAKES:
                break
            if item is None:
                mistakes.refuse(None, (*path, number), "Member must not be null")
            else:
                items.append(self.member.read(item, (*path, number), mistakes))
        return items


@dataclass(frozen=True, slots=True)
class Structure:
    """An object. Members that are not declared here are dropped, and null means absent.

    `rule` gets the checked object and returns the constraint that it breaks, or None.
    """

    members: Mapping[str, Shape]
    required: frozenset[str] = frozenset()
    rule: Callable[[Mapping[str, object]], str | None] | None = None

    def read(self, value: object, path: Path, mistakes: Mistakes) -> dict[str, object]:
        if not isinstance(value, dict):
            mistakes.refuse(value, path, "Member must be an object")
            return {}
        before = len(mistakes.texts)
        shapes = self.members
        members = {
            name: shapes[name].read(member, (*path, name), mistakes)
            for name, member in value.items()
            if member is not None and name in shapes
        }
        for name in shapes:
            if name in self.required and name not in members:
                mistakes.refuse(None, (*path, name), "Member must not be null")
        if self.rule and len(mistakes.texts) == before and (constraint := self.rule(members)):
            where = f" at '{write_path(path)}'" if path else ""
            mistakes.texts.append(f"Value{where} failed to satisfy constraint: {constraint}")
        return members


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object whose keys the client chooses; `key` and `member` are the shapes of each pair."""

    key: Text
    member: Shape

    def read(self, value: object, path: Path, mistakes: Mistakes) -> dict[str, object]:
        if not isinstance(value, dict):
            mistakes.refuse(value, path, "Member must be an object")
            return {}
        return {
            self.key.read(name, path, mistakes): self.member.read(member, (*path, name), mistakes)
            for name, member in value.items()
            if member is not None
        }


def nest(build: Callable[[Shape], Shape], levels: int, too_deep: str) -> Shape:
    """A shape that contains itself, `levels` deep; `build` makes a level from the one below."""
    shape: Shape = NestingEnd(too_deep)
    for _ in range(levels):
        shape = build(shape)
    return shape


def read_message(shape: Structure, members: dict[str, object]) -> dict[str, object]:
    """The declared members, checked; raises AwsError with the first ten mistakes."""
    mistakes = Mistakes()
    checked = shape.read(members, (), mistakes)
    if mistakes.texts:
        raise validation_error(*mistakes.texts[:_MOST_MISTAKES])
    return checked


def validation_error(*mistakes: str) -> AwsError:
    """The error that lists the mistakes in a request."""
    errors = "error" if len(mistakes) == 1 else "errors"
    listed = "; ".join(mistakes)
    return AwsError(
        "ValidationException", f"{len(mistakes)} validation {errors} detected: {listed}"
    )


def write_path(path: Path) -> str:
    """A member's path as AWS writes it: `documents.1.member.originalScore`."""
    return ".".join(
        f"{part}.member" if isinstance(part, int) else part[:1].lower() + part[1:] for part in path
    )


def has_controls(text: str) -> bool:
    """Whether the text has a character of Unicode's category Other."""
    # Printable text has no such character, so the slow check of each character is rare.
    return not text.isprintable() and any(unicodedata.category(char)[0] == "C" for char in text)


def _matches(pattern: str, text: str) -> bool:
    # Python's patterns have no \P{C}.
    if pattern == NO_CONTROLS:
        return not has_controls(text)
    return re.fullmatch(pattern, text) is not None


def _show(value: object) -> str:
    if value is None:
        return "null"
    # Python refuses to write an integer of thousands of digits as text.
    long = isinstance(value, int) and value.bit_length() > 1024
    if long or not isinstance(value, (str, int, float)):
        return f"of type {type(value).__name__}"
    text = printable(str(value))
    return f"'{text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + '...'}'"
