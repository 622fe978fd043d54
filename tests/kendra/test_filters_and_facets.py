"""Filters and facets with boto3: what passes and what is counted, against the rule in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.kendra.collection import Paper, papers
from tests.kendra.replies import ALL, all_ids, condition, counts, everything, facet, string
from tests.kendra.serving import PAPERS, UTF_16

EARLY = datetime(2020, 6, 1, tzinfo=UTC)
Rule = Callable[[Paper], bool]
FILTERS: Sequence[tuple[dict[str, Any], Rule]] = [
    (condition("EqualsTo", "_category", string("oncology")), lambda p: p.category == "oncology"),
    (condition("EqualsTo", "_category", string("Oncology")), lambda p: False),
    (condition("EqualsTo", "_view_count", {"LongValue": 37}), lambda p: p.views == 37),
    (
        condition("EqualsTo", "_created_at", {"DateValue": datetime(2022, 5, 1, tzinfo=UTC)}),
        lambda p: p.created == datetime(2022, 5, 1, tzinfo=UTC),
    ),
    (condition("EqualsTo", "Lab", {}), lambda p: p.lab is None),
    (condition("EqualsTo", "_created_at", {}), lambda p: p.created is None),
    (
        condition("EqualsTo", "_authors", {"StringListValue": ["Bea", "Ada"]}),
        lambda p: set(p.authors) == {"Ada", "Bea"},
    ),
    (
        condition("ContainsAll", "_authors", {"StringListValue": ["Ada", "Bea"]}),
        lambda p: {"Ada", "Bea"} <= set(p.authors),
    ),
    (
        condition("ContainsAny", "_authors", {"StringListValue": ["Ada", "Zoe", "nobody"]}),
        lambda p: bool({"Ada", "Zoe"} & set(p.authors)),
    ),
    (
        condition("GreaterThan", "_view_count", {"LongValue": 100}),
        lambda p: p.views is not None and p.views > 100,
    ),
    (
        condition("GreaterThanOrEquals", "_view_count", {"LongValue": 40}),
        lambda p: p.views is not None and p.views >= 40,
    ),
    (
        condition("LessThan", "_view_count", {"LongValue": 40}),
        lambda p: p.views is not None and p.views < 40,
    ),
    (
        condition("LessThanOrEquals", "_view_count", {"LongValue": 40}),
        lambda p: p.views is not None and p.views <= 40,
    ),
    (
        condition("GreaterThan", "_created_at", {"DateValue": EARLY}),
        lambda p: p.created is not None and p.created > EARLY,
    ),
    (
        condition("LessThanOrEquals", "_created_at", {"DateValue": EARLY}),
        lambda p: p.created is not None and p.created <= EARLY,
    ),
    (
        {"NotFilter": condition("EqualsTo", "Lab", string("Curie"))},
        lambda p: p.lab != "Curie",
    ),
    (
        {
            "AndAllFilters": [
                condition("EqualsTo", "_category", string("genetics")),
                {
                    "OrAllFilters": [
                        condition("ContainsAny", "_authors", {"StringListValue": ["Ada"]}),
                        condition("GreaterThan", "_view_count", {"LongValue": 400}),
                    ]
                },
            ]
        },
        lambda p: p.category == "genetics" and ("Ada" in p.authors or (p.views or 0) > 400),
    ),
    (
        {
            **condition("EqualsTo", "_category", string("genetics")),
            **condition("GreaterThan", "_view_count", {"LongValue": 400}),
        },
        lambda p: p.category == "genetics" and (p.views or 0) > 400,
    ),
    ({"AndAllFilters": []}, lambda p: True),
    (
        {
            "OrAllFilters": [
                condition("EqualsTo", "_view_count", {"LongValue": number * 37})
                for number in range(10)
            ]
        },
        lambda p: p.views in {number * 37 for number in range(10)},
    ),
]


@pytest.mark.parametrize(("filter_", "rule"), FILTERS, ids=[str(f)[:60] for f, _ in FILTERS])
def test_a_filter_leaves_what_its_rule_says(
    client: Any, filter_: dict[str, Any], rule: Rule
) -> None:
    pages = everything(
        client,
        UTF_16,
        AttributeFilter=filter_,
        Facets=[{"DocumentAttributeKey": "_category", "MaxResults": 100}],
    )
    expected = {paper.id for paper in papers() if rule(paper)}
    assert pages[0]["TotalNumberOfResults"] == len(expected)
    assert sum(facet(pages[0], "_category").values()) == len(expected)
    found = set(all_ids(pages))
    assert found <= expected
    assert len(found) == min(100, len(expected))


def test_facets_count_the_whole_match_set_in_request_order(client: Any) -> None:
    reply = client.query(
        IndexId=PAPERS,
        AttributeFilter=ALL,
        PageSize=1,
        Facets=[
            {"DocumentAttributeKey": "Lab", "MaxResults": 3},
            {"DocumentAttributeKey": "_authors", "MaxResults": 100},
            {"DocumentAttributeKey": "_view_count"},
            {"DocumentAttributeKey": "Lab", "MaxResults": 1},
            {"DocumentAttributeKey": "_created_at", "MaxResults": 0},
        ],
    )
    shown = reply["FacetResults"]
    assert [each["DocumentAttributeKey"] for each in shown] == [
        *("Lab", "_authors", "_view_count", "_created_at")
    ]
    assert [each["DocumentAttributeValueType"] for each in shown] == [
        *("STRING_VALUE", "STRING_LIST_VALUE", "LONG_VALUE", "DATE_VALUE")
    ]
    labs: dict[str, int] = {}
    authors: dict[str, int] = {}
    for paper in papers():
        if paper.lab:
            labs[paper.lab] = labs.get(paper.lab, 0) + 1
        for name in paper.authors:
            authors[name] = authors.get(name, 0) + 1
    best = sorted(labs.items(), key=lambda pair: (-pair[1], pair[0]))
    assert list(counts(shown[0]).items()) == best[:3]
    assert counts(shown[1]) == authors
    assert len(shown[2]["DocumentAttributeValueCountPairs"]) == 10
    assert shown[3]["DocumentAttributeValueCountPairs"] == []


def test_a_date_facet_has_dates(client: Any) -> None:
    tea = condition("EqualsTo", "Lab", string("Tea"))
    reply = client.query(
        IndexId=PAPERS, AttributeFilter=tea, Facets=[{"DocumentAttributeKey": "_created_at"}]
    )
    assert facet(reply, "_created_at") == {
        datetime(2022, 5, 1, tzinfo=UTC): 1,
        datetime(2023, 5, 1, 12, 30, 10, tzinfo=UTC): 1,
    }


def test_a_nested_facet_counts_within_its_parent(client: Any) -> None:
    reply = client.query(
        IndexId=PAPERS,
        AttributeFilter=ALL,
        Facets=[{"DocumentAttributeKey": "_category", "Facets": [{"DocumentAttributeKey": "Lab"}]}],
    )
    [outer] = reply["FacetResults"]
    for pair in outer["DocumentAttributeValueCountPairs"]:
        category = pair["DocumentAttributeValue"]["StringValue"]
        expected: dict[str, int] = {}
        for paper in papers():
            if paper.category == category and paper.lab:
                expected[paper.lab] = expected.get(paper.lab, 0) + 1
        inner = pair.get("FacetResults", [])
        assert {k: v for each in inner for k, v in counts(each).items()} == expected


def test_facets_ignore_kind_paging_and_collapse(client: Any) -> None:
    members = {"QueryText": "kettle", "Facets": [{"DocumentAttributeKey": "_category"}]}
    plain = facet(client.query(IndexId=PAPERS, **members), "_category")
    assert plain == {"household": 4, "music": 1, "mallorys": 1, "embargoed": 1}
    for more in (
        {"QueryResultTypeFilter": "QUESTION_ANSWER"},
        {"QueryResultTypeFilter": "ANSWER"},
        {"PageNumber": 9},
        {"CollapseConfiguration": {"DocumentAttributeKey": "Lab"}},
    ):
        assert facet(client.query(IndexId=PAPERS, **members, **more), "_category") == plain
