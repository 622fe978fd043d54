"""SortingConfiguration and SortingConfigurations: one to three sort keys, missing values last.

Sorting changes the order, not the result set: OpenSearch sorts all documents that match the query
text, so the newest one is found even if it matches weakly, and the total is that of the same
request without sorting. The model's order then decides between documents with equal keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from sidecar.aws.errors import invalid
from sidecar.config.kendra import KendraIndex
from sidecar.config.kendra_attributes import AttributeType
from sidecar.kendra.indexes.schema import MOST_SORT_KEYS, Dsl, find_sortable

_MAPPED_AS: Mapping[AttributeType, str] = {"STRING": "keyword", "LONG": "long", "DATE": "date"}

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One attribute to sort by."""

    name: str
    descending: bool


def read_sorting(members: Mapping[str, Any], index: KendraIndex) -> tuple[SortKey, ...]:
    """The sort keys of a Query; without any, results are in the order of relevance.

    Raises a ValidationException if both members are present, for more than three keys, and for an
    attribute that is not sortable.
    """
    if "SortingConfiguration" in members and "SortingConfigurations" in members:
        raise invalid("SortingConfiguration and SortingConfigurations cannot be used together.")
    if "SortingConfiguration" in members:
        return read_sort_keys(
            [members["SortingConfiguration"]], index, member="SortingConfiguration"
        )
    return read_sort_keys(
        members.get("SortingConfigurations", ()), index, member="SortingConfigurations"
    )


def read_sort_keys(
    configurations: Sequence[Mapping[str, Any]], index: KendraIndex, member: str
) -> tuple[SortKey, ...]:
    """The sort keys of a list of sorting configurations; errors call the list `member`."""
    if len(configurations) > MOST_SORT_KEYS:
        raise invalid(f"{member} cannot have a length of more than {MOST_SORT_KEYS}")
    keys = []
    for configuration in configurations:
        name = configuration["DocumentAttributeKey"]
        find_sortable(index, name, member)
        keys.append(SortKey(name, configuration["SortOrder"] == "DESC"))
    return tuple(keys)


def write_sort(keys: Sequence[SortKey], index: KendraIndex) -> Dsl:
    """The members of a search body that sort it; none without keys.

    If an alias has an index without the field, the search does not fail: its hits have no value.
    """
    if not keys:
        return {}
    clauses: list[object] = [
        {
            index.field_of(key.name): {
                "order": "desc" if key.descending else "asc",
                "missing": "_last",
                "unmapped_type": _MAPPED_AS[index.attributes[key.name].type],
            }
        }
        for key in keys
    ]
    return {"sort": [*clauses, "_score"], "track_scores": True}


def break_ties(
    items: Sequence[Item],
    keys: Sequence[SortKey],
    sort_values: Callable[[Item], Sequence[object]],
    rank: Callable[[Item], float],
) -> list[Item]:
    """Put sorted hits with equal keys into the order of `rank`, the smallest first.

    `sort_values` returns the `sort` of a hit: one value for each key. OpenSearch gives the same
    value to all hits without one.
    """
    return [
        item
        for _, equals in groupby(items, lambda item: tuple(sort_values(item)[: len(keys)]))
        for item in sorted(equals, key=rank)
    ]
