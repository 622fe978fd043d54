"""What `ext.ubi` says, of a client that may say anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.config.limits import Limits
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.ubi_section import describe_query, read_ubi


def attributes(value: Any) -> dict[str, Any]:
    """The stored attributes of a search with these, but for the plan."""
    body = {"ext": {"ubi": {"query_id": "q", "query_attributes": value}}}
    found = read_ubi(json.dumps(body).encode(), Limits())
    assert found is not None
    section, without = found
    assert section is not None
    assert without == b"{}"
    query = describe_query(section, Outcome("plan", "skipped", "off"))
    assert query is not None
    stored = query["query_attributes"]
    assert isinstance(stored, dict)
    assert stored.pop("rescore_plan") == "off"
    return stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"page": "home", "n": 3, "x": 0.5, "new": True}, None),
        ({"rescore_plan": "mine", "rescore_teams": "ab", "page": "home"}, {"page": "home"}),
        ({"nested": {"a": 1}, "list": [1], "nothing": None}, {}),
        ({"": "x", "long": "x" * 1001, "n" * 101: 1, "huge": 10**400}, {}),
        ({f"name{n}": n for n in range(50)}, {f"name{n}": n for n in range(20)}),
        (["page"], {}),
        (None, {}),
    ],
)
def test_attributes_are_few_and_short_and_leave_the_sidecars_alone(
    value: Any, stored: dict[str, Any] | None
) -> None:
    assert attributes(value) == (value if stored is None else stored)
