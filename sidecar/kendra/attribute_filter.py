"""AttributeFilter to OpenSearch: filters on attributes, with Kendra's limits and its messages.

A date has a resolution of one second on the wire: the second 5 is all from 5.000 to 5.999, and so
`GreaterThan` 5 begins at 6. Strings are compared whole, in their own case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.aws_errors import invalid
from sidecar.config_kendra import KendraIndex
from sidecar.config_kendra_attributes import Attribute, AttributeType
from sidecar.kendra.operations import MOST_LIST_VALUES
from sidecar.kendra.schema import Dsl, find_attribute
from sidecar.kendra.user_context import Caller

MOST_DEPTH = 2
"""Containers (And, Or, Not) within one another."""

MOST_FILTERS = 10
"""Filters in one And or Or."""

MOST_GROUPS = 100
"""Groups of a filter on `_group_ids`."""

PAGE_NUMBER = "_excerpt_page_number"
"""Filters on it choose among answers; they leave documents alone."""

_USER = "_user_id"
_GROUPS = "_group_ids"
_IDENTITY = frozenset({_USER, _GROUPS})
_CONTAINERS = ("AndAllFilters", "OrAllFilters", "NotFilter")
_VALUE_MEMBERS: Mapping[AttributeType, str] = {
    "STRING": "StringValue",
    "STRING_LIST": "StringListValue",
    "LONG": "LongValue",
    "DATE": "DateValue",
}
_ORDERED: tuple[AttributeType, ...] = ("DATE", "LONG")

# OpenSearch 2 fails at ranges of keywords whose bounds have more than a thousand bytes. So of long
# values these characters tell which others a document must not have.
_LONGEST_BOUND = 200
_LAST = "\U0010ffff"

Read = Callable[[Attribute, str, Any], Dsl]


@dataclass(frozen=True, slots=True)
class ReadFilter:
    """What an AttributeFilter says: `documents` filters all results, None without a filter.

    `answers` is the whole filter where a part of it, on `_excerpt_page_number`, is for answers
    alone; else None. `caller` is who `_user_id` and `_group_ids` name; he sees no more than he
    may, beside all else. `names` are the attributes that results are filtered on.
    """

    documents: Dsl | None = None
    answers: Dsl | None = None
    caller: Caller | None = None
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Found:
    """What one walk through a filter meets."""

    names: set[str] = field(default_factory=set)
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def read_filter(members: Mapping[str, Any] | None, index: KendraIndex) -> ReadFilter:
    """Read a request's AttributeFilter.

    Raises a ValidationException for what nests deeper than two containers, for lists of more than
    ten, and for attributes, operators and values that do not fit the index's schema.
    """
    if not members:
        return ReadFilter()
    found = _Found()
    whole = _Reader(index, found, page_numbers=True).read(members, 0)
    documents = whole
    if PAGE_NUMBER in found.names:
        documents = _Reader(index, _Found(), page_numbers=False).read(members, 0)
    if len(set(found.users)) > 1:
        raise invalid(f"AttributeFilter names more than one {_USER}.")
    caller = None
    if found.users or found.groups:
        caller = Caller(found.users[0] if found.users else None, tuple(found.groups))
    return ReadFilter(
        documents,
        whole if PAGE_NUMBER in found.names else None,
        caller,
        frozenset(found.names - {PAGE_NUMBER}),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Walks a filter; None is the filter that lets everything through."""

    index: KendraIndex
    found: _Found
    page_numbers: bool

    def read(self, members: Mapping[str, Any], depth: int) -> Dsl | None:
        """One AttributeFilter; its members all hold."""
        inner = depth + 1
        if inner > MOST_DEPTH and any(name in members for name in _CONTAINERS):
            raise invalid(f"AttributeFilter cannot have a depth of more than {MOST_DEPTH}.")
        clauses: list[Dsl | None] = []
        for name, given in members.items():
            if name == "AndAllFilters":
                clauses += [self.read(each, inner) for each in _limited(given)]
            elif name == "OrAllFilters":
                clauses.append(self._read_or(_limited(given), inner))
            elif name == "NotFilter":
                clauses.append(self._read_not(given, inner))
            else:
                clauses.append(self._compare(name, given))
        return _all(clauses)

    def _read_or(self, filters: Sequence[Mapping[str, Any]], depth: int) -> Dsl | None:
        if not filters:
            raise invalid("AttributeFilter has an OrAllFilters without filters.")
        names = set().union(*map(_names, filters))
        if names & _IDENTITY and not names <= _IDENTITY:
            raise invalid(
                f"OrAllFilters cannot hold {_USER} or {_GROUPS} beside other filters; put them "
                "into AndAllFilters."
            )
        kept = [self.read(each, depth) for each in filters if not self._is_left_out(each)]
        if not kept or None in kept:
            return None
        return {"bool": {"should": kept, "minimum_should_match": 1}}

    def _read_not(self, members: Mapping[str, Any], depth: int) -> Dsl | None:
        if _IDENTITY & _names(members):
            raise invalid(f"NotFilter cannot hold {_USER} or {_GROUPS}.")
        if self._is_left_out(members):
            return None
        inner = self.read(members, depth)
        if inner is None:
            raise invalid("AttributeFilter has a NotFilter without filters.")
        return {"bool": {"must_not": [inner]}}

    def _is_left_out(self, members: Mapping[str, Any]) -> bool:
        return not self.page_numbers and _names(members) == {PAGE_NUMBER}

    def _compare(self, operator: str, given: Mapping[str, Any]) -> Dsl | None:
        name, value = given["Key"], given["Value"]
        if name in _IDENTITY:
            self._read_identity(operator, name, value)
            return None
        attribute = find_attribute(self.index, name, "AttributeFilter")
        self.found.names.add(name)
        compare, types = _OPERATORS[operator]
        if attribute.type not in types:
            fitting = " and ".join(types)
            raise invalid(
                f"AttributeFilter applies {operator} to the attribute {name}, a "
                f"{attribute.type}; it is for {fitting}."
            )
        where = self.index.field_of(name)
        dsl = (
            _missing(operator, where)
            if not value
            else compare(attribute, where, _read_value(name, attribute.type, value))
        )
        return None if name == PAGE_NUMBER and not self.page_numbers else dsl

    def _read_identity(self, operator: str, name: str, value: Mapping[str, Any]) -> None:
        allowed = ("EqualsTo",) if name == _USER else ("EqualsTo", "ContainsAny", "ContainsAll")
        if operator not in allowed:
            raise invalid(f"AttributeFilter cannot apply {operator} to {name}.")
        names: Sequence[str] = value.get("StringListValue", ())
        if "StringValue" in value:
            names = [value["StringValue"]]
        if not names or (name == _USER and "StringValue" not in value):
            kind = "StringValue" if name == _USER else "StringListValue"
            raise invalid(f"AttributeFilter compares {name}, which needs a {kind}.")
        if len(names) > MOST_GROUPS:
            raise invalid(f"AttributeFilter can have {MOST_GROUPS} values of {name} at most.")
        (self.found.users if name == _USER else self.found.groups).extend(names)


def _limited(filters: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(filters) > MOST_FILTERS:
        raise invalid(f"AttributeFilter cannot have a length of more than {MOST_FILTERS}")
    return filters


def _names(members: Mapping[str, Any]) -> set[str]:
    """Every attribute that a filter names."""
    names: set[str] = set()
    for name, given in members.items():
        if name == "NotFilter":
            names |= _names(given)
        elif name in _CONTAINERS:
            names = names.union(*map(_names, given))
        else:
            names.add(given["Key"])
    return names


def _read_value(name: str, kind: AttributeType, value: Mapping[str, Any]) -> Any:
    member = _VALUE_MEMBERS[kind]
    if member not in value:
        given = next(iter(value))
        raise invalid(f"AttributeFilter compares {name}, a {kind}, with a {given}, not a {member}.")
    if kind == "STRING_LIST":
        if not value[member]:
            raise invalid(f"AttributeFilter compares {name} with a list of no values.")
        if len(value[member]) > MOST_LIST_VALUES:
            raise invalid(
                f"AttributeFilter compares {name} with {len(value[member])} values, of "
                f"{MOST_LIST_VALUES} allowed."
            )
    return value[member]


def _all(clauses: Iterable[Dsl | None]) -> Dsl | None:
    kept = [clause for clause in clauses if clause is not None]
    if len(kept) < 2:
        return kept[0] if kept else None
    return {"bool": {"filter": kept}}


def _missing(operator: str, where: str) -> Dsl:
    if operator != "EqualsTo":
        raise invalid(f"AttributeFilter has a {operator} without a value.")
    return {"bool": {"must_not": [{"exists": {"field": where}}]}}


def _equals(attribute: Attribute, where: str, value: Any) -> Dsl:
    if attribute.type == "DATE":
        return _range(where, gte=_millis(value), lt=_millis(value + 1))
    if attribute.type == "STRING_LIST":
        return _same_set(where, sorted(set(value)))
    return {"term": {where: value}}


def _same_set(where: str, values: Sequence[str]) -> Dsl:
    # What a document must not have is any value before, between or behind these. Keywords are
    # ordered by their UTF-8 bytes, and so are Python's strings by the same order of code points.
    gaps: list[Dsl] = [{"range": {where: {"lt": _short(values[0])}}}]
    gaps += [
        {"range": {where: {"gt": _short(one, _LAST), "lt": _short(following)}}}
        for one, following in zip(values, values[1:], strict=False)
    ]
    gaps.append({"range": {where: {"gt": _short(values[-1], _LAST)}}})
    return {"bool": {"filter": [{"term": {where: value}} for value in values], "must_not": gaps}}


def _short(value: str, end: str = "") -> str:
    """A bound at the value, or where those begin (or `end`) that have its first characters."""
    return value if len(value) <= _LONGEST_BOUND else value[:_LONGEST_BOUND] + end


def _contains_all(_attribute: Attribute, where: str, values: Any) -> Dsl:
    return {"bool": {"filter": [{"term": {where: value}} for value in dict.fromkeys(values)]}}


def _contains_any(_attribute: Attribute, where: str, values: Any) -> Dsl:
    return {"terms": {where: list(dict.fromkeys(values))}}


def _compare_by(bound: str) -> Read:
    def compare(attribute: Attribute, where: str, value: Any) -> Dsl:
        if attribute.type == "LONG":
            return {"range": {where: {bound: value}}}
        # Behind a second, or through it, is before or from the next one.
        edge = _millis(value + 1 if bound in ("gt", "lte") else value)
        return _range(where, **{"gte" if bound in ("gt", "gte") else "lt": edge})

    return compare


def _range(where: str, **bounds: int) -> Dsl:
    return {"range": {where: {**bounds, "format": "epoch_millis"}}}


def _millis(seconds: int) -> int:
    return seconds * 1000


_OPERATORS: Mapping[str, tuple[Read, tuple[AttributeType, ...]]] = {
    "EqualsTo": (_equals, ("STRING", "STRING_LIST", "LONG", "DATE")),
    "ContainsAll": (_contains_all, ("STRING_LIST",)),
    "ContainsAny": (_contains_any, ("STRING_LIST",)),
    "GreaterThan": (_compare_by("gt"), _ORDERED),
    "GreaterThanOrEquals": (_compare_by("gte"), _ORDERED),
    "LessThan": (_compare_by("lt"), _ORDERED),
    "LessThanOrEquals": (_compare_by("lte"), _ORDERED),
}
