"""Sort keys: which are allowed, the sort of the search, and how the model breaks ties."""

from typing import Any

import pytest

from sidecar.config.kendra_attributes import RESERVED_TYPES
from sidecar.kendra.asking.sorting import SortKey, break_ties, read_sorting, write_sort
from tests.sidecar.kendra.example_index import make_index, refused

INDEX = make_index()


def by(name: str, order: str = "ASC") -> dict[str, str]:
    return {"DocumentAttributeKey": name, "SortOrder": order}


@pytest.mark.parametrize(
    "members",
    [
        {"SortingConfiguration": by("Team", "DESC")},
        {"SortingConfigurations": [by("Team", "DESC")]},
    ],
    ids=["one", "list"],
)
def test_one_key_in_either_member(members: dict[str, Any]) -> None:
    assert read_sorting(members, INDEX) == (SortKey("Team", descending=True),)


def test_without_keys_the_order_is_by_relevance() -> None:
    assert read_sorting({}, INDEX) == ()
    assert write_sort((), INDEX) == {}


def test_three_keys_are_allowed_and_four_are_not() -> None:
    keys = [by("Team"), by("_created_at", "DESC"), by("_view_count")]
    assert [key.name for key in read_sorting({"SortingConfigurations": keys}, INDEX)] == [
        "Team",
        "_created_at",
        "_view_count",
    ]
    with refused("SortingConfigurations cannot have a length of more than 3"):
        read_sorting({"SortingConfigurations": [*keys, by("_category")]}, INDEX)


def test_both_members_are_refused() -> None:
    with refused("SortingConfiguration and SortingConfigurations cannot be used together."):
        read_sorting(
            {"SortingConfiguration": by("Team"), "SortingConfigurations": [by("Team")]}, INDEX
        )


@pytest.mark.parametrize(
    "name", ["_category", "_created_at", "_last_updated_at", "_version", "_view_count"]
)
def test_built_in_attributes_are_always_sortable(name: str) -> None:
    index = make_index({name: {"type": RESERVED_TYPES[name]}})
    assert not index.attributes[name].sortable
    assert read_sorting({"SortingConfiguration": by(name)}, index)[0].name == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Author", ", which is not sortable."),
        ("Tags", ", a STRING_LIST, which has no order."),
        ("_version", ", which the index does not have."),
        ("_acl_user_allow", ", which the index does not have."),
    ],
)
def test_what_cannot_be_sorted_by_is_refused(name: str, why: str) -> None:
    with refused(f"SortingConfiguration names the attribute {name}{why}"):
        read_sorting({"SortingConfiguration": by(name)}, INDEX)


def test_missing_values_are_last_in_both_directions_and_ties_by_relevance() -> None:
    keys = (SortKey("_created_at", descending=True), SortKey("Team", descending=False))
    assert write_sort(keys, INDEX) == {
        "sort": [
            {"created": {"order": "desc", "missing": "_last", "unmapped_type": "date"}},
            {"team": {"order": "asc", "missing": "_last", "unmapped_type": "keyword"}},
            "_score",
        ],
        "track_scores": True,
    }


def test_the_model_orders_what_the_keys_leave_equal() -> None:
    hits = [("a", [1, "x", 9.0], 4), ("b", [1, "x", 8.0], 2), ("c", [2, "x", 7.0], 3)]
    hits += [("d", [None, None, 6.0], 1), ("e", [None, None, 5.0], 0)]
    keys = (SortKey("_view_count", descending=False), SortKey("Team", descending=False))
    ordered = break_ties(hits, keys, lambda hit: hit[1], lambda hit: hit[2])
    assert [hit[0] for hit in ordered] == ["b", "a", "c", "e", "d"]
