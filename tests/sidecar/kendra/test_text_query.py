"""Trees of the query syntax as queries: what scores, what only limits, what is optional."""

from typing import Any

import pytest

from sidecar.kendra.query_syntax import parse_query
from sidecar.kendra.text_query import write_text_query
from tests.sidecar.kendra.indexes import make_index

INDEX = make_index()
FIELDS = ["title^2", "body^1"]
HR = {"term": {"_category": {"value": "HR", "case_insensitive": True}}}


def write(text: str, *, tight: bool = False) -> dict[str, Any]:
    return write_text_query(parse_query(text, INDEX).root, FIELDS, "best_fields", tight=tight)


def words(text: str, **more: str) -> dict[str, Any]:
    return {"multi_match": {"query": text, "type": "best_fields", "fields": FIELDS, **more}}


def tight(text: str) -> dict[str, Any]:
    return words(text, minimum_should_match="2<75%")


def phrase(text: str) -> dict[str, Any]:
    return {"multi_match": {"query": text, "type": "phrase", "fields": FIELDS}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("any of these", words("any of these")),
        ("a AND b c", {"bool": {"must": [tight("a"), tight("b c")]}}),
        (
            "a OR b",
            {"bool": {"should": [tight("a"), tight("b")], "minimum_should_match": 1}},
        ),
        (
            "a NOT b",
            {"bool": {"must_not": [words("b")], "should": [words("a")], "minimum_should_match": 1}},
        ),
        ('"a b"', phrase("a b")),
        (
            '"a b" "c" d',
            {
                "bool": {
                    "must": [phrase("a b"), phrase("c")],
                    "should": [words("d")],
                    "minimum_should_match": 0,
                }
            },
        ),
        (
            "_category:HR a",
            {"bool": {"filter": [HR], "should": [words("a")], "minimum_should_match": 1}},
        ),
        ("_category:HR AND a", {"bool": {"must": [tight("a")], "filter": [HR]}}),
        ("_category:HR", {"bool": {"filter": [HR]}}),
        (
            "a OR NOT b",
            {
                "bool": {
                    "should": [tight("a"), {"bool": {"must_not": [words("b")]}}],
                    "minimum_should_match": 1,
                }
            },
        ),
        (
            "(a AND b) NOT c",
            {
                "bool": {
                    "must": [{"bool": {"must": [tight("a"), tight("b")]}}],
                    "must_not": [words("c")],
                }
            },
        ),
        (
            "Cloud* a",
            {
                "bool": {
                    "should": [
                        words("a"),
                        {
                            "bool": {
                                "should": [
                                    {"wildcard": {f: {"value": "Cloud*", "case_insensitive": True}}}
                                    for f in ("title", "body")
                                ],
                                "minimum_should_match": 1,
                            }
                        },
                    ],
                    "minimum_should_match": 1,
                }
            },
        ),
    ],
    ids=str,
)
def test_each_form(text: str, expected: dict[str, Any]) -> None:
    assert write(text) == expected


def test_sorted_searches_want_most_of_the_words() -> None:
    assert write("any of these", tight=True) == tight("any of these")
    query = write("any of these NOT b", tight=True)["bool"]
    assert query["should"] == [tight("any of these")]
    assert query["must_not"] == [words("b")]


@pytest.mark.parametrize(
    ("words", "fields"), [(1, 30), (30, 30), (45, 20), (300, 3), (900, 1), (5000, 1)]
)
@pytest.mark.parametrize("separator", [" ", " OR ", " NOT "])
def test_words_times_fields_stay_below_what_opensearch_allows(
    words: int, fields: int, separator: str
) -> None:
    # More than a hundred operators are no query any more, and the words are looked for.
    text = separator.join(["word"] * words)
    names = [f"field{number}^1" for number in range(30)]
    written = str(write_text_query(parse_query(text, INDEX).root, names, "most_fields"))
    assert (f"'field{fields - 1}^1'" in written, f"'field{fields}^1'" in written) == (True, False)
