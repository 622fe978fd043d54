"""Each row of the request's members: what is just too much or too little, and how it is refused.

As bytes, since boto3 would not send all of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kendra.request_members import (
    LONGEST,
    MANY,
    collapsing,
    context,
    equals,
    expanding,
    facet,
    sorting,
    source,
    token,
    tuned,
    valued,
)
from tests.kendra.serving import PAPERS, Kendra
from tests.kendra.wire import Wire, post

SHORT, LONG = (f"Member must have length {than} than or equal to " for than in ("greater", "less"))
LESS, MORE = (f"Member must have value {than} than or equal to " for than in ("greater", "less"))
PATTERN, WORDS = "Member must satisfy regular expression", "Member must satisfy enum value set: "
ABSENT = "Member must not be null"
OVERRIDE = "documentRelevanceOverrideConfigurations.1.member"
VALUE = "attributeFilter.equalsTo.value"
SOURCE = "userContext.dataSourceGroups.1.member"
NO_CONTROL = "a\u0007b"

Refused = tuple[dict[str, Any], str, str]
BOTH_REFUSED: dict[str, Refused] = {
    "IndexId: none": ({"IndexId": None}, "indexId", ABSENT),
    "IndexId: 35": ({"IndexId": PAPERS[:-1]}, "indexId", SHORT + "36"),
    "IndexId: 37": ({"IndexId": PAPERS + "5"}, "indexId", LONG + "36"),
    "IndexId: underscore": ({"IndexId": PAPERS.replace("-", "_")}, "indexId", PATTERN),
    "IndexId: begins with -": ({"IndexId": "-" + PAPERS[1:]}, "indexId", PATTERN),
    "QueryText: a number": ({"QueryText": 5}, "queryText", "Member must be a string"),
    "RequestedDocumentAttributes: 0": (
        {"RequestedDocumentAttributes": []},
        "requestedDocumentAttributes",
        SHORT + "1",
    ),
    "RequestedDocumentAttributes: 101": (
        {"RequestedDocumentAttributes": MANY[:101]},
        "requestedDocumentAttributes",
        LONG + "100",
    ),
    "RequestedDocumentAttributes: key of 0": (
        {"RequestedDocumentAttributes": [""]},
        "requestedDocumentAttributes.1.member",
        SHORT + "1",
    ),
    "RequestedDocumentAttributes: key of 201": (
        {"RequestedDocumentAttributes": ["Team", LONGEST + "a"]},
        "requestedDocumentAttributes.2.member",
        LONG + "200",
    ),
    "Key: 0": (equals("", StringValue="x"), "attributeFilter.equalsTo.key", SHORT + "1"),
    "Key: 201": (
        equals(LONGEST + "a", StringValue="x"),
        "attributeFilter.equalsTo.key",
        LONG + "200",
    ),
    "Key: begins with -": (
        equals("-Team", StringValue="x"),
        "attributeFilter.equalsTo.key",
        PATTERN,
    ),
    "Key: none": (
        {"AttributeFilter": {"EqualsTo": {"Value": {"StringValue": "x"}}}},
        "attributeFilter.equalsTo.key",
        ABSENT,
    ),
    "Value: none": (
        {"AttributeFilter": {"EqualsTo": {"Key": "Team"}}},
        "attributeFilter.equalsTo.value",
        ABSENT,
    ),
    "Value: two members": (
        equals("Team", StringValue="x", LongValue=1),
        VALUE,
        "Member must have one value, not several",
    ),
    "StringValue: 0": (equals("Team", StringValue=""), f"{VALUE}.stringValue", SHORT + "1"),
    "StringValue: 2049": (
        equals("Team", StringValue="x" * 2049),
        f"{VALUE}.stringValue",
        LONG + "2048",
    ),
    "StringListValue: string of 0": (
        equals("_authors", StringListValue=["x", ""]),
        f"{VALUE}.stringListValue.2.member",
        SHORT + "1",
    ),
    "StringListValue: string of 2049": (
        equals("_authors", StringListValue=["x" * 2049]),
        f"{VALUE}.stringListValue.1.member",
        LONG + "2048",
    ),
    "LongValue: too large": (
        equals("_view_count", LongValue=2**63),
        f"{VALUE}.longValue",
        f"{MORE}{2**63 - 1}",
    ),
    "LongValue: too small": (
        equals("_view_count", LongValue=-(2**63) - 1),
        f"{VALUE}.longValue",
        f"{LESS}{-(2**63)}",
    ),
    "LongValue: with decimals": (
        equals("_view_count", LongValue=1.5),
        f"{VALUE}.longValue",
        "Member must be an integer",
    ),
    "DateValue: a text": (
        equals("_created_at", DateValue="2024-01-01"),
        f"{VALUE}.dateValue",
        "Member must be a time in epoch seconds",
    ),
    "DocumentRelevanceOverrideConfigurations: 501": (
        {
            "DocumentRelevanceOverrideConfigurations": [
                {"Name": "Team", "Relevance": {"Importance": 2}}
            ]
            * 501
        },
        "documentRelevanceOverrideConfigurations",
        LONG + "500",
    ),
    "Name: 0": (tuned("", Importance=2), f"{OVERRIDE}.name", SHORT + "1"),
    "Name: 31": (tuned("n" * 31, Importance=2), f"{OVERRIDE}.name", LONG + "30"),
    "Relevance: none": (
        {"DocumentRelevanceOverrideConfigurations": [{"Name": "Team"}]},
        f"{OVERRIDE}.relevance",
        ABSENT,
    ),
    "Importance: 0": (tuned(Importance=0), f"{OVERRIDE}.relevance.importance", LESS + "1"),
    "Importance: 11": (tuned(Importance=11), f"{OVERRIDE}.relevance.importance", MORE + "10"),
    "Freshness: a text": (
        tuned("_created_at", Freshness="yes"),
        f"{OVERRIDE}.relevance.freshness",
        "Member must be a boolean",
    ),
    "Duration: 11 characters": (
        tuned("_created_at", Duration="9999999999s"),
        f"{OVERRIDE}.relevance.duration",
        LONG + "10",
    ),
    "Duration: in minutes": (
        tuned("_created_at", Duration="5m"),
        f"{OVERRIDE}.relevance.duration",
        PATTERN,
    ),
    "Duration: 0 digits": (
        tuned("_created_at", Duration="s"),
        f"{OVERRIDE}.relevance.duration",
        PATTERN,
    ),
    "RankOrder: another": (
        tuned(RankOrder="UP"),
        f"{OVERRIDE}.relevance.rankOrder",
        WORDS + "[ASCENDING, DESCENDING]",
    ),
    "ValueImportanceMap: key of 0": (
        valued("", 1),
        f"{OVERRIDE}.relevance.valueImportanceMap",
        SHORT + "1",
    ),
    "ValueImportanceMap: key of 51": (
        valued("x" * 51, 1),
        f"{OVERRIDE}.relevance.valueImportanceMap",
        LONG + "50",
    ),
    "ValueImportanceMap: 0": (
        valued("x", 0),
        f"{OVERRIDE}.relevance.valueImportanceMap.x",
        LESS + "1",
    ),
    "ValueImportanceMap: 11": (
        valued("x", 11),
        f"{OVERRIDE}.relevance.valueImportanceMap.x",
        MORE + "10",
    ),
    "PageNumber: 0": ({"PageNumber": 0}, "pageNumber", LESS + "1"),
    "PageNumber: too large": ({"PageNumber": 2**31}, "pageNumber", f"{MORE}{2**31 - 1}"),
    "PageNumber: with decimals": ({"PageNumber": 1.0}, "pageNumber", "Member must be an integer"),
    "PageSize: 0": ({"PageSize": 0}, "pageSize", LESS + "1"),
    "PageSize: too large": ({"PageSize": 2**31}, "pageSize", f"{MORE}{2**31 - 1}"),
    "Token: 0": (context(Token=""), "userContext.token", SHORT + "1"),
    "Token: 100001": (token(100_001), "userContext.token", LONG + "100000"),
    "Token: control character": (context(Token=NO_CONTROL), "userContext.token", PATTERN),
    "UserId: 0": (context(UserId=""), "userContext.userId", SHORT + "1"),
    "UserId: 201": (context(UserId="u" * 201), "userContext.userId", LONG + "200"),
    "UserId: control character": (context(UserId=NO_CONTROL), "userContext.userId", PATTERN),
    "Groups: 0": (context(Groups=[]), "userContext.groups", SHORT + "1"),
    "Groups: 2049": (context(Groups=["g"] * 2049), "userContext.groups", LONG + "2048"),
    "Groups: name of 0": (context(Groups=[""]), "userContext.groups.1.member", SHORT + "1"),
    "Groups: name of 201": (
        context(Groups=["g", "g" * 201]),
        "userContext.groups.2.member",
        LONG + "200",
    ),
    "DataSourceGroups: 0": (
        context(DataSourceGroups=[]),
        "userContext.dataSourceGroups",
        SHORT + "1",
    ),
    "DataSourceGroups: 2049": (
        context(DataSourceGroups=[source()] * 2049),
        "userContext.dataSourceGroups",
        LONG + "2048",
    ),
    "GroupId: none": (
        context(DataSourceGroups=[{"DataSourceId": "s"}]),
        f"{SOURCE}.groupId",
        ABSENT,
    ),
    "GroupId: 201": (
        context(DataSourceGroups=[source("g" * 201)]),
        f"{SOURCE}.groupId",
        LONG + "200",
    ),
    "DataSourceId: none": (
        context(DataSourceGroups=[{"GroupId": "g"}]),
        f"{SOURCE}.dataSourceId",
        ABSENT,
    ),
    "DataSourceId: 101": (
        context(DataSourceGroups=[source(name="s" * 101)]),
        f"{SOURCE}.dataSourceId",
        LONG + "100",
    ),
    "DataSourceId: |": (
        context(DataSourceGroups=[source(name="a|b")]),
        f"{SOURCE}.dataSourceId",
        PATTERN,
    ),
}
QUERY_REFUSED: dict[str, Refused] = {
    "Facets: no key": (
        {"Facets": [{"MaxResults": 1}]},
        "facets.1.member.documentAttributeKey",
        ABSENT,
    ),
    "MaxResults: -1": (facet(MaxResults=-1), "facets.1.member.maxResults", LESS + "0"),
    "MaxResults: 5001": (facet(MaxResults=5001), "facets.1.member.maxResults", MORE + "5000"),
    "QueryResultTypeFilter: another": (
        {"QueryResultTypeFilter": "TABLE"},
        "queryResultTypeFilter",
        WORDS + "[DOCUMENT, QUESTION_ANSWER, ANSWER]",
    ),
    "SortingConfiguration: no key": (
        {"SortingConfiguration": {"SortOrder": "ASC"}},
        "sortingConfiguration.documentAttributeKey",
        ABSENT,
    ),
    "SortingConfiguration: no order": (
        {"SortingConfiguration": {"DocumentAttributeKey": "Team"}},
        "sortingConfiguration.sortOrder",
        ABSENT,
    ),
    "SortOrder: another": (
        {"SortingConfiguration": sorting("UP")},
        "sortingConfiguration.sortOrder",
        WORDS + "[DESC, ASC]",
    ),
    "SortingConfigurations: 0": (
        {"SortingConfigurations": []},
        "sortingConfigurations",
        SHORT + "1",
    ),
    "SpellCorrectionConfiguration: empty": (
        {"SpellCorrectionConfiguration": {}},
        "spellCorrectionConfiguration.includeQuerySpellCheckSuggestions",
        ABSENT,
    ),
    "CollapseConfiguration: no key": (
        {"CollapseConfiguration": {"Expand": True}},
        "collapseConfiguration.documentAttributeKey",
        ABSENT,
    ),
    "CollapseConfiguration: SortingConfigurations: 0": (
        collapsing(SortingConfigurations=[]),
        "collapseConfiguration.sortingConfigurations",
        SHORT + "1",
    ),
    "MissingAttributeKeyStrategy: another": (
        collapsing(MissingAttributeKeyStrategy="DROP"),
        "collapseConfiguration.missingAttributeKeyStrategy",
        WORDS + "[IGNORE, COLLAPSE, EXPAND]",
    ),
    "MaxResultItemsToExpand: 0": (
        expanding("Lab", MaxResultItemsToExpand=0),
        "collapseConfiguration.expandConfiguration.maxResultItemsToExpand",
        LESS + "1",
    ),
    "MaxExpandedResultsPerItem: 0": (
        expanding("Lab", MaxExpandedResultsPerItem=0),
        "collapseConfiguration.expandConfiguration.maxExpandedResultsPerItem",
        LESS + "1",
    ),
    "VisitorId: 0": ({"VisitorId": ""}, "visitorId", SHORT + "1"),
    "VisitorId: 257": ({"VisitorId": "v" * 257}, "visitorId", LONG + "256"),
    "VisitorId: begins with _": ({"VisitorId": "_v"}, "visitorId", PATTERN),
}


def check_refused(reply: Wire, path: str, rule: str) -> None:
    assert (reply.status, reply.error) == (400, "ValidationException")
    assert f" at '{path}' failed to satisfy constraint: {rule}" in reply.message, reply.message


@pytest.mark.parametrize("operation", ["Query", "Retrieve"])
@pytest.mark.parametrize("row", BOTH_REFUSED)
def test_both_operations_refuse(kendra: Kendra, operation: str, row: str) -> None:
    members, path, rule = BOTH_REFUSED[row]
    check_refused(post(kendra, operation, **members), path, rule)


@pytest.mark.parametrize("row", QUERY_REFUSED)
def test_query_refuses(kendra: Kendra, row: str) -> None:
    members, path, rule = QUERY_REFUSED[row]
    check_refused(post(kendra, "Query", **members), path, rule)


def test_retrieve_needs_a_query_text(kendra: Kendra) -> None:
    check_refused(post(kendra, "Retrieve", QueryText=None), "queryText", ABSENT)


def test_retrieve_knows_no_member_that_query_alone_has(kendra: Kendra) -> None:
    plain = post(kendra, "Retrieve")
    more = post(kendra, "Retrieve", **facet(MaxResults=-1), VisitorId="")
    assert plain.status == more.status == 200
    contents = [[item["Content"] for item in each.members["ResultItems"]] for each in (plain, more)]
    assert contents[0] == contents[1]
