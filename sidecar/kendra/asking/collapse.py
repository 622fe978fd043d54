"""CollapseConfiguration: results with the same value of an attribute become one result.

Results collapse after the model has ordered them. OpenSearch's own `collapse` would choose the
primary result of each group before the model has read any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from sidecar.aws.errors import invalid
from sidecar.aws.shapes import Structure, Whole, read_message
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.asking.sorting import SortKey, read_sort_keys
from sidecar.kendra.indexes.schema import Dsl, find_sortable, read_values, write_value

DEFAULT_ITEMS = 10
DEFAULT_EXPANDED = 3

_MEMBER = "CollapseConfiguration"
_LIMITS = Structure({"MaxResultItemsToExpand": Whole(1), "MaxExpandedResultsPerItem": Whole(1)})
_EXPAND = Structure({_MEMBER: Structure({"ExpandConfiguration": _LIMITS})})
_VALUES = "collapse:values"
_KEYLESS = "collapse:keyless"
_DOCUMENTS = "documents"
# Up to this number OpenSearch counts values almost exactly; larger counts are approximate.
_EXACT_UP_TO = 40_000

# The value of a group; or, for a result without a value that stays alone, its place.
_Key = tuple[str | int | None, int | None]

Item = TypeVar("Item")
Fields = Mapping[str, Sequence[Any]]
"""The `fields` of a hit: its doc values, by field."""


@dataclass(frozen=True, slots=True)
class Collapse:
    """A parsed CollapseConfiguration.

    `items` is the number of groups that are expanded; `expanded` is the number of results shown
    for each of these, besides the primary one.
    """

    name: str
    keys: tuple[SortKey, ...] = ()
    missing: Literal["COLLAPSE", "IGNORE", "EXPAND"] = "COLLAPSE"
    items: int = 0
    expanded: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes whose values are read from the hits."""
        return (self.name, *(key.name for key in self.keys))


@dataclass(frozen=True, slots=True)
class Collapsed(Generic[Item]):
    """One group: its primary result, and the results shown under it.

    `detail` is the DocumentAttribute of its CollapsedResultDetail; None for a result without a
    value that stays alone.
    """

    primary: Item
    expanded: tuple[Item, ...] = ()
    detail: dict[str, Any] | None = None


def read_collapse(members: Mapping[str, Any] | None, index: KendraIndex) -> Collapse | None:
    """Parse a CollapseConfiguration.

    Raises a ValidationException for attributes that results cannot be collapsed or sorted by.
    """
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


def collapse_results(
    items: Sequence[Item], collapse: Collapse, index: KendraIndex, fields: Callable[[Item], Fields]
) -> list[Collapsed[Item]]:
    """Collapse results, which are in their final order.

    The primary result of a group is the first by the collapse's sort keys, missing values last.
    Without sort keys it is the most relevant one. A group takes the place of its primary result.
    """
    groups: dict[_Key, list[int]] = {}
    for place, item in enumerate(items):
        values = read_values(index, collapse.name, fields(item))
        if values:
            groups.setdefault((values[0], None), []).append(place)
        elif collapse.missing != "IGNORE":
            groups.setdefault((None, place if collapse.missing == "EXPAND" else None), []).append(
                place
            )
    ordered = [
        (value, _sort(places, collapse, index, lambda place: fields(items[place])))
        for (value, _), places in groups.items()
    ]
    ordered.sort(key=lambda entry: entry[1][0])
    return [
        Collapsed(
            items[primary],
            tuple(items[place] for place in rest[: collapse.expanded])
            if number < collapse.items
            else (),
            _write_detail(value, collapse, index),
        )
        for number, (value, (primary, *rest)) in enumerate(ordered)
    ]


def count_groups_by(collapse: Collapse, index: KendraIndex) -> Dsl:
    """The `aggs` that count the groups of all matching documents."""
    where = index.field_of(collapse.name)
    aggregations: Dsl = {_VALUES: _count_values(where)}
    if collapse.missing != "IGNORE":
        aggregations[_KEYLESS] = {"missing": {"field": where}}
        if index.fields.shared_id and index.fields.document_id:
            # Hits that share an id are passages of one document, which counts once.
            aggregations[_KEYLESS]["aggs"] = {_DOCUMENTS: _count_values(index.fields.document_id)}
    return aggregations


def read_group_count(collapse: Collapse, aggregations: Mapping[str, Any]) -> int:
    """The number of groups, from the aggregations of `count_groups_by`."""
    missing: Mapping[str, Any] = aggregations.get(_KEYLESS, {})
    keyless = int(missing.get(_DOCUMENTS, {}).get("value", missing.get("doc_count", 0)))
    if collapse.missing == "COLLAPSE":
        keyless = min(keyless, 1)
    return int(aggregations.get(_VALUES, {}).get("value", 0)) + keyless


def _count_values(field: str) -> Dsl:
    return {"cardinality": {"field": field, "precision_threshold": _EXACT_UP_TO}}


def _sort(
    places: list[int], collapse: Collapse, index: KendraIndex, fields: Callable[[int], Fields]
) -> list[int]:
    # Sorting is stable. So the last key sorts first, and equal results keep the order of relevance.
    for key in reversed(collapse.keys):
        pick = max if key.descending else min
        values = {place: read_values(index, key.name, fields(place)) for place in places}
        with_value = [place for place in places if values[place]]
        without_value = [place for place in places if not values[place]]
        with_value.sort(key=lambda place: pick(values[place]), reverse=key.descending)
        places = with_value + without_value
    return places


def _write_detail(
    value: str | int | None, collapse: Collapse, index: KendraIndex
) -> dict[str, Any] | None:
    if value is not None:
        return {"Key": collapse.name, "Value": write_value(index.attributes[collapse.name], value)}
    # The service's model requires this member; an empty value says that there is no value.
    return {"Key": collapse.name, "Value": {}} if collapse.missing == "COLLAPSE" else None
