"""Filters and queries of the Kendra API on real nodes: each finds what a plain reading finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sidecar.kendra.asking.attribute_filter import read_filter
from sidecar.kendra.asking.tuning import read_tuning
from sidecar.kendra.query_text.query_syntax import parse_query
from sidecar.kendra.query_text.text_query import write_text_query
from tests.kendra.rows import DAY, FIRST, INDEX, LONG_TAG, ROWS, Row, loaded, search
from tests.nodes.node import Node


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node with the documents."""
    with loaded(request.getfixturevalue(request.param)) as found:
        yield found


def find(node: Node, query: object) -> set[str]:
    answer = search(node, {"query": {"bool": {"filter": [query] if query else []}}})
    return {hit["_id"] for hit in answer["hits"]["hits"]}


def rows(fits: Callable[[Row], bool]) -> set[str]:
    return {key for key, row in ROWS.items() if fits(row)}


def compare(operator: str, name: str, **value: Any) -> dict[str, Any]:
    return {operator: {"Key": name, "Value": value}}


RED = compare("EqualsTo", "Team", StringValue="red")


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (RED, lambda row: row.get("team") == "red"),
        (compare("EqualsTo", "Team", StringValue="blue"), lambda row: False),
        (
            compare("EqualsTo", "Team", StringValue="\U0001f600"),
            lambda row: row.get("team") == "\U0001f600",
        ),
        (compare("EqualsTo", "Team"), lambda row: "team" not in row),
        (compare("EqualsTo", "_view_count", LongValue=-5), lambda row: row.get("views") == -5),
        (
            compare("EqualsTo", "_created_at", DateValue=FIRST + DAY),
            lambda row: row.get("created") == FIRST + DAY,
        ),
        (
            compare("EqualsTo", "_last_updated_at", DateValue=FIRST + 6 * DAY),
            lambda row: row.get("changed", "").startswith("2020-01-07"),
        ),
        (
            compare("GreaterThan", "_last_updated_at", DateValue=FIRST + 6 * DAY),
            lambda row: row.get("changed", "")[:10] > "2020-01-07",
        ),
        (
            compare("LessThanOrEquals", "_last_updated_at", DateValue=FIRST + 6 * DAY),
            lambda row: "" < row.get("changed", "")[:10] <= "2020-01-07",
        ),
        (
            compare("GreaterThan", "_created_at", DateValue=-(2**31)),
            lambda row: "created" in row,
        ),
        (
            compare("LessThan", "_created_at", DateValue=253_402_300_799),
            lambda row: "created" in row,
        ),
        (
            compare("GreaterThan", "_view_count", LongValue=5),
            lambda row: row.get("views", -99) > 5,
        ),
        (
            compare("LessThanOrEquals", "_view_count", LongValue=5),
            lambda row: row.get("views", 99) <= 5,
        ),
        (
            compare("GreaterThanOrEquals", "_view_count", LongValue=-(2**63)),
            lambda row: "views" in row,
        ),
        (
            compare("EqualsTo", "Tags", StringListValue=["new", "hot"]),
            lambda row: set(row["tags"]) == {"new", "hot"},
        ),
        (
            compare("EqualsTo", "Tags", StringListValue=["new"]),
            lambda row: set(row["tags"]) == {"new"},
        ),
        (
            compare("EqualsTo", "Tags", StringListValue=[LONG_TAG]),
            lambda row: row["tags"] == [LONG_TAG],
        ),
        (
            compare("EqualsTo", "Tags", StringListValue=[LONG_TAG, "new", LONG_TAG + "z"]),
            lambda row: False,
        ),
        (
            compare("ContainsAll", "Tags", StringListValue=["new", "hot"]),
            lambda row: {"new", "hot"} <= set(row["tags"]),
        ),
        (
            compare("ContainsAny", "Tags", StringListValue=["old", "hot"]),
            lambda row: bool({"old", "hot"} & set(row["tags"])),
        ),
        ({"NotFilter": RED}, lambda row: row.get("team") != "red"),
        (
            {"AndAllFilters": [RED, {"NotFilter": compare("EqualsTo", "_view_count")}]},
            lambda row: row.get("team") == "red" and "views" in row,
        ),
        (
            {"OrAllFilters": [RED, compare("EqualsTo", "Team", StringValue="Blue")]},
            lambda row: row.get("team") in ("red", "Blue"),
        ),
        ({}, lambda row: True),
        ({"AndAllFilters": []}, lambda row: True),
    ],
    ids=lambda value: None if callable(value) else str(value)[:100],
)
def test_filters_find_what_they_say(
    node: Node, asked: dict[str, Any], fits: Callable[[Row], bool]
) -> None:
    assert find(node, read_filter(asked, INDEX).documents) == rows(fits)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("copper AND handle", lambda row: "handle" in row["body"]),
        ("copper NOT handle", lambda row: "handle" not in row["body"]),
        ('"copper handle"', lambda row: "copper handle" in row["body"]),
        ('"handle copper"', lambda row: False),
        ("hand*", lambda row: "handle" in row["body"]),
        ("han*e?", lambda row: "handle" in row["body"]),
        ("handle OR 7", lambda row: "handle" in row["body"] or row["title"] == "kettle 7"),
        ("Team:RED", lambda row: row.get("team") == "red"),
        ('Author:"lee"', lambda row: row["author"].endswith("Lee")),
        ('Author:"ann lee"', lambda row: row["author"] == "Ann Lee"),
        ("Author:poe*", lambda row: row["author"] == "Ann Poe"),
        ("_view_count:[2 TO 4]", lambda row: 2 <= row.get("views", 0) <= 4),
        ("_view_count:{2 TO 4}", lambda row: row.get("views") == 3),
        ("_view_count:<=9223372036854775807", lambda row: "views" in row),
        ("_view_count:>9223372036854775807", lambda row: False),
        (
            "_created_at:>2020-01-15 AND _created_at:<2020-01-18",
            lambda row: row.get("created") in (FIRST + 15 * DAY, FIRST + 16 * DAY),
        ),
        ("_created_at:2020-02", lambda row: row.get("created", 0) >= FIRST + 31 * DAY),
        ("_created_at:>0001", lambda row: "created" in row),
        ("_created_at:<=9999", lambda row: "created" in row),
        (
            '(Team:red OR Team:blue) AND "copper handle"',
            lambda row: row.get("team") in ("red", "Blue") and "handle" in row["body"],
        ),
    ],
)
def test_queries_find_what_they_say(node: Node, text: str, fits: Callable[[Row], bool]) -> None:
    parsed = parse_query(text, INDEX)
    assert parsed.warning is None
    query = write_text_query(parsed.root, read_tuning(None, INDEX).fields, "most_fields")
    assert find(node, query) == rows(fits)


@pytest.mark.parametrize("match", ["most_fields", "best_fields", "cross_fields"])
def test_every_way_of_matching_is_understood(node: Node, match: Any) -> None:
    root = parse_query("copper handle and more", INDEX).root
    query = write_text_query(root, read_tuning(None, INDEX).fields, match)
    assert len(find(node, query)) in range(1, 41)


@pytest.mark.parametrize("words", [300, 1500])
def test_a_very_long_text_is_no_error(node: Node, words: int) -> None:
    text = " ".join(["copper", *(f"w{number}" for number in range(words))])
    fields = ["body", "title", "author.text", "author", "team"]
    query = write_text_query(parse_query(text, INDEX).root, fields, "most_fields")
    assert find(node, query) == set(ROWS)
