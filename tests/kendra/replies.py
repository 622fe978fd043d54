"""Helpers that write parts of requests and read parts of replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Reply = Mapping[str, Any]


def condition(operator: str, key: str, value: dict[str, Any]) -> dict[str, Any]:
    """One comparison of an AttributeFilter."""
    return {operator: {"Key": key, "Value": value}}


def string(value: str) -> dict[str, Any]:
    """A string as an attribute's value."""
    return {"StringValue": value}


ALL: dict[str, Any] = {"NotFilter": condition("EqualsTo", "Lab", string("none"))}
"""Browsing needs a filter; every document passes this one."""


def items(reply: Reply, kind: str = "DOCUMENT") -> list[dict[str, Any]]:
    """The result items of one kind, in their order."""
    return [item for item in reply["ResultItems"] if item["Type"] == kind]


def ids(reply: Reply, kind: str = "DOCUMENT") -> list[str]:
    """The document ids of the result items of one kind, in their order."""
    return [item["DocumentId"] for item in items(reply, kind)]


def attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an item, by name."""
    return {
        attribute["Key"]: next(iter(attribute["Value"].values()))
        for attribute in item["DocumentAttributes"]
    }


def slices(text: Mapping[str, Any]) -> list[str]:
    """The highlighted words of a text with highlights."""
    return [
        text["Text"][highlight["BeginOffset"] : highlight["EndOffset"]]
        for highlight in text["Highlights"]
    ]


def counts(facet: Mapping[str, Any]) -> dict[Any, int]:
    """A facet's counts by value."""
    return {
        next(iter(pair["DocumentAttributeValue"].values())): pair["Count"]
        for pair in facet["DocumentAttributeValueCountPairs"]
    }


def facet(reply: Reply, key: str) -> dict[Any, int]:
    """The counts of the facet on one attribute."""
    [result] = [each for each in reply["FacetResults"] if each["DocumentAttributeKey"] == key]
    return counts(result)


def additional(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The texts of the additional attributes of an item, by key, in their order."""
    return {
        each["Key"]: each["Value"]["TextWithHighlightsValue"]
        for each in item["AdditionalAttributes"]
    }


def everything(client: Any, index_id: str, **members: Any) -> list[Reply]:
    """All pages of a Query, which together have at most a hundred items."""
    pages: list[Reply] = []
    for number in range(1, 5):
        pages.append(client.query(IndexId=index_id, PageNumber=number, PageSize=33, **members))
    return pages


def all_ids(pages: Sequence[Reply], kind: str = "DOCUMENT") -> list[str]:
    """The document ids of several pages."""
    return [name for page in pages for name in ids(page, kind)]
