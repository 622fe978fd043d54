"""Parsed texts as queries: what adds to the score, what only filters, what is optional."""

from typing import Any

import pytest

from sidecar.kendra.query_text.query_syntax import parse_query
from sidecar.kendra.query_text.text_query import write_text_query
from tests.sidecar.kendra.example_index import make_index

INDEX = make_index()
FIELDS = ["title^2", "body^1"]
HR = {"term": {"_category": {"value": "HR", "case_insensitive": True}}}


def write(text: str, unstemmed: str | None = None) -> dict[str, Any]:
    return write_text_query(parse_query(text, INDEX).root, FIELDS, "best_fields", unstemmed)


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


def test_a_wildcard_is_also_compared_with_whole_words() -> None:
    def fields(query: dict[str, Any]) -> set[str]:
        return {field for clause in query["bool"]["should"] for field in clause["wildcard"]}

    named = {name.partition("^")[0] for name in FIELDS}
    assert fields(write("ket*le")) == named
    assert fields(write("ket*le", "body.spell")) == {*named, "body.spell"}


@pytest.mark.parametrize(
    ("words", "fields"), [(1, 30), (30, 30), (45, 20), (300, 3), (900, 1), (5000, 1)]
)
@pytest.mark.parametrize("separator", [" ", " OR ", " NOT "])
def test_words_times_fields_stay_within_opensearchs_limit(
    words: int, fields: int, separator: str
) -> None:
    # A text with more than a hundred operators is invalid, so the search is for its words.
    text = separator.join(["word"] * words)
    names = [f"field{number}^1" for number in range(30)]
    written = str(write_text_query(parse_query(text, INDEX).root, names, "most_fields"))
    assert (f"'field{fields - 1}^1'" in written, f"'field{fields}^1'" in written) == (True, False)
