"""Sorting, facets, collapsing and tuning of the Kendra API on real nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar.config.kendra import KendraIndex
from sidecar.kendra.asking.collapse import (
    collapse_results,
    count_groups_by,
    read_collapse,
    read_group_count,
)
from sidecar.kendra.asking.facets import read_facet_results, read_facets, write_aggregations
from sidecar.kendra.asking.sorting import read_sorting, write_sort
from sidecar.kendra.asking.tuning import rate, read_tuning, write_lifts
from sidecar.kendra.indexes.schema import ask_for_values, read_values, write_value_fields
from tests.kendra.rows import DAY, FIRST, INDEX, ROWS, Row, loaded, search
from tests.nodes.node import Node


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node with the documents."""
    with loaded(request.getfixturevalue(request.param)) as found:
        yield found


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("name", "field"), [("Team", "team"), ("_view_count", "views"), ("_created_at", "created")]
)
def test_sorting_has_missing_values_last(node: Node, name: str, field: str, order: str) -> None:
    configuration = {"DocumentAttributeKey": name, "SortOrder": order}
    keys = read_sorting({"SortingConfiguration": configuration}, INDEX)
    answer = search(node, {"query": {"match": {"body": "copper"}}, **write_sort(keys, INDEX)})
    hits = answer["hits"]["hits"]
    values = [ROWS[hit["_id"]].get(field) for hit in hits]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=order == "DESC") + [None] * (40 - len(known))
    # All hits without a value carry the same sort value, which is how ties are found.
    assert len({json.dumps(hit["sort"][0]) for hit in hits[len(known) :]}) == 1
    assert all(isinstance(hit["_score"], float) for hit in hits)


def test_a_sort_field_that_an_index_lacks_is_missing(node: Node) -> None:
    lacking = INDEX.model_copy(
        update={"attributes": {"Other": INDEX.attributes["Team"].model_copy(update={"field": "o"})}}
    )
    keys = read_sorting(
        {"SortingConfiguration": {"DocumentAttributeKey": "Other", "SortOrder": "ASC"}}, lacking
    )
    assert len(search(node, write_sort(keys, lacking))["hits"]["hits"]) == 40


def test_facets_count_the_match_set_with_nested_values(node: Node) -> None:
    asked = [
        {
            "DocumentAttributeKey": "Team",
            "MaxResults": 2,
            "Facets": [{"DocumentAttributeKey": "Tags"}],
        },
        {"DocumentAttributeKey": "_view_count", "MaxResults": 5000},
        {"DocumentAttributeKey": "_last_updated_at", "MaxResults": 1},
    ]
    facets = read_facets(asked, INDEX)
    answer = search(node, {"aggs": write_aggregations(facets, INDEX)})
    team, views, changed = read_facet_results(facets, answer["aggregations"], INDEX)
    teams = Counter(row["team"] for row in ROWS.values() if "team" in row)
    expected = sorted(teams.items(), key=lambda pair: (-pair[1], pair[0]))[:2]
    assert counts(team) == expected
    for pair in team["DocumentAttributeValueCountPairs"]:
        value = pair["DocumentAttributeValue"]["StringValue"]
        tags = Counter(
            tag for row in ROWS.values() if row.get("team") == value for tag in set(row["tags"])
        )
        (nested,) = pair["FacetResults"]
        assert dict(counts(nested)) == tags
    assert counts(views) == [(number - 10, 1) for number in range(40) if number % 4]
    assert [value for value, _ in counts(changed)] == [FIRST]


def counts(result: Mapping[str, Any]) -> list[tuple[Any, int]]:
    return [
        (*pair["DocumentAttributeValue"].values(), pair["Count"])
        for pair in result["DocumentAttributeValueCountPairs"]
    ]


def test_the_largest_nested_facet_is_no_error(node: Node) -> None:
    nested = {"DocumentAttributeKey": "Tags", "MaxResults": 5000}
    asked = [{"DocumentAttributeKey": "Team", "MaxResults": 5000, "Facets": [nested]}]
    facets = read_facets(asked, INDEX)
    assert search(node, {"aggs": write_aggregations(facets, INDEX)})["aggregations"]


@pytest.mark.parametrize("strategy", ["COLLAPSE", "IGNORE", "EXPAND"])
def test_groups_are_counted_as_they_are_collapsed(node: Node, strategy: str) -> None:
    sorting = {"DocumentAttributeKey": "_created_at", "SortOrder": "DESC"}
    how = read_collapse(
        {
            "DocumentAttributeKey": "Team",
            "MissingAttributeKeyStrategy": strategy,
            "SortingConfigurations": [sorting],
        },
        INDEX,
    )
    assert how
    answer = search(
        node,
        {"docvalue_fields": ask_for_values(INDEX, how.names), "aggs": count_groups_by(how, INDEX)},
    )
    groups = collapse_results(answer["hits"]["hits"], how, INDEX, lambda hit: hit.get("fields", {}))
    assert read_group_count(how, answer["aggregations"]) == len(groups)
    newest: dict[str, str] = {}
    for key, row in sorted(ROWS.items(), key=lambda pair: pair[1].get("created", 0)):
        if "team" in row:
            newest[row["team"]] = key
    assert set(newest.values()) <= {group.primary["_id"] for group in groups}


def test_values_come_as_they_are_indexed(node: Node) -> None:
    names = ["_created_at", "_last_updated_at", "_view_count", "Team", "Tags"]
    answer = search(
        node,
        {
            "query": {"ids": {"values": ["07"]}},
            **write_value_fields(ask_for_values(INDEX, names), INDEX),
        },
    )
    (hit,) = answer["hits"]["hits"]
    row = ROWS["07"]
    assert [read_values(INDEX, name, hit["fields"]) for name in names] == [
        [row["created"] * 1000],
        [(FIRST + 7 * DAY) * 1000 + 7],
        [row["views"]],
        [row["team"]],
        ["hot", "new", "hot"],
    ]


@pytest.mark.parametrize(
    ("name", "relevance", "best"),
    [
        ("Team", {"value_importance_map": {"Blue": 10}}, lambda row: row.get("team") == "Blue"),
        (
            "_view_count",
            {"importance": 10, "rank_order": "ASCENDING"},
            lambda row: row.get("views") == 29,
        ),
        (
            "_view_count",
            {"importance": 10, "rank_order": "DESCENDING"},
            lambda row: row.get("views", 1) < 1,
        ),
        (
            "_created_at",
            {"importance": 10, "rank_order": "ASCENDING"},
            lambda row: row.get("created") == FIRST + 39 * DAY,
        ),
        (
            "_created_at",
            {"importance": 10, "rank_order": "DESCENDING"},
            lambda row: row.get("created") == FIRST + DAY,
        ),
        (
            "_last_updated_at",
            {"importance": 3, "freshness": True, "duration": "200000000s"},
            lambda row: row.get("changed", "").startswith("2020-01-28"),
        ),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_tuning_lifts_and_never_adds(
    node: Node, name: str, relevance: dict[str, Any], best: Callable[[Row], bool]
) -> None:
    raw = INDEX.model_dump(exclude_unset=True)
    raw["attributes"][name]["relevance"] = relevance
    index = KendraIndex.model_validate(raw)
    tuning = read_tuning(None, index)
    plain: dict[str, Any] = {"constant_score": {"filter": {"match_all": {}}}}
    answer = search(
        node,
        {
            "query": write_lifts(plain, tuning, index),
            "docvalue_fields": ask_for_values(index, tuning.names),
        },
    )
    hits = answer["hits"]["hits"]
    assert len(hits) == 40
    assert best(ROWS[hits[0]["_id"]])
    # A document without the value has the score that it had, and none has less.
    assert min(hit["_score"] for hit in hits) == pytest.approx(10)
    ratings = rate(
        tuning, index, [hit.get("fields", {}) for hit in hits], datetime.now(UTC).timestamp()
    )
    assert ratings is not None
    # What OpenSearch lifts most is where the rating behind the model is highest.
    foremost = ratings.index(max(ratings))
    assert hits[foremost]["_score"] == pytest.approx(hits[0]["_score"])
