"""What is refused, by which error, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kendra.serving import PAPERS

ONE = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "x"}}}
UNKNOWN = "99999999-2222-4333-8444-555555555555"


def refused(client: Any, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**{"IndexId": PAPERS, "QueryText": "x", **members})
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize("operation", ["query", "retrieve"])
def test_a_filter_of_three_levels_is_refused_to_the_letter(client: Any, operation: str) -> None:
    two = {"AndAllFilters": [ONE, {"OrAllFilters": [ONE, ONE]}]}
    assert getattr(client, operation)(IndexId=PAPERS, QueryText="x", AttributeFilter=two)
    for three in (
        {"AndAllFilters": [ONE, {"OrAllFilters": [{"AndAllFilters": [ONE]}]}]},
        {"NotFilter": {"OrAllFilters": [{"NotFilter": ONE}]}},
        {"NotFilter": {"NotFilter": {"NotFilter": {"NotFilter": {"NotFilter": ONE}}}}},
    ):
        assert refused(client, operation, AttributeFilter=three) == (
            "ValidationException",
            "AttributeFilter cannot have a depth of more than 2.",
        )


@pytest.mark.parametrize("operation", ["query", "retrieve"])
@pytest.mark.parametrize("name", ["AndAllFilters", "OrAllFilters"])
def test_a_list_of_eleven_filters_is_refused_to_the_letter(
    client: Any, operation: str, name: str
) -> None:
    ten = {name: [ONE] * 10}
    assert getattr(client, operation)(IndexId=PAPERS, QueryText="x", AttributeFilter=ten)
    assert refused(client, operation, AttributeFilter={name: [ONE] * 11}) == (
        "ValidationException",
        "AttributeFilter cannot have a length of more than 10",
    )


def equals(key: str, value: dict[str, Any], operator: str = "EqualsTo") -> dict[str, Any]:
    return {"AttributeFilter": {operator: {"Key": key, "Value": value}}}


def sort(*keys: str) -> list[dict[str, str]]:
    return [{"DocumentAttributeKey": key, "SortOrder": "ASC"} for key in keys]


NESTED = {"DocumentAttributeKey": "_category", "Facets": [{"DocumentAttributeKey": "Lab"}]}

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("page 0", {"PageNumber": 0}),
    ("page -1", {"PageNumber": -1}),
    ("page size 0", {"PageSize": 0}),
    ("page size -5", {"PageSize": -5}),
    ("long text", {"QueryText": "x" * 1001}),
    ("filter on an unknown attribute", equals("nothing", {"StringValue": "x"})),
    ("filter on an ACL field", equals("_acl_user_allow", {"StringValue": "x"})),
    ("filter on an OpenSearch field", equals("meta.category", {"StringValue": "x"})),
    ("string for a long", equals("_view_count", {"StringValue": "x"})),
    ("list for a string", equals("_category", {"StringListValue": ["x"]})),
    ("two values", equals("_category", {"StringValue": "x", "LongValue": 1})),
    ("eleven values", equals("_authors", {"StringListValue": ["x"] * 11}, "ContainsAny")),
    ("ContainsAny on a string", equals("_category", {"StringListValue": ["x"]}, "ContainsAny")),
    ("ContainsAll on a long", equals("_view_count", {"LongValue": 1}, "ContainsAll")),
    ("GreaterThan on a string", equals("_category", {"StringValue": "x"}, "GreaterThan")),
    ("an Or without filters", {"AttributeFilter": {"OrAllFilters": []}}),
    ("an unknown requested attribute", {"RequestedDocumentAttributes": ["nothing"]}),
    ("no requested attribute", {"RequestedDocumentAttributes": []}),
    (
        "an unknown override",
        {"DocumentRelevanceOverrideConfigurations": [{"Name": "none", "Relevance": {}}]},
    ),
    (
        "an override for a list",
        {
            "DocumentRelevanceOverrideConfigurations": [
                {"Name": "_authors", "Relevance": {"Importance": 2}}
            ]
        },
    ),
    (
        "importance 11",
        {
            "DocumentRelevanceOverrideConfigurations": [
                {"Name": "_view_count", "Relevance": {"Importance": 11}}
            ]
        },
    ),
    ("an empty user", {"UserContext": {"UserId": ""}}),
    ("a group of no name", {"UserContext": {"Groups": [""]}}),
]

WRONG_QUERY: list[tuple[str, dict[str, Any]]] = [
    ("no text, filter or facets", {"QueryText": ""}),
    ("an unknown kind", {"QueryResultTypeFilter": "TABLE"}),
    ("an unknown facet", {"Facets": [{"DocumentAttributeKey": "nothing"}]}),
    ("a facet that is not facetable", {"Facets": [{"DocumentAttributeKey": "_language_code"}]}),
    ("5001 facet values", {"Facets": [{"DocumentAttributeKey": "Lab", "MaxResults": 5001}]}),
    ("-1 facet values", {"Facets": [{"DocumentAttributeKey": "Lab", "MaxResults": -1}]}),
    (
        "facets of three levels",
        {"Facets": [{"DocumentAttributeKey": "_authors", "Facets": [NESTED]}]},
    ),
    (
        "two nested facets",
        {
            "Facets": [
                {
                    "DocumentAttributeKey": "_authors",
                    "Facets": [
                        {"DocumentAttributeKey": "Lab"},
                        {"DocumentAttributeKey": "_category"},
                    ],
                }
            ]
        },
    ),
    ("sorting by an unknown attribute", {"SortingConfigurations": sort("nothing")}),
    ("sorting by what is not sortable", {"SortingConfigurations": sort("_language_code")}),
    ("sorting by a list", {"SortingConfigurations": sort("_authors")}),
    ("no sort key", {"SortingConfigurations": []}),
    (
        "four sort keys",
        {"SortingConfigurations": sort("Lab", "_category", "_view_count", "_created_at")},
    ),
    (
        "both forms of sorting",
        {"SortingConfiguration": sort("Lab")[0], "SortingConfigurations": sort("Lab")},
    ),
    ("an unknown sort order", {"SortingConfiguration": {**sort("Lab")[0], "SortOrder": "UP"}}),
    ("collapse on a date", {"CollapseConfiguration": {"DocumentAttributeKey": "_created_at"}}),
    ("collapse on a list", {"CollapseConfiguration": {"DocumentAttributeKey": "_authors"}}),
    ("collapse on no attribute", {"CollapseConfiguration": {"DocumentAttributeKey": "nothing"}}),
    (
        "collapse on what is not sortable",
        {"CollapseConfiguration": {"DocumentAttributeKey": "_language_code"}},
    ),
    (
        "expand none",
        {
            "CollapseConfiguration": {
                "DocumentAttributeKey": "Lab",
                "Expand": True,
                "ExpandConfiguration": {"MaxResultItemsToExpand": 0},
            }
        },
    ),
    (
        "expand -1 an item",
        {
            "CollapseConfiguration": {
                "DocumentAttributeKey": "Lab",
                "Expand": True,
                "ExpandConfiguration": {"MaxExpandedResultsPerItem": -1},
            }
        },
    ),
    ("spelling without its choice", {"SpellCorrectionConfiguration": {}}),
    ("a visitor with blanks", {"VisitorId": "a b"}),
]


@pytest.mark.parametrize("operation", ["query", "retrieve"])
@pytest.mark.parametrize(("what", "members"), WRONG, ids=[what for what, _ in WRONG])
def test_is_refused_by_both_operations(
    client: Any, operation: str, what: str, members: dict[str, Any]
) -> None:
    code, message = refused(client, operation, **members)
    assert code == "ValidationException", what
    assert message


@pytest.mark.parametrize(("what", "members"), WRONG_QUERY, ids=[what for what, _ in WRONG_QUERY])
def test_is_refused_by_query(client: Any, what: str, members: dict[str, Any]) -> None:
    code, message = refused(client, "query", **members)
    assert code == "ValidationException", what
    assert message


@pytest.mark.parametrize("text", ["", "  \t "])
def test_retrieve_needs_a_text(client: Any, text: str) -> None:
    assert refused(client, "retrieve", QueryText=text)[0] == "ValidationException"


@pytest.mark.parametrize("operation", ["query", "retrieve"])
def test_an_unknown_index_is_not_found(client: Any, operation: str) -> None:
    assert refused(client, operation, IndexId=UNKNOWN)[0] == "ResourceNotFoundException"
    assert refused(client, operation, IndexId="short")[0] == "ValidationException"


def test_feedback_knows_its_queries(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, QueryText="kettle")
    result = reply["ResultItems"][0]["Id"]
    given = [{"ResultId": result, "RelevanceValue": "RELEVANT"}]
    client.submit_feedback(IndexId=PAPERS, QueryId=reply["QueryId"], RelevanceFeedbackItems=given)
    with pytest.raises(ClientError) as empty:
        client.submit_feedback(IndexId=PAPERS, QueryId=reply["QueryId"])
    assert empty.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as unknown:
        client.submit_feedback(IndexId=PAPERS, QueryId="a" * 36, RelevanceFeedbackItems=given)
    assert unknown.value.response["Error"]["Code"] == "ResourceNotFoundException"
