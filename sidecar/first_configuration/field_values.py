"""Lists the fields of a mapping, and describes the values of one field in some documents."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.words import has_unspaced

MOST_FIELDS: Final = 1000
"""Maximum number of fields that are looked at; OpenSearch's own default limit per index."""

TEXT_TYPES: Final = frozenset({"text", "match_only_text", "search_as_you_type", "semantic"})
KEYWORD_TYPES: Final = frozenset({"keyword", "constant_keyword", "wildcard"})
_MOST_LEVELS: Final = 20
_MOST_VALUES: Final = 100
_MOST_CHARACTERS: Final = 20_000
_NUMBER = re.compile(r"[-+]?[\d.,: %$€£/x-]+")
_ADDRESS = re.compile(r"(?:[a-zA-Z][\w+.-]*://|www\.|/|[A-Z]:\\)\S*|[^\s@]+@[^\s@]+\.\w+")
_DIGITS_AND_MARKS = re.compile(r"[\d_/\\@#:=]")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_MONTH = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b", re.IGNORECASE
)
_DATE = re.compile(r"\d{4}-\d\d(?:-\d\d)?(?:[T ]\d\d:\d\d.*)?|\d\d?[./]\d\d?[./]\d{2,4}.{0,12}")
# No word of a language that separates words is as long as this on average.
_WORD_CHARACTERS: Final = 25


@dataclass(frozen=True, slots=True)
class FieldContents:
    """What some documents have in a field. Shares are from 0 to 1.

    `filled`: share of documents with a value. `words` and `values`: median per document with one.
    `different`: share of the values that are different. `numbers`, `dates`, `addresses`, `codes`,
    `tables`: share of the values that are these; `tables` is JSON or encoded data.
    """

    documents: int
    filled: float = 0.0
    words: float = 0.0
    values: float = 0.0
    different: float = 0.0
    distinct: int = 0
    numbers: float = 0.0
    dates: float = 0.0
    addresses: float = 0.0
    codes: float = 0.0
    tables: float = 0.0


def list_fields(mapping: Mapping[str, Any]) -> dict[str, str]:
    """Type by dotted name, for the fields that stand in `_source` by themselves.

    Subfields (`title.keyword`) and aliases of fields repeat others. Objects that OpenSearch does
    not read (`enabled: false`) have no fields. At most MOST_FIELDS.
    """
    fields: dict[str, str] = {}
    levels: list[tuple[Mapping[str, Any], str, int]] = [(mapping, "", 0)]
    while levels:
        level, prefix, depth = levels.pop()
        properties = level.get("properties")
        if not isinstance(properties, dict) or depth > _MOST_LEVELS:
            continue
        for name, field in properties.items():
            if not isinstance(field, dict):
                continue
            kind = str(field.get("type", "object"))
            if kind in ("object", "nested"):
                if field.get("enabled") is not False:
                    levels.append((field, f"{prefix}{name}.", depth + 1))
            elif kind != "alias":
                if len(fields) >= MOST_FIELDS:
                    return fields
                fields[prefix + name] = kind
    return fields


def read_values(source: Mapping[str, Any], name: str) -> list[str]:
    """The texts and numbers in a field, in order, without empty ones.

    At most 100 values of 20,000 characters. A dotted name matches both spellings of an object.
    """
    values: list[str] = []
    for value in _walk(source, name):
        if isinstance(value, str):
            if text := value[:_MOST_CHARACTERS].strip():
                values.append(text)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            values.append(str(value))
        if len(values) >= _MOST_VALUES:
            break
    return values


def _walk(source: Mapping[str, Any], name: str) -> Iterator[object]:
    stack: list[tuple[object, tuple[str, ...]]] = [(source, tuple(name.split(".")))]
    while stack:
        value, path = stack.pop()
        if isinstance(value, list):
            stack.extend((item, path) for item in reversed(value[:_MOST_VALUES]))
        elif not path:
            yield value
        elif isinstance(value, dict):
            heads = [(".".join(path[:end]), path[end:]) for end in range(len(path), 0, -1)]
            stack.extend((value[head], rest) for head, rest in heads if head in value)


def count_words(text: str) -> int:
    """The number of words; where a script has no blanks, two characters count as one."""
    words = len(text.split())
    return max(words, len(text) // 2) if has_unspaced(text) else words


def describe_values(documents: Sequence[Sequence[str]]) -> FieldContents:
    """Describe a field; `documents` has the values of each document."""
    filled = [values for values in documents if values]
    values = [value for each in filled for value in each]
    if not values:
        return FieldContents(len(documents))

    def share(test: Callable[[str], object]) -> float:
        return sum(map(bool, map(test, values))) / len(values)

    distinct = len({value.casefold() for value in values})
    return FieldContents(
        documents=len(documents),
        filled=len(filled) / len(documents),
        words=statistics.median(sum(map(count_words, each)) for each in filled),
        values=statistics.median(map(len, filled)),
        different=distinct / len(values),
        distinct=distinct,
        numbers=share(_NUMBER.fullmatch),
        dates=share(_is_date),
        addresses=share(_ADDRESS.fullmatch),
        codes=share(_is_code),
        tables=share(_is_table),
    )


def _is_date(value: str) -> bool:
    if len(value) > 60:
        return False
    spelled = _YEAR.search(value) and _MONTH.search(value)
    return bool(spelled or _DATE.fullmatch(value))


def _is_code(value: str) -> bool:
    """One word with a digit or a mark in it, one of two or three letters, or a very long one."""
    if any(map(str.isspace, value)) or has_unspaced(value):
        return False
    return len(value) <= 3 or len(value) > _WORD_CHARACTERS or bool(_DIGITS_AND_MARKS.search(value))


def _is_table(value: str) -> bool:
    if value[0] in "{[" and value[-1] in "}]":
        return True
    if has_unspaced(value):
        return False
    return len(value) > 200 and len(value) / len(value.split()) > _WORD_CHARACTERS
