"""Field clauses of the advanced query syntax, `name:value`, as OpenSearch filters; and wildcards.

Source: "Searching with advanced query syntax" of the Amazon Kendra developer guide. A date stands
for its whole year, month, day or hour: `>2019-12-31` begins on the next day.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sidecar.config.kendra import KendraIndex
from sidecar.config.kendra_attributes import Attribute
from sidecar.kendra.indexes.schema import Dsl
from sidecar.kendra.query_text.token_words import NO_WORD_BEFORE

FIELD_NAME = re.compile(NO_WORD_BEFORE + r"([A-Za-z0-9_][A-Za-z0-9_-]*):(?!//)(?=[^\s()])")
"""The beginning of a clause. `http://` is an address, not a clause."""

_TITLE, _BODY = "_document_title", "_document_body"
_QUOTED = re.compile(r'"([^"]*)"')
_RANGE = re.compile(r"([\[{])([^\[\]{}]*)([\]}])")
_COMPARISON = re.compile(r'(>=|<=|>|<)([^\s()"]*)')
_VALUE = re.compile(r'[^\s()"]+')
_BOUNDS = re.compile(r"\s*(\S+)\s+TO\s+(\S+)\s*")
_LONG = re.compile(r"[+-]?[0-9]{1,19}")
_EPOCH = re.compile(r"[+-]?[0-9]{1,12}")
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}))?)?)?")
_SHORTEST_PREFIX = 3
_LARGEST_LONG = 2**63 - 1
_HOUR = 3_600_000
_DAY = 24 * _HOUR
_FIRST_DAY = date(1970, 1, 1).toordinal()


class InvalidSyntax(Exception):
    """A mistake in the syntax; the message is for the user."""


class _Span(NamedTuple):
    """The numbers that a value stands for: from `first`, up to but not including `end`."""

    first: int
    end: int


def read_clause(text: str, at: int, index: KendraIndex) -> tuple[Dsl, int] | None:
    """The clause that begins at `at`, and the place where it ends; None without a clause.

    Raises InvalidSyntax for an unknown field, and for a value that the field cannot have.
    """
    match = FIELD_NAME.match(text, at)
    if match is None:
        return None
    name, at = match[1], match.end()
    if quotation := _QUOTED.match(text, at):
        return _equals(index, name, quotation[1]), quotation.end()
    if text[at] == '"':
        raise InvalidSyntax("A quotation mark is not closed.")
    if text[at] in "[{":
        bounds = _RANGE.match(text, at)
        if bounds is None or (bounds[1] == "[") != (bounds[3] == "]"):
            raise InvalidSyntax(f"The range of the field {name} is not closed.")
        return _within(index, name, bounds[2], inclusive=bounds[1] == "["), bounds.end()
    if comparison := _COMPARISON.match(text, at):
        return _compare(index, name, comparison[1], comparison[2]), comparison.end()
    value = _VALUE.match(text, at)
    if value is None:
        raise InvalidSyntax(f"The field {name} has no value.")
    return _equals(index, name, value[0], wild=True), value.end()


def read_wildcard(word: str) -> str:
    """A word with `*` as a pattern. Raises InvalidSyntax for fewer than 3 characters before it."""
    if word.index("*") < _SHORTEST_PREFIX:
        raise InvalidSyntax("A wildcard needs more than two characters before it.")
    return re.sub(r"\*+", "*", word)


def write_wildcard(fields: Sequence[str], pattern: str) -> Dsl:
    """A query for words that fit a pattern, in any of the fields. Case does not matter."""
    # In OpenSearch's patterns, `?` and the backslash have a meaning too; in Kendra's they do not.
    value = re.sub(r"([\\?])", r"\\\1", pattern)
    clauses = [
        {"wildcard": {field: {"value": value, "case_insensitive": True}}} for field in fields
    ]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _equals(index: KendraIndex, name: str, value: str, *, wild: bool = False) -> Dsl:
    attribute = _find(index, name)
    if attribute is not None and attribute.type in ("LONG", "DATE"):
        first, end = _read_value(name, attribute, value)
        return _range(index, name, gte=first, lt=end)
    fields, is_text = _text_fields(index, name, attribute)
    if wild and "*" in value:
        if name == _BODY and index.spell_field:
            fields = [*fields, index.spell_field]
        return write_wildcard(fields, read_wildcard(value))
    if not value.strip():
        raise InvalidSyntax(f"The field {name} has no value.")
    if is_text:
        return {"multi_match": {"query": value, "type": "phrase", "fields": list(fields)}}
    return {"term": {fields[0]: {"value": value, "case_insensitive": True}}}


def _compare(index: KendraIndex, name: str, operator: str, value: str) -> Dsl:
    first, end = _read_value(name, _find_ordered(index, name), value)
    bounds = {">": ("gte", end), ">=": ("gte", first), "<": ("lt", first), "<=": ("lt", end)}
    bound, edge = bounds[operator]
    return _range(index, name, **{bound: edge})


def _within(index: KendraIndex, name: str, bounds: str, *, inclusive: bool) -> Dsl:
    attribute = _find_ordered(index, name)
    match = _BOUNDS.fullmatch(bounds)
    if match is None:
        raise InvalidSyntax(f"The range of the field {name} is not of the form [a TO b].")
    low, high = (_read_value(name, attribute, value) for value in match.groups())
    if inclusive:
        return _range(index, name, gte=low.first, lt=high.end)
    return _range(index, name, gte=low.end, lt=high.first)


def _find(index: KendraIndex, name: str) -> Attribute | None:
    """The attribute; None for the title and the body, which need no entry in the schema."""
    attribute = index.attributes.get(name)
    if attribute is not None:
        if attribute.type in ("STRING", "STRING_LIST") and not attribute.searchable:
            raise InvalidSyntax(f"The field {name} is not searchable.")
        return attribute
    if (name == _TITLE and index.fields.title) or name == _BODY:
        return None
    raise InvalidSyntax(f"There is no field {name}.")


def _find_ordered(index: KendraIndex, name: str) -> Attribute:
    attribute = _find(index, name)
    if attribute is None or attribute.type not in ("LONG", "DATE"):
        raise InvalidSyntax(f"The field {name} cannot have ranges; only numbers and dates can.")
    return attribute


def _text_fields(
    index: KendraIndex, name: str, attribute: Attribute | None
) -> tuple[Sequence[str], bool]:
    """The fields of a text attribute, and whether they are analysed."""
    if attribute is None:
        fields = index.fields.title if name == _TITLE else index.fields.body
        return fields, True
    if attribute.text_field:
        return (attribute.text_field,), True
    return (index.field_of(name),), False


def _range(index: KendraIndex, name: str, **bounds: int) -> Dsl:
    if index.attributes[name].type == "DATE":
        return {"range": {index.field_of(name): {**bounds, "format": "epoch_millis"}}}
    # OpenSearch refuses numbers that do not fit into a long.
    within_long = {bound: edge for bound, edge in bounds.items() if edge <= _LARGEST_LONG}
    if "gte" in bounds and "gte" not in within_long:
        return {"match_none": {}}
    return {"range": {index.field_of(name): within_long}}


def _read_value(name: str, attribute: Attribute, value: str) -> _Span:
    if attribute.type == "DATE":
        return _read_date(name, value)
    if not _LONG.fullmatch(value) or abs(int(value)) > _LARGEST_LONG:
        raise InvalidSyntax(f"The field {name} is a number, but its value is '{value}'.")
    return _Span(int(value), int(value) + 1)


def _read_date(name: str, value: str) -> _Span:
    """A date in milliseconds since 1970, UTC. Four digits are a year; other numbers, seconds."""
    match = _DATE.fullmatch(value)
    if match is None:
        if _EPOCH.fullmatch(value):
            return _Span(int(value) * 1000, int(value) * 1000 + 1000)
        raise InvalidSyntax(f"The field {name} is a date, but its value is '{value}'.")
    year = int(match[1])
    month, day, hour = (int(part) if part else None for part in match.groups()[1:])
    try:
        first = (date(year, month or 1, day or 1).toordinal() - _FIRST_DAY) * _DAY
    except ValueError:
        raise InvalidSyntax(f"There is no date {value}.") from None
    if hour is not None:
        if hour > 23:
            raise InvalidSyntax(f"There is no date {value}.")
        return _Span(first + hour * _HOUR, first + (hour + 1) * _HOUR)
    if day is not None:
        return _Span(first, first + _DAY)
    last = month or 12
    end = date(year, last, monthrange(year, last)[1]).toordinal() + 1
    return _Span(first, (end - _FIRST_DAY) * _DAY)
