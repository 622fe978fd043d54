"""Field clauses of the advanced query syntax, `name:value`, as filters of OpenSearch.

Source: "Searching with advanced query syntax" of the Amazon Kendra developer guide. A date stands
for all of its year, month, day or hour: `>2019-12-31` begins with the day after it.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sidecar.config_kendra import KendraIndex
from sidecar.config_kendra_attributes import Attribute
from sidecar.kendra.schema import Dsl

FIELD_NAME = re.compile(r"(?<![\w-])([A-Za-z0-9_][A-Za-z0-9_-]*):(?!//)(?=[^\s()])")
"""The beginning of a clause. What looks like an address is none."""

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
    """A query that is none by the advanced syntax; the message says why to the user."""


class _Span(NamedTuple):
    """All that a value stands for: from `first` to before `end`."""

    first: int
    end: int


def read_clause(text: str, at: int, index: KendraIndex) -> tuple[Dsl, int] | None:
    """The clause that begins at a place of the text, and where it ends; None without a clause.

    Raises InvalidSyntax for an unknown field and for a value that the field cannot have.
    """
    match = FIELD_NAME.match(text, at)
    if match is None:
        return None
    name, at = match[1], match.end()
    if quoted := _QUOTED.match(text, at):
        return _equals(index, name, quoted[1]), quoted.end()
    if text[at] == '"':
        raise InvalidSyntax("A quotation mark is not closed.")
    if text[at] in "[{":
        found = _RANGE.match(text, at)
        if found is None or (found[1] == "[") != (found[3] == "]"):
            raise InvalidSyntax(f"The range of the field {name} is not closed.")
        return _within(index, name, found[2], inclusive=found[1] == "["), found.end()
    if compared := _COMPARISON.match(text, at):
        return _compare(index, name, compared[1], compared[2]), compared.end()
    value = _VALUE.match(text, at)
    if value is None:
        raise InvalidSyntax(f"The field {name} has no value.")
    return _equals(index, name, value[0], wild=True), value.end()


def read_wildcard(word: str) -> str:
    """A word with `*` in it as a pattern; raises InvalidSyntax for one that begins too vaguely."""
    if word.index("*") < _SHORTEST_PREFIX:
        raise InvalidSyntax("A wildcard needs more than two characters before it.")
    return re.sub(r"\*+", "*", word)


def write_wildcard(fields: Sequence[str], pattern: str) -> Dsl:
    """Words that fit a pattern, in any of the fields, whatever their case."""
    # OpenSearch's patterns have two more signs, which are plain characters here.
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
    """The attribute; None for the title and the body, which no schema needs to name."""
    attribute = index.attributes.get(name)
    if attribute is not None:
        if attribute.type in ("STRING", "STRING_LIST") and not attribute.searchable:
            raise InvalidSyntax(f"The field {name} is not searchable.")
        return attribute
    if (name == "_document_title" and index.fields.title) or name == "_document_body":
        return None
    raise InvalidSyntax(f"There is no field {name}.")


def _find_ordered(index: KendraIndex, name: str) -> Attribute:
    attribute = _find(index, name)
    if attribute is None or attribute.type not in ("LONG", "DATE"):
        raise InvalidSyntax(f"The field {name} has no ranges: these are for numbers and dates.")
    return attribute


def _text_fields(
    index: KendraIndex, name: str, attribute: Attribute | None
) -> tuple[Sequence[str], bool]:
    """The fields of a text attribute, and whether they are analysed."""
    if attribute is None:
        fields = index.fields.title if name == "_document_title" else index.fields.body
        return fields, True
    if attribute.text_field:
        return (attribute.text_field,), True
    return (index.field_of(name),), False


def _range(index: KendraIndex, name: str, **bounds: int) -> Dsl:
    if index.attributes[name].type == "DATE":
        return {"range": {index.field_of(name): {**bounds, "format": "epoch_millis"}}}
    # Numbers beyond a long would be an error of OpenSearch's.
    kept = {bound: edge for bound, edge in bounds.items() if edge <= _LARGEST_LONG}
    if "gte" in bounds and "gte" not in kept:
        return {"match_none": {}}
    return {"range": {index.field_of(name): kept}}


def _read_value(name: str, attribute: Attribute, value: str) -> _Span:
    if attribute.type == "DATE":
        return _read_date(name, value)
    if not _LONG.fullmatch(value) or abs(int(value)) > _LARGEST_LONG:
        raise InvalidSyntax(f"The field {name} is a number, which {value} is not.")
    return _Span(int(value), int(value) + 1)


def _read_date(name: str, value: str) -> _Span:
    """A date's milliseconds since 1970, in UTC. Four digits are a year, others epoch seconds."""
    match = _DATE.fullmatch(value)
    if match is None:
        if _EPOCH.fullmatch(value):
            return _Span(int(value) * 1000, int(value) * 1000 + 1000)
        raise InvalidSyntax(f"The field {name} is a date, which {value} is not.")
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
