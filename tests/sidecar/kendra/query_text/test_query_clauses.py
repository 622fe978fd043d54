"""Field clauses of the query syntax: values, comparisons and ranges of every type."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.query_text.query_clauses import InvalidSyntax, read_clause
from tests.sidecar.kendra.example_index import make_index

INDEX = make_index()


def read(text: str) -> dict[str, Any]:
    clause = read_clause(text, 0, INDEX)
    assert clause is not None
    assert clause[1] == len(text)
    return clause[0]


def millis(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc, arg-type]


def created(**bounds: int) -> dict[str, Any]:
    return {"range": {"created": {**bounds, "format": "epoch_millis"}}}


def views(**bounds: int) -> dict[str, Any]:
    return {"range": {"views": bounds}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_created_at:2020", created(gte=millis(2020, 1, 1), lt=millis(2021, 1, 1))),
        ("_created_at:2020-02", created(gte=millis(2020, 2, 1), lt=millis(2020, 3, 1))),
        ("_created_at:2020-12", created(gte=millis(2020, 12, 1), lt=millis(2021, 1, 1))),
        ("_created_at:2020-02-29", created(gte=millis(2020, 2, 29), lt=millis(2020, 3, 1))),
        ("_created_at:2020-02-29T23", created(gte=millis(2020, 2, 29, 23), lt=millis(2020, 3, 1))),
        ("_created_at:1577836800", created(gte=1577836800000, lt=1577836801000)),
        ("_created_at:>2019-12-31", created(gte=millis(2020, 1, 1))),
        ("_created_at:>=2020-01-01", created(gte=millis(2020, 1, 1))),
        ("_created_at:<2021-01-01", created(lt=millis(2021, 1, 1))),
        ("_created_at:<=2020-12-31", created(lt=millis(2021, 1, 1))),
        (
            "_created_at:[2020-01-01 TO 2020-12-31]",
            created(gte=millis(2020, 1, 1), lt=millis(2021, 1, 1)),
        ),
        (
            "_created_at:{2019-12-31 TO 2021-01-01}",
            created(gte=millis(2020, 1, 1), lt=millis(2021, 1, 1)),
        ),
        ("_view_count:5", views(gte=5, lt=6)),
        ("_view_count:-5", views(gte=-5, lt=-4)),
        ("_view_count:<1", views(lt=1)),
        ("_view_count:<=1", views(lt=2)),
        ("_view_count:>1", views(gte=2)),
        ("_view_count:>=1", views(gte=1)),
        ("_view_count:[1 TO 5]", views(gte=1, lt=6)),
        ("_view_count:{1 TO 5}", views(gte=2, lt=5)),
        ("_view_count:<=9223372036854775807", views()),
        ("_view_count:>9223372036854775807", {"match_none": {}}),
        (
            '_category:"United States"',
            {"term": {"_category": {"value": "United States", "case_insensitive": True}}},
        ),
        ("Tags:new", {"term": {"tags": {"value": "new", "case_insensitive": True}}}),
        (
            'Author:"Ann Lee"',
            {"multi_match": {"query": "Ann Lee", "type": "phrase", "fields": ["author.text"]}},
        ),
        (
            "Author:Ann*",
            {
                "bool": {
                    "should": [
                        {"wildcard": {"author.text": {"value": "Ann*", "case_insensitive": True}}}
                    ],
                    "minimum_should_match": 1,
                }
            },
        ),
        (
            "_document_title:copper",
            {"multi_match": {"query": "copper", "type": "phrase", "fields": ["title"]}},
        ),
        (
            "_document_body:copper",
            {"multi_match": {"query": "copper", "type": "phrase", "fields": ["body"]}},
        ),
    ],
    ids=str,
)
def test_each_kind_of_value(text: str, expected: dict[str, Any]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize("text", ["word", "a: b", "http://x", "Error:", ":x", "a:(b)", '"a:b"'])
def test_a_text_that_is_not_a_clause(text: str) -> None:
    assert read_clause(text, 0, INDEX) is None


@pytest.mark.parametrize(
    "value",
    ["2021-13", "2021-02-29", "2020-01-01T24", "2020-1-1", "0000", "today", "20-01", "1" * 13]
    + ["2020-01-01T10:30", "*"],
)
def test_malformed_dates(value: str) -> None:
    with pytest.raises(InvalidSyntax):
        read(f"_created_at:{value}")


@pytest.mark.parametrize("value", ["ten", "1.5", "9" * 20, "0x1", "\u0665", "*", "1_0"])
def test_malformed_numbers(value: str) -> None:
    with pytest.raises(InvalidSyntax):
        read(f"_view_count:{value}")


def test_only_the_star_has_a_meaning_in_patterns() -> None:
    (clause,) = read("Author:a?\\b*")["bool"]["should"]
    assert clause["wildcard"]["author.text"]["value"] == "a\\?\\\\b*"


def test_the_last_year_has_an_end() -> None:
    end = read("_created_at:9999-12")["range"]["created"]["lt"]
    assert end == 253_402_300_800_000


@given(st.dates())
def test_a_month_contains_its_days_and_a_year_its_months(day: Any) -> None:
    spans = [
        read(f"_created_at:{text}")["range"]["created"]
        for text in (f"{day}T00", f"{day}", f"{day}"[:7], f"{day}"[:4])
    ]
    for inner, outer in zip(spans, spans[1:], strict=False):
        assert outer["gte"] <= inner["gte"] < inner["lt"] <= outer["lt"]
