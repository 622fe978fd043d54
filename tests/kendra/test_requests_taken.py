"""Each row of the request's members: the largest and the smallest that is taken.

As bytes, since boto3 would not send all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kendra.request_members import (
    INDEX,
    LONGEST,
    MANY,
    OF_30,
    collapsing,
    context,
    equals,
    expanding,
    facet,
    overrides,
    sorting,
    source,
    token,
    tuned,
    valued,
)
from tests.kendra.serving import PAPERS, Kendra, serving_kendra
from tests.kendra.wire import post
from tests.nodes.node import Node

BOTH_TAKEN: dict[str, dict[str, Any]] = {
    "QueryText: 1000 characters": {"QueryText": "kettle " + "x" * 993},
    "RequestedDocumentAttributes: 1": {"RequestedDocumentAttributes": ["Team"]},
    "RequestedDocumentAttributes: 100": {"RequestedDocumentAttributes": MANY[:100]},
    "RequestedDocumentAttributes: key of 200": {"RequestedDocumentAttributes": [LONGEST]},
    "AttributeFilter: empty": {"AttributeFilter": {}},
    "Key: 200": equals(LONGEST, StringValue="x"),
    "StringValue: 1": equals("Team", StringValue="x"),
    "StringValue: 2048": equals("Team", StringValue="x" * 2048),
    "StringListValue: string of 1": equals("_authors", StringListValue=["x"]),
    "StringListValue: string of 2048": equals("_authors", StringListValue=["x" * 2048]),
    "StringListValue: 10": equals("_authors", StringListValue=["x"] * 10),
    "LongValue: largest": equals("_view_count", LongValue=2**63 - 1),
    "LongValue: smallest": equals("_view_count", LongValue=-(2**63)),
    "DateValue: with decimals": equals("_created_at", DateValue=1_704_067_200.75),
    "DateValue: before 1970": equals("_created_at", DateValue=-1),
    "DocumentRelevanceOverrideConfigurations: 0": overrides(0),
    "DocumentRelevanceOverrideConfigurations: 500": overrides(500),
    "Name: 30": tuned(OF_30, ValueImportanceMap={"Tea": 2}),
    "Importance: 1": tuned(Importance=1),
    "Importance: 10": tuned(Importance=10),
    "Freshness": tuned("_created_at", Freshness=False),
    "Duration: 2 characters": tuned("_created_at", Freshness=True, Duration="0s"),
    "Duration: 10 characters": tuned("_created_at", Freshness=True, Duration="999999999s"),
    "RankOrder: ASCENDING": tuned(RankOrder="ASCENDING"),
    "RankOrder: DESCENDING": tuned(RankOrder="DESCENDING"),
    "RankOrder: of a DATE": tuned("_created_at", RankOrder="DESCENDING"),
    "ValueImportanceMap: key of 1": valued("x", 1),
    "ValueImportanceMap: key of 50": valued("x" * 50, 10),
    "PageNumber: 1": {"PageNumber": 1},
    "PageNumber: largest": {"PageNumber": 2**31 - 1},
    "PageSize: 1": {"PageSize": 1},
    "PageSize: largest": {"PageSize": 2**31 - 1},
    "UserContext: empty": context(),
    "Token: 100000": token(100_000),
    "UserId: 1": context(UserId="u"),
    "UserId: 200": context(UserId="u" * 200),
    "Groups: 1": context(Groups=["g"]),
    "Groups: 2048 of 200": context(Groups=[f"{number:0200}" for number in range(2048)]),
    "DataSourceGroups: 1": context(DataSourceGroups=[source()]),
    "DataSourceGroups: 2048 of 200 and 100": context(
        DataSourceGroups=[source(f"{number:0200}", "s" * 100) for number in range(2048)]
    ),
    "DataSourceId: 0-_": context(DataSourceGroups=[source(name="0-_")]),
}
QUERY_TAKEN: dict[str, dict[str, Any]] = {
    "Facets: none": {"Facets": []},
    "MaxResults: 0": facet(MaxResults=0),
    "MaxResults: 5000": facet(MaxResults=5000),
    "QueryResultTypeFilter: DOCUMENT": {"QueryResultTypeFilter": "DOCUMENT"},
    "QueryResultTypeFilter: QUESTION_ANSWER": {"QueryResultTypeFilter": "QUESTION_ANSWER"},
    "QueryResultTypeFilter: ANSWER": {"QueryResultTypeFilter": "ANSWER"},
    "SortingConfiguration: ASC": {"SortingConfiguration": sorting("ASC")},
    "SortingConfiguration: DESC": {"SortingConfiguration": sorting("DESC")},
    "SortingConfigurations: 1": {"SortingConfigurations": [sorting()]},
    "SortingConfigurations: 3": {
        "SortingConfigurations": [sorting(), sorting(key="_created_at"), sorting(key="_view_count")]
    },
    "IncludeQuerySpellCheckSuggestions: false": {
        "SpellCorrectionConfiguration": {"IncludeQuerySpellCheckSuggestions": False}
    },
    "CollapseConfiguration: SortingConfigurations: 1": collapsing(
        SortingConfigurations=[sorting()]
    ),
    "CollapseConfiguration: SortingConfigurations: 3": collapsing(
        SortingConfigurations=[sorting(), sorting(key="_created_at"), sorting(key="_view_count")]
    ),
    "MissingAttributeKeyStrategy: IGNORE": collapsing(MissingAttributeKeyStrategy="IGNORE"),
    "MissingAttributeKeyStrategy: COLLAPSE": collapsing(MissingAttributeKeyStrategy="COLLAPSE"),
    "MissingAttributeKeyStrategy: EXPAND": collapsing(MissingAttributeKeyStrategy="EXPAND"),
    "Expand: false": collapsing(Expand=False),
    "MaxResultItemsToExpand: 1": expanding(MaxResultItemsToExpand=1),
    "MaxExpandedResultsPerItem: 1": expanding(MaxExpandedResultsPerItem=1),
    "VisitorId: 1": {"VisitorId": "v"},
    "VisitorId: 256": {"VisitorId": "0-_" + "v" * 253},
}


@pytest.fixture(scope="module")
def ranged(loaded: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kendra]:
    with serving_kendra(tmp_path_factory.mktemp("ranges"), loaded.url, {PAPERS: INDEX}) as served:
        yield served


@pytest.mark.parametrize("operation", ["Query", "Retrieve"])
@pytest.mark.parametrize("row", BOTH_TAKEN)
def test_both_operations_take(ranged: Kendra, operation: str, row: str) -> None:
    reply = post(ranged, operation, **BOTH_TAKEN[row])
    assert reply.status == 200, reply.message
    assert reply.content_type == "application/x-amz-json-1.1"
    assert reply.members["QueryId"]


@pytest.mark.parametrize("row", QUERY_TAKEN)
def test_query_takes(ranged: Kendra, row: str) -> None:
    reply = post(ranged, "Query", **QUERY_TAKEN[row])
    assert reply.status == 200, reply.message


def test_an_unnamed_request_shows_every_attribute(ranged: Kendra) -> None:
    """Many more than OpenSearch gives doc values of in one search."""
    reply = post(ranged, "Query", QueryText="copper kettle")
    [first, *_] = [item for item in reply.members["ResultItems"] if item["Type"] == "DOCUMENT"]
    shown = {each["Key"]: each["Value"] for each in first["DocumentAttributes"]}
    assert shown.keys() == {*MANY, LONGEST, OF_30, "_authors", "_view_count", "Team"}
    assert all(shown[name] == {"StringValue": "Tea"} for name in (*MANY, LONGEST, OF_30, "Team"))
    assert shown["_authors"] == {"StringListValue": ["Zoe"]}
