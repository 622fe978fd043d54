"""CollapseConfiguration: results that share a value of an attribute become one result.

It happens behind the model: OpenSearch's own `collapse` would choose each group's head before the
model has seen anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from sidecar.aws_errors import invalid
from sidecar.aws_shapes import Structure, Whole, read_message
from sidecar.config_kendra import KendraIndex
from sidecar.kendra.schema import Dsl, find_sortable, read_values, write_value
from sidecar.kendra.sorting import SortKey, read_sort_keys

DEFAULT_ITEMS = 10
DEFAULT_EXPANDED = 3

_MEMBER = "CollapseConfiguration"
_LIMITS = Structure({"MaxResultItemsToExpand": Whole(1), "MaxExpandedResultsPerItem": Whole(1)})
_EXPAND = Structure({_MEMBER: Structure({"ExpandConfiguration": _LIMITS})})
_VALUES = "collapse:values"
_KEYLESS = "collapse:keyless"
_DOCUMENTS = "documents"
# The most that OpenSearch counts exactly; beyond it a count is near.
_EXACT_UP_TO = 40_000

# A group's value, and the place of a result that stands alone without one.
_Key = tuple[str | int | None, int | None]

Item = TypeVar("Item")
Fields = Mapping[str, Sequence[Any]]
"""The `fields` of a hit: its doc values by field."""


@dataclass(frozen=True, slots=True)
class Collapse:
    """How to collapse: `items` groups are expanded, by `expanded` results each."""

    name: str
    keys: tuple[SortKey, ...] = ()
    missing: Literal["COLLAPSE", "IGNORE", "EXPAND"] = "COLLAPSE"
    items: int = 0
    expanded: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes whose values the hits must carry."""
        return (self.name, *(key.name for key in self.keys))


@dataclass(frozen=True, slots=True)
class Collapsed(Generic[Item]):
    """One group: its primary result, and those shown under it.

    `detail` is the DocumentAttribute of its CollapsedResultDetail; None for a result without a
    value that stands alone.
    """

    primary: Item
    expanded: tuple[Item, ...] = ()
    detail: dict[str, Any] | None = None


def read_collapse(members: Mapping[str, Any] | None, index: KendraIndex) -> Collapse | None:
    """Read a CollapseConfiguration; raises a ValidationException for what cannot be done."""
    if members is None:
        return None
    name = members["DocumentAttributeKey"]
    attribute = find_sortable(index, name, _MEMBER)
    if attribute.type == "DATE":
        raise invalid(
            f"{_MEMBER} names the attribute {name}, a DATE; results collapse on text and numbers."
        )
    keys = read_sort_keys(
        members.get("SortingConfigurations", ()), index, f"{_MEMBER}.SortingConfigurations"
    )
    limits: Mapping[str, Any] = members.get("ExpandConfiguration", {})
    read_message(_EXPAND, {_MEMBER: {"ExpandConfiguration": limits}})
    items, expanded = 0, 0
    if members.get("Expand"):
        items = limits.get("MaxResultItemsToExpand", DEFAULT_ITEMS)
        expanded = limits.get("MaxExpandedResultsPerItem", DEFAULT_EXPANDED)
    return Collapse(
        name, keys, members.get("MissingAttributeKeyStrategy", "COLLAPSE"), items, expanded
    )


def collapse(
    items: Sequence[Item], how: Collapse, index: KendraIndex, fields: Callable[[Item], Fields]
) -> list[Collapsed[Item]]:
    """Collapse results in their final order.

    The primary result of a group is its first by the collapse's own keys, missing values last, or
    the most relevant one without; a group stands where its primary result stood.
    """
    groups: dict[_Key, list[int]] = {}
    for place, item in enumerate(items):
        values = read_values(index, how.name, fields(item))
        if values:
            groups.setdefault((values[0], None), []).append(place)
        elif how.missing != "IGNORE":
            groups.setdefault((None, place if how.missing == "EXPAND" else None), []).append(place)
    ordered = [
        (value, _sort(places, how, index, lambda place: fields(items[place])))
        for (value, _), places in groups.items()
    ]
    ordered.sort(key=lambda entry: entry[1][0])
    return [
        Collapsed(
            items[primary],
            tuple(items[place] for place in rest[: how.expanded]) if number < how.items else (),
            _write_detail(value, how, index),
        )
        for number, (value, (primary, *rest)) in enumerate(ordered)
    ]


def count_groups_by(how: Collapse, index: KendraIndex) -> Dsl:
    """The `aggs` that count the groups of the whole match set."""
    where = index.field_of(how.name)
    counted: Dsl = {_VALUES: _count_values(where)}
    if how.missing != "IGNORE":
        counted[_KEYLESS] = {"missing": {"field": where}}
        if index.fields.shared_id and index.fields.document_id:
            # The passages of one document are one.
            counted[_KEYLESS]["aggs"] = {_DOCUMENTS: _count_values(index.fields.document_id)}
    return counted


def read_group_count(how: Collapse, aggregations: Mapping[str, Any]) -> int:
    """How many groups the whole match set has, by the aggregations of `count_groups_by`."""
    lacking: Mapping[str, Any] = aggregations.get(_KEYLESS, {})
    keyless = int(lacking.get(_DOCUMENTS, {}).get("value", lacking.get("doc_count", 0)))
    if how.missing == "COLLAPSE":
        keyless = min(keyless, 1)
    return int(aggregations.get(_VALUES, {}).get("value", 0)) + keyless


def _count_values(field: str) -> Dsl:
    return {"cardinality": {"field": field, "precision_threshold": _EXACT_UP_TO}}


def _sort(
    places: list[int], how: Collapse, index: KendraIndex, fields: Callable[[int], Fields]
) -> list[int]:
    # Sorting is stable: the last key first, and what is equal keeps the order of relevance.
    for key in reversed(how.keys):
        pick = max if key.descending else min
        values = {place: read_values(index, key.name, fields(place)) for place in places}
        having = [place for place in places if values[place]]
        lacking = [place for place in places if not values[place]]
        having.sort(key=lambda place: pick(values[place]), reverse=key.descending)
        places = having + lacking
    return places


def _write_detail(
    value: str | int | None, how: Collapse, index: KendraIndex
) -> dict[str, Any] | None:
    if value is not None:
        return {"Key": how.name, "Value": write_value(index.attributes[how.name], value)}
    # The service's model requires the member; an empty value says that there is none.
    return {"Key": how.name, "Value": {}} if how.missing == "COLLAPSE" else None
