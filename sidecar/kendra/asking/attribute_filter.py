"""AttributeFilter as OpenSearch filters, with Kendra's limits and messages.

Dates in requests have a resolution of one second: the second 5 lasts from 5.000 to 5.999, so
`GreaterThan` 5 begins at 6. Strings are compared as a whole, and case matters.

Two names mean something even if the index's attributes do not have them, because every Kendra index
knows them. `_language_code` is then the index's own language in every document. `_email_id` is then
the user, as `_user_id` is: Kendra's Gen AI indexes filter by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.aws.errors import invalid
from sidecar.config.kendra import KendraIndex
from sidecar.config.kendra_attributes import Attribute, AttributeType
from sidecar.kendra.indexes.schema import Dsl, find_attribute
from sidecar.kendra.indexes.user_context import Caller

MOST_DEPTH = 2
"""Maximum depth of containers (And, Or, Not) within each other."""

MOST_FILTERS = 10
"""Maximum number of filters in one And or Or."""

MOST_LIST_VALUES = 10
"""Maximum number of strings in a StringListValue, except in filters on `_group_ids`."""

MOST_GROUPS = 100
"""Maximum number of groups in a filter on `_group_ids`."""

PAGE_NUMBER = "_excerpt_page_number"
"""Filters on this attribute choose among answers; they do not filter documents."""

_USER = "_user_id"
_GROUPS = "_group_ids"
_IDENTITY = frozenset({_USER, _GROUPS})
_EMAIL = "_email_id"
_LANGUAGE = "_language_code"
_CONTAINERS = ("AndAllFilters", "OrAllFilters", "NotFilter")
_VALUE_MEMBERS: Mapping[AttributeType, str] = {
    "STRING": "StringValue",
    "STRING_LIST": "StringListValue",
    "LONG": "LongValue",
    "DATE": "DateValue",
}
_ORDERED: tuple[AttributeType, ...] = ("DATE", "LONG")

# OpenSearch 2 fails at ranges of keywords whose bounds have more than a thousand bytes, so a bound
# has only the first characters of a long value.
_LONGEST_BOUND = 200
_LAST = "\U0010ffff"

WriteClause = Callable[[Attribute, str, Any], Dsl]
"""The clause for an attribute, its field and a value."""


@dataclass(frozen=True, slots=True)
class ParsedFilter:
    """A parsed AttributeFilter.

    `documents` filters all results; None does not filter. `answers` is the whole filter if a part
    of it, on `_excerpt_page_number`, applies to answers only; else None. `caller` is the user and
    the groups of `_user_id`, `_email_id` and `_group_ids`: results are limited to what they may
    see. `names` are the other attributes of the filter, without `_excerpt_page_number`.
    """

    documents: Dsl | None = None
    answers: Dsl | None = None
    caller: Caller | None = None
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class _FilterNames:
    """The attributes, users and groups that a filter names.

    `public`: the filter wants documents without an owner.
    """

    attributes: set[str] = field(default_factory=set)
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    public: bool = False


def read_filter(members: Mapping[str, Any] | None, index: KendraIndex) -> ParsedFilter:
    """Parse a request's AttributeFilter.

    Raises a ValidationException for containers deeper than two, for lists of more than ten filters
    or values, and for attributes, operators and values that do not fit the index's schema.
    """
    if not members:
        return ParsedFilter()
    names = _FilterNames()
    whole = _FilterReader(index, names, page_numbers=True).read(members, 0)
    documents = whole
    if PAGE_NUMBER in names.attributes:
        documents = _FilterReader(index, _FilterNames(), page_numbers=False).read(members, 0)
    if len(set(names.users)) > 1:
        raise invalid(f"AttributeFilter names more than one {_USER}.")
    caller = None
    if names.users or names.groups or names.public:
        caller = Caller(names.users[0] if names.users else None, tuple(names.groups))
    return ParsedFilter(
        documents,
        whole if PAGE_NUMBER in names.attributes else None,
        caller,
        frozenset(names.attributes - {PAGE_NUMBER}),
    )


@dataclass(frozen=True, slots=True)
class _FilterReader:
    """Parses a filter, and collects the names in it. None is a filter that matches everything."""

    index: KendraIndex
    names: _FilterNames
    page_numbers: bool

    def read(self, members: Mapping[str, Any], depth: int) -> Dsl | None:
        """One AttributeFilter: all its members must match."""
        inner = depth + 1
        if inner > MOST_DEPTH and any(name in members for name in _CONTAINERS):
            raise invalid(f"AttributeFilter cannot have a depth of more than {MOST_DEPTH}.")
        clauses: list[Dsl | None] = []
        for name, member in members.items():
            if name == "AndAllFilters":
                clauses += [self.read(each, inner) for each in _check_length(member)]
            elif name == "OrAllFilters":
                clauses.append(self._read_or(_check_length(member), inner))
            elif name == "NotFilter":
                clauses.append(self._read_not(member, inner))
            else:
                clauses.append(self._read_comparison(name, member))
        return _all(clauses)

    def _read_or(self, filters: Sequence[Mapping[str, Any]], depth: int) -> Dsl | None:
        if not filters:
            raise invalid("AttributeFilter has an OrAllFilters without filters.")
        names = set().union(*map(_names, filters))
        if names & self._identity and not names <= self._identity:
            raise invalid(
                f"OrAllFilters cannot hold {_USER} or {_GROUPS} together with other filters; put "
                "them into AndAllFilters."
            )
        clauses = [self.read(each, depth) for each in filters if not self._is_left_out(each)]
        if not clauses or None in clauses:
            return None
        return {"bool": {"should": clauses, "minimum_should_match": 1}}

    def _read_not(self, members: Mapping[str, Any], depth: int) -> Dsl | None:
        if self._identity & _names(members):
            raise invalid(f"NotFilter cannot hold {_USER} or {_GROUPS}.")
        if self._is_left_out(members):
            return None
        inner = self.read(members, depth)
        if inner is None:
            raise invalid("AttributeFilter has a NotFilter without filters.")
        return {"bool": {"must_not": [inner]}}

    def _is_left_out(self, members: Mapping[str, Any]) -> bool:
        return not self.page_numbers and _names(members) == {PAGE_NUMBER}

    def _read_comparison(self, operator: str, comparison: Mapping[str, Any]) -> Dsl | None:
        name, value = comparison["Key"], comparison["Value"]
        if name in self._identity:
            self._read_identity(operator, name, value)
            return None
        if name == _LANGUAGE and name not in self.index.attributes:
            return self._read_language(operator, value)
        attribute = find_attribute(self.index, name, "AttributeFilter")
        self.names.attributes.add(name)
        write_clause, types = _OPERATORS[operator]
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
            else write_clause(attribute, where, _read_value(name, attribute.type, value))
        )
        return None if name == PAGE_NUMBER and not self.page_numbers else dsl

    def _read_language(self, operator: str, value: Mapping[str, Any]) -> Dsl:
        self.names.attributes.add(_LANGUAGE)
        if operator != "EqualsTo":
            raise invalid(f"AttributeFilter cannot apply {operator} to {_LANGUAGE}.")
        is_own = value and _read_value(_LANGUAGE, "STRING", value) == self.index.language
        return {"match_all": {}} if is_own else {"match_none": {}}

    @property
    def _identity(self) -> frozenset[str]:
        return _IDENTITY if _EMAIL in self.index.attributes else _IDENTITY | {_EMAIL}

    def _read_identity(self, operator: str, name: str, value: Mapping[str, Any]) -> None:
        is_user = name in (_USER, _EMAIL)
        allowed = ("EqualsTo",) if is_user else ("EqualsTo", "ContainsAny", "ContainsAll")
        if operator not in allowed:
            raise invalid(f"AttributeFilter cannot apply {operator} to {name}.")
        if name == _EMAIL and not value:
            self.names.public = True
            return
        names: Sequence[str] = value.get("StringListValue", ())
        if "StringValue" in value:
            names = [value["StringValue"]]
        if not names or (is_user and "StringValue" not in value):
            kind = "StringValue" if is_user else "StringListValue"
            raise invalid(f"AttributeFilter compares {name}, which needs a {kind}.")
        if len(names) > MOST_GROUPS:
            raise invalid(f"AttributeFilter can have {MOST_GROUPS} values of {name} at most.")
        (self.names.users if is_user else self.names.groups).extend(names)


def _check_length(filters: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(filters) > MOST_FILTERS:
        raise invalid(f"AttributeFilter cannot have a length of more than {MOST_FILTERS}")
    return filters


def _names(members: Mapping[str, Any]) -> set[str]:
    """The attributes of a filter."""
    names: set[str] = set()
    for name, member in members.items():
        if name == "NotFilter":
            names |= _names(member)
        elif name in _CONTAINERS:
            names = names.union(*map(_names, member))
        else:
            names.add(member["Key"])
    return names


def _read_value(name: str, kind: AttributeType, value: Mapping[str, Any]) -> Any:
    member = _VALUE_MEMBERS[kind]
    if member not in value:
        other = next(iter(value))
        raise invalid(f"AttributeFilter compares {name}, a {kind}, with a {other}, not a {member}.")
    if kind == "STRING_LIST":
        if not value[member]:
            raise invalid(f"AttributeFilter compares {name} with a list of no values.")
        if len(value[member]) > MOST_LIST_VALUES:
            raise invalid(
                f"AttributeFilter compares {name} with {len(value[member])} values; "
                f"{MOST_LIST_VALUES} are allowed."
            )
    return value[member]


def _all(clauses: Iterable[Dsl | None]) -> Dsl | None:
    filters = [clause for clause in clauses if clause is not None]
    if len(filters) < 2:
        return filters[0] if filters else None
    return {"bool": {"filter": filters}}


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
    # A document must have all these values, and none before, between or after them. Keywords are
    # ordered by their UTF-8 bytes. That is the order of code points, in which Python sorts strings.
    gaps: list[Dsl] = [{"range": {where: {"lt": _short(values[0])}}}]
    gaps += [
        {"range": {where: {"gt": _short(value, _LAST), "lt": _short(following)}}}
        for value, following in zip(values, values[1:], strict=False)
    ]
    gaps.append({"range": {where: {"gt": _short(values[-1], _LAST)}}})
    return {"bool": {"filter": [{"term": {where: value}} for value in values], "must_not": gaps}}


def _short(value: str, end: str = "") -> str:
    """The value as a bound. A long value is cut to its first characters, followed by `end`."""
    return value if len(value) <= _LONGEST_BOUND else value[:_LONGEST_BOUND] + end


def _contains_all(_attribute: Attribute, where: str, values: Any) -> Dsl:
    return {"bool": {"filter": [{"term": {where: value}} for value in dict.fromkeys(values)]}}


def _contains_any(_attribute: Attribute, where: str, values: Any) -> Dsl:
    return {"terms": {where: list(dict.fromkeys(values))}}


def _compare_by(bound: str) -> WriteClause:
    def write_range(attribute: Attribute, where: str, value: Any) -> Dsl:
        if attribute.type == "LONG":
            return {"range": {where: {bound: value}}}
        # "After a second" begins with the next second; "up to a second" ends before the next one.
        edge = _millis(value + 1 if bound in ("gt", "lte") else value)
        return _range(where, **{"gte" if bound in ("gt", "gte") else "lt": edge})

    return write_range


def _range(where: str, **bounds: int) -> Dsl:
    return {"range": {where: {**bounds, "format": "epoch_millis"}}}


def _millis(seconds: int) -> int:
    return seconds * 1000


_OPERATORS: Mapping[str, tuple[WriteClause, tuple[AttributeType, ...]]] = {
    "EqualsTo": (_equals, ("STRING", "STRING_LIST", "LONG", "DATE")),
    "ContainsAll": (_contains_all, ("STRING_LIST",)),
    "ContainsAny": (_contains_any, ("STRING_LIST",)),
    "GreaterThan": (_compare_by("gt"), _ORDERED),
    "GreaterThanOrEquals": (_compare_by("gte"), _ORDERED),
    "LessThan": (_compare_by("lt"), _ORDERED),
    "LessThanOrEquals": (_compare_by("lte"), _ORDERED),
}
