"""Members of requests at the limits of the API, and an index for such requests.

The index has as many attributes as one request may name, and attribute names of the maximum length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.kendra.serving import INDEX_SETTINGS

LONGEST = "a" * 200
OF_30 = "n" * 30
LAB = {"type": "STRING", "field": "Lab"}
MANY = [f"lab-{number}" for number in range(495)]
"""Together with the five other attributes with short names: the 500 that overrides may name."""

INDEX: Mapping[str, Any] = {
    **INDEX_SETTINGS,
    "attributes": {
        **dict.fromkeys(MANY, LAB),
        LONGEST: {**LAB, "facetable": True, "sortable": True},
        OF_30: LAB,
        "_authors": {"type": "STRING_LIST", "field": "meta.authors"},
        "_created_at": {"type": "DATE", "field": "meta.created"},
        "_view_count": {"type": "LONG", "field": "meta.views", "relevance": {"importance": 1}},
        "Team": LAB,
    },
    "user_context": {"tokens": {"unsigned_json": True}},
}


def token(length: int) -> dict[str, Any]:
    written = json.dumps({"user": "ann", "groups": [], "for": ""})
    return {"UserContext": {"Token": written.replace('""', f'"{"x" * (length - len(written))}"')}}


def context(**members: Any) -> dict[str, Any]:
    return {"UserContext": members}


def source(group: str = "g", name: str = "s") -> dict[str, str]:
    return {"GroupId": group, "DataSourceId": name}


def equals(key: str, operator: str = "EqualsTo", **value: Any) -> dict[str, Any]:
    return {"AttributeFilter": {operator: {"Key": key, "Value": value}}}


def tuned(name: str = "_view_count", **relevance: Any) -> dict[str, Any]:
    override = {"Name": name, "Relevance": relevance}
    return {"DocumentRelevanceOverrideConfigurations": [override]}


def valued(name: str, importance: int) -> dict[str, Any]:
    return tuned("Team", ValueImportanceMap={name: importance})


def overrides(count: int) -> dict[str, Any]:
    names = [*MANY, OF_30, "_created_at", "_view_count", "Team", "_document_title"]
    return {
        "DocumentRelevanceOverrideConfigurations": [
            {"Name": name, "Relevance": {"Importance": 2}} for name in names[:count]
        ]
    }


def facet(**members: Any) -> dict[str, Any]:
    return {"Facets": [{"DocumentAttributeKey": LONGEST, **members}]}


def sorting(order: str = "ASC", key: str = LONGEST) -> dict[str, str]:
    return {"DocumentAttributeKey": key, "SortOrder": order}


def collapsing(key: str = LONGEST, **members: Any) -> dict[str, Any]:
    return {"CollapseConfiguration": {"DocumentAttributeKey": key, **members}}


def expanding(key: str = LONGEST, **members: int) -> dict[str, Any]:
    return collapsing(key, Expand=True, ExpandConfiguration=members)
