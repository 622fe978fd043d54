"""Facets: the aggregations of the search, the results in the reply, and what is refused."""

from typing import Any

import pytest

from sidecar.kendra.asking.facets import read_facet_results, read_facets, write_aggregations
from tests.sidecar.kendra.example_index import make_index, refused

INDEX = make_index()


def facet(name: str, most: int | None = None, *nested: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {"DocumentAttributeKey": name}
    if most is not None:
        members["MaxResults"] = most
    return members | ({"Facets": list(nested)} if nested else {})


def write(*members: dict[str, Any], **settings: Any) -> dict[str, Any]:
    index = make_index(**settings)
    return write_aggregations(read_facets(members, index), index)


def count_buckets(aggregations: dict[str, Any]) -> int:
    """The maximum number of buckets that a shard collects."""
    return sum(
        each["terms"]["shard_size"] * (1 + count_buckets(each.get("aggs", {})))
        for each in aggregations.values()
        if "terms" in each
    )


def test_values_are_ordered_by_count_then_by_value() -> None:
    assert write(facet("Team")) == {
        "facet:Team": {
            "terms": {
                "field": "team",
                "size": 10,
                "shard_size": 25,
                "min_doc_count": 1,
                "order": [{"_count": "desc"}, {"_key": "asc"}],
            }
        }
    }


def test_a_nested_facet_is_a_sub_aggregation() -> None:
    (outer,) = write(facet("Team", 5, facet("Tags", 3))).values()
    assert outer["terms"]["size"] == 5
    assert outer["aggs"]["nested"]["terms"]["field"] == "tags"
    assert outer["aggs"]["nested"]["terms"]["size"] == 3


def test_facets_come_in_the_order_of_the_request_and_once() -> None:
    members = [facet("Tags", 1), facet("Team"), facet("Tags", 9)]
    facets = read_facets(members, INDEX)
    assert [(each.name, each.most) for each in facets] == [("Tags", 1), ("Team", 10)]
    results = read_facet_results(facets, {}, INDEX)
    assert [each["DocumentAttributeKey"] for each in results] == ["Tags", "Team"]


def test_without_facets_there_are_no_aggregations() -> None:
    assert read_facets(None, INDEX) == ()
    assert read_facet_results((), {}, INDEX) == []


def test_a_facet_of_no_values_has_a_result_without_pairs() -> None:
    facets = read_facets([facet("Team", 0)], INDEX)
    assert write_aggregations(facets, INDEX) == {}
    assert read_facet_results(facets, {}, INDEX) == [
        {
            "DocumentAttributeKey": "Team",
            "DocumentAttributeValueType": "STRING_VALUE",
            "DocumentAttributeValueCountPairs": [],
        }
    ]


@pytest.mark.parametrize(
    ("name", "kind", "key", "value"),
    [
        ("Team", "STRING_VALUE", "red", {"StringValue": "red"}),
        ("Tags", "STRING_LIST_VALUE", "new", {"StringValue": "new"}),
        ("_view_count", "LONG_VALUE", 7, {"LongValue": 7}),
        ("_created_at", "DATE_VALUE", 1_577_836_800_000, {"DateValue": 1_577_836_800}),
    ],
)
def test_values_have_the_member_of_their_type(
    name: str, kind: str, key: object, value: dict[str, object]
) -> None:
    facets = read_facets([facet(name)], INDEX)
    answer = {f"facet:{name}": {"buckets": [{"key": key, "doc_count": 3}]}}
    assert read_facet_results(facets, answer, INDEX) == [
        {
            "DocumentAttributeKey": name,
            "DocumentAttributeValueType": kind,
            "DocumentAttributeValueCountPairs": [{"DocumentAttributeValue": value, "Count": 3}],
        }
    ]


def test_nested_results_are_in_each_pair() -> None:
    facets = read_facets([facet("Team", 5, facet("Tags"))], INDEX)
    inner = {"buckets": [{"key": "new", "doc_count": 2}]}
    answer = {"facet:Team": {"buckets": [{"key": "red", "doc_count": 3, "nested": inner}]}}
    (result,) = read_facet_results(facets, answer, INDEX)
    (pair,) = result["DocumentAttributeValueCountPairs"]
    (nested,) = pair["FacetResults"]
    assert nested["DocumentAttributeKey"] == "Tags"
    assert [each["Count"] for each in nested["DocumentAttributeValueCountPairs"]] == [2]


def test_an_index_of_passages_counts_documents() -> None:
    fields = {"body": "body", "document_id": "parent", "shared_id": True}
    index = make_index(fields=fields)
    facets = read_facets([facet("Team")], index)
    (terms,) = write_aggregations(facets, index).values()
    assert terms["aggs"] == {"documents": {"cardinality": {"field": "parent"}}}
    assert terms["terms"]["order"][0] == {"documents": "desc"}
    answer = {
        "facet:Team": {"buckets": [{"key": "red", "doc_count": 9, "documents": {"value": 2}}]}
    }
    (result,) = read_facet_results(facets, answer, index)
    assert result["DocumentAttributeValueCountPairs"][0]["Count"] == 2


@pytest.mark.parametrize(
    "members",
    [
        [facet("Team", 5000, facet("Tags", 5000))],
        [facet("Team", 5000, facet("Tags", 5000)), facet("_category", 5000, facet("Tags", 100))],
        [facet(name, 5000) for name in ("Team", "Tags", "_category", "_view_count")],
        [facet("Team", 10, facet("Tags", 10))],
    ],
    ids=["largest", "two", "flat", "small"],
)
@pytest.mark.parametrize("most", [65_535, 1000])
def test_all_buckets_together_stay_within_opensearchs_limit(
    members: list[dict[str, Any]], most: int
) -> None:
    assert count_buckets(write(*members, max_buckets=most)) <= most


def test_small_facets_are_not_lowered() -> None:
    (outer,) = write(facet("Team", 100, facet("Tags", 100))).values()
    assert (outer["terms"]["size"], outer["aggs"]["nested"]["terms"]["size"]) == (100, 100)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (facet("Author"), "Facets names the attribute Author, which is not facetable."),
        (facet("_acl_x"), "Facets names the attribute _acl_x, which the index does not have."),
        (
            facet("Team", 1, facet("Author")),
            "Facets names the attribute Author, which is not facetable.",
        ),
        (
            facet("Team", 1, facet("Tags"), facet("_category")),
            "The facet Team has 2 facets within it; 1 is allowed.",
        ),
        (
            facet("Team", 1, facet("Tags", 1, facet("_category"))),
            "Facets cannot be nested more than one level deep.",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_counted_is_refused(members: dict[str, Any], message: str) -> None:
    with refused(message):
        read_facets([members], INDEX)


def test_dates_of_one_second_are_one_value() -> None:
    facets = read_facets([facet("_created_at", 2, facet("Team", 2))], INDEX)

    def bucket(key: int, **teams: int) -> dict[str, Any]:
        inner = [{"key": name, "doc_count": count} for name, count in teams.items()]
        return {"key": key, "doc_count": sum(teams.values()), "nested": {"buckets": inner}}

    buckets = [bucket(9_000, red=3), bucket(5_001, red=2), bucket(5_999, blue=1, red=1)]
    (result,) = read_facet_results(facets, {"facet:_created_at": {"buckets": buckets}}, INDEX)
    five, nine = result["DocumentAttributeValueCountPairs"]
    assert (five["DocumentAttributeValue"], five["Count"]) == ({"DateValue": 5}, 4)
    assert (nine["DocumentAttributeValue"], nine["Count"]) == ({"DateValue": 9}, 3)
    assert [
        (pair["DocumentAttributeValue"]["StringValue"], pair["Count"])
        for pair in five["FacetResults"][0]["DocumentAttributeValueCountPairs"]
    ] == [("red", 3), ("blue", 1)]


def test_passages_of_one_second_are_counted_by_document() -> None:
    fields = {"body": "body", "document_id": "parent", "shared_id": True}
    index = make_index(fields=fields)
    buckets = [{"key": key, "doc_count": 9, "documents": {"value": 2}} for key in (5_001, 5_002)]
    facets = read_facets([facet("_created_at")], index)
    (result,) = read_facet_results(facets, {"facet:_created_at": {"buckets": buckets}}, index)
    assert [pair["Count"] for pair in result["DocumentAttributeValueCountPairs"]] == [4]


def test_an_empty_string_counts_as_a_missing_value() -> None:
    facets = read_facets([facet("Team")], INDEX)
    buckets = [{"key": "", "doc_count": 5}, {"key": "red", "doc_count": 3}]
    (result,) = read_facet_results(facets, {"facet:Team": {"buckets": buckets}}, INDEX)
    assert [pair["Count"] for pair in result["DocumentAttributeValueCountPairs"]] == [3]
