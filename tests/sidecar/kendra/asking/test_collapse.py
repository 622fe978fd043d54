"""Collapsing results after the model: primary results, missing keys, expansion, counts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.asking.collapse import (
    Collapse,
    Collapsed,
    collapse_results,
    count_groups_by,
    read_collapse,
    read_group_count,
)
from tests.sidecar.kendra.example_index import make_index, refused

INDEX = make_index()
Hit = tuple[str, Mapping[str, Sequence[Any]]]
# In the order of relevance: name, team, views.
ROWS: list[tuple[str, str | None, int | None]] = [
    ("a", "red", 5),
    ("b", "blue", 1),
    ("c", None, 9),
    ("d", "red", 7),
    ("e", "red", None),
    ("f", None, 2),
    ("g", "blue", 1),
]


def hits() -> list[Hit]:
    return [
        (name, ({"team": [team]} if team else {}) | ({"views": [views]} if views else {}))
        for name, team, views in ROWS
    ]


def read(**members: Any) -> Collapse:
    settings = read_collapse({"DocumentAttributeKey": "Team", **members}, INDEX)
    assert settings is not None
    return settings


def run(settings: Collapse) -> list[Collapsed[Hit]]:
    return collapse_results(hits(), settings, INDEX, lambda hit: hit[1])


def primaries(groups: list[Collapsed[Hit]]) -> str:
    return "".join(group.primary[0] for group in groups)


def by(name: str, order: str) -> dict[str, str]:
    return {"DocumentAttributeKey": name, "SortOrder": order}


def test_the_most_relevant_result_is_the_primary_one_of_its_group() -> None:
    groups = run(read())
    assert primaries(groups) == "abc"
    assert [group.expanded for group in groups] == [(), (), ()]


@pytest.mark.parametrize(
    ("strategy", "expected"), [("COLLAPSE", "abc"), ("IGNORE", "ab"), ("EXPAND", "abcf")]
)
def test_each_strategy_for_missing_keys(strategy: str, expected: str) -> None:
    assert primaries(run(read(MissingAttributeKeyStrategy=strategy))) == expected


def test_the_details_name_the_group() -> None:
    red, _, keyless = run(read())
    assert red.detail == {"Key": "Team", "Value": {"StringValue": "red"}}
    assert keyless.detail == {"Key": "Team", "Value": {}}
    alone = run(read(MissingAttributeKeyStrategy="EXPAND"))[2]
    assert alone.detail is None


@pytest.mark.parametrize(
    ("sorting", "expected"),
    [
        ([by("_view_count", "DESC")], "bcd"),
        ([by("_view_count", "ASC")], "abf"),
        ([by("_category", "ASC"), by("_view_count", "DESC")], "bcd"),
    ],
    ids=str,
)
def test_the_collapses_own_keys_choose_the_primary_and_missing_is_last(
    sorting: list[dict[str, str]], expected: str
) -> None:
    # A group takes the place of its primary result; equal keys keep the order of relevance.
    assert primaries(run(read(SortingConfigurations=sorting))) == expected


def test_expansion_has_its_defaults_and_leaves_the_primary_out() -> None:
    settings = read(Expand=True)
    assert (settings.items, settings.expanded) == (10, 3)
    assert [[hit[0] for hit in group.expanded] for group in run(settings)] == [
        ["d", "e"],
        ["g"],
        ["f"],
    ]


def test_expansion_is_limited_in_groups_and_in_results() -> None:
    limits = {"MaxResultItemsToExpand": 2, "MaxExpandedResultsPerItem": 1}
    groups = run(read(Expand=True, ExpandConfiguration=limits))
    assert [[hit[0] for hit in group.expanded] for group in groups] == [["d"], ["g"], []]


def test_without_expand_nothing_is_expanded() -> None:
    assert read(ExpandConfiguration={"MaxResultItemsToExpand": 5}).items == 0


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("member", ["MaxResultItemsToExpand", "MaxExpandedResultsPerItem"])
def test_limits_below_one_are_refused(member: str, number: int) -> None:
    path = f"collapseConfiguration.expandConfiguration.{member[0].lower()}{member[1:]}"
    with refused(
        f"1 validation error detected: Value '{number}' at '{path}' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    ):
        read(Expand=True, ExpandConfiguration={member: number})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("_created_at", ", a DATE; results collapse on text and numbers."),
        ("Tags", ", a STRING_LIST, which has no order."),
        ("Author", ", which is not sortable."),
        ("Unknown", ", which the index does not have."),
    ],
)
def test_what_cannot_be_collapsed_on_is_refused(name: str, why: str) -> None:
    with refused(f"CollapseConfiguration names the attribute {name}{why}"):
        read_collapse({"DocumentAttributeKey": name}, INDEX)


def test_more_than_three_keys_are_refused() -> None:
    keys = [by("Team", "ASC")] * 4
    with refused("CollapseConfiguration.SortingConfigurations cannot have a length of more than 3"):
        read(SortingConfigurations=keys)


def test_without_a_configuration_nothing_collapses() -> None:
    assert read_collapse(None, INDEX) is None


@pytest.mark.parametrize(("strategy", "expected"), [("COLLAPSE", 5), ("IGNORE", 4), ("EXPAND", 11)])
def test_groups_of_the_whole_match_set_are_counted(strategy: str, expected: int) -> None:
    settings = read(MissingAttributeKeyStrategy=strategy)
    aggregations = count_groups_by(settings, INDEX)
    assert aggregations["collapse:values"]["cardinality"]["field"] == "team"
    answer = {"collapse:values": {"value": 4}, "collapse:keyless": {"doc_count": 7}}
    assert read_group_count(settings, {name: answer[name] for name in aggregations}) == expected


def test_passages_without_a_key_are_counted_by_document() -> None:
    index = make_index(fields={"body": "body", "document_id": "parent", "shared_id": True})
    settings = Collapse("Team", missing="EXPAND")
    counted = count_groups_by(settings, index)["collapse:keyless"]["aggs"]["documents"]
    assert counted["cardinality"]["field"] == "parent"
    answer = {
        "collapse:values": {"value": 4},
        "collapse:keyless": {"doc_count": 7, "documents": {"value": 2}},
    }
    assert read_group_count(settings, answer) == 6


@given(st.lists(st.sampled_from(["red", "blue", None]), max_size=20))
def test_each_result_is_in_one_group_and_groups_keep_the_order(teams: list[str | None]) -> None:
    items: list[Hit] = [
        (str(place), {"team": [team]} if team else {}) for place, team in enumerate(teams)
    ]
    settings = Collapse("Team", items=100, expanded=100)
    groups = collapse_results(items, settings, INDEX, lambda hit: hit[1])
    shown = [int(hit[0]) for group in groups for hit in (group.primary, *group.expanded)]
    assert sorted(shown) == list(range(len(teams)))
    assert [group.primary for group in groups] == sorted(
        (group.primary for group in groups), key=lambda hit: int(hit[0])
    )
