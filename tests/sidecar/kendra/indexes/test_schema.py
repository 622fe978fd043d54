"""An index's schema: attributes by name, and their values in hits."""

import pytest

from sidecar.kendra.indexes.schema import (
    ask_for_values,
    find_attribute,
    find_sortable,
    read_values,
    write_value,
    write_value_fields,
)
from tests.sidecar.kendra.example_index import make_index, refused

INDEX = make_index()


def test_an_unknown_attribute_is_refused_with_the_member_that_names_it() -> None:
    assert find_attribute(INDEX, "Team", "Facets") is INDEX.attributes["Team"]
    with refused("Facets names the attribute team, which the index does not have."):
        find_attribute(INDEX, "team", "Facets")


def test_sortable_is_what_is_marked_or_built_in() -> None:
    assert find_sortable(INDEX, "Team", "Sort").sortable
    assert not find_sortable(INDEX, "_category", "Sort").sortable
    with refused("Sort names the attribute Secret, which is not sortable."):
        find_sortable(INDEX, "Secret", "Sort")


def test_values_are_fetched_once_and_dates_in_milliseconds() -> None:
    assert ask_for_values(INDEX, ["Team", "_created_at", "Team"]) == [
        {"field": "team"},
        {"field": "created", "format": "epoch_millis"},
    ]


def test_doc_values_stay_within_opensearchs_limit() -> None:
    fields = [{"field": str(number)} for number in range(150)]
    assert write_value_fields(fields[:100], INDEX) == {"docvalue_fields": fields[:100]}
    assert write_value_fields(fields, INDEX) == {
        "docvalue_fields": fields[:100],
        "fields": fields[100:],
    }
    # The values of a list are read from the document, in its order.
    tags = {"field": "tags"}
    assert write_value_fields([fields[0], tags, *fields[1:]], INDEX) == {
        "docvalue_fields": fields[:100],
        "fields": [tags, *fields[100:]],
    }


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("Team", {"team": ["red"]}, ["red"]),
        ("Tags", {"tags": ["a", "b"]}, ["a", "b"]),
        ("_view_count", {"views": [5]}, [5]),
        ("_created_at", {"created": ["1577836800000"]}, [1_577_836_800_000]),
        ("Team", {"views": [5]}, []),
        ("Team", {"team": [""]}, []),
        # The doc values of a `date_nanos`, and values that are read from the document.
        ("_created_at", {"created": ["1577836800123.456789"]}, [1_577_836_800_123]),
        ("Tags", {"tags": ["b", "a", "", "b"]}, ["b", "a", "b"]),
        ("_view_count", {"views": [5, 3]}, [3, 5]),
    ],
)
def test_values_are_read_by_their_type(
    name: str, fields: dict[str, list[object]], expected: list[object]
) -> None:
    assert read_values(INDEX, name, fields) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Team", "red", {"StringValue": "red"}),
        ("Tags", "new", {"StringValue": "new"}),
        ("_view_count", -5, {"LongValue": -5}),
        ("_created_at", 1_577_836_800_999, {"DateValue": 1_577_836_800}),
        ("_created_at", -1, {"DateValue": -1}),
    ],
)
def test_values_are_written_as_kendra_does(
    name: str, value: str | int, expected: dict[str, object]
) -> None:
    assert write_value(INDEX.attributes[name], value) == expected
