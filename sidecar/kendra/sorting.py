"""SortingConfiguration and SortingConfigurations: one to three keys, missing values last.

OpenSearch sorts the whole match set, so that the newest document is found however weak its match;
the model's order then decides among documents with equal keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from sidecar.aws_errors import invalid
from sidecar.config_kendra import KendraIndex
from sidecar.config_kendra_attributes import AttributeType
from sidecar.kendra.schema import MOST_SORT_KEYS, Dsl, find_sortable

_MAPPED_AS: Mapping[AttributeType, str] = {"STRING": "keyword", "LONG": "long", "DATE": "date"}

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One attribute to sort by."""

    name: str
    descending: bool


def read_sorting(members: Mapping[str, Any], index: KendraIndex) -> tuple[SortKey, ...]:
    """The sort keys of a Query; none: by relevance.

    Raises a ValidationException for both members at once, for more than three keys, and for an
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
    """The keys of a list of sorting configurations, in which `member` is the list's name."""
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

    An index of an alias that lacks a field has missing values, and does not fail the search.
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
    """Sorted hits with those of equal keys in the order of `rank`, the smallest first.

    `sort_values` gives the `sort` of a hit: OpenSearch puts one value there for each key, and the
    same one for all hits that lack it.
    """
    return [
        item
        for _, equals in groupby(items, lambda item: tuple(sort_values(item)[: len(keys)]))
        for item in sorted(equals, key=rank)
    ]
