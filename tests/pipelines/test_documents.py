from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.documents import Document, Part, read_documents
from pipelines.texts import clean_text, replace_surrogates
from tests.pipelines.windows import a_plan, hits_of


def body_of(source: dict[str, Any], *names: str) -> str:
    plan = a_plan(document={"body": list(names)})
    return read_documents(hits_of([source]), plan)[0].body


def test_a_hit_becomes_a_document_with_its_position_and_score() -> None:
    hits = hits_of([{"title": "Red  shoe\n", "body": "Soft."}, {"title": "Hat"}], [3.5, 1.25])
    assert read_documents(hits, a_plan()) == [
        Document(0, "Red  shoe\n", "Soft.", 3.5, None),
        Document(1, "Hat", "", 1.25, None),
    ]


@pytest.mark.parametrize(
    "source",
    [
        {"a": {"b": {"c": "x"}}},
        {"a.b.c": "x"},
        {"a.b": {"c": "x"}},
        {"a": {"b.c": "x"}},
        {"a": [{"b": {"c": "x"}}]},
        {"a": {"b": [{"c": ["x"]}]}},
    ],
)
def test_a_dotted_name_is_found_however_the_object_spells_it(source: dict[str, Any]) -> None:
    assert body_of(source, "a.b.c") == "x"


def test_every_spelling_in_one_source_counts() -> None:
    assert body_of({"a": {"b": "one"}, "a.b": "two"}, "a.b") == "one two"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["one", "two", ["three"]], "one two three"),
        ([{"name": "sole", "is": "soft"}, {"name": "lace"}], "sole soft lace"),
        (7, "7"),
        (2.5, "2.5"),
        (True, "true"),
        (None, ""),
        ([None, "x", ""], "x"),
        ([], ""),
        ({}, ""),
    ],
)
def test_values_that_are_no_plain_text(value: object, text: str) -> None:
    assert body_of({"body": value}, "body") == text


def test_fields_are_joined_in_the_order_of_the_plan() -> None:
    source = {"late": "two", "early": "one"}
    assert body_of(source, "early", "missing", "late") == "one two"


def test_a_name_does_not_reach_through_text_or_into_a_longer_name() -> None:
    assert body_of({"a": "x", "a.bc": "y", "ab": "z"}, "a.b") == ""


def test_a_source_nested_deeper_than_python_calls_is_read() -> None:
    source: Any = "deep"
    for _ in range(50_000):
        source = [source]
    assert body_of({"body": source}, "body") == "deep"


def test_lone_surrogates_become_replacement_characters() -> None:
    source = json.loads(r'{"body": "a\ud800b \ud83d\ude00"}')
    assert replace_surrogates(body_of(source, "body")) == "a\ufffdb 😀"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"sku": "A1"}, "A1"),
        ({"sku": 12}, "12"),
        ({"sku": None}, None),
        ({}, None),
        ({"sku": ""}, None),
    ],
)
def test_the_group_value_is_text_or_none(source: dict[str, Any], value: str | None) -> None:
    plan = a_plan(group_by="sku")
    assert read_documents(hits_of([source]), plan)[0].group_value == value


@given(st.text())
def test_clean_text_is_encodable_and_has_single_blanks_only(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned.encode().decode() == cleaned
    assert cleaned.split() == [word for word in cleaned.split(" ") if word]
    assert cleaned == cleaned.strip()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["a", "a.b", "b", ""]), json_values))
def test_any_source_can_be_read(source: dict[str, Any]) -> None:
    clean_text(body_of(source, "a.b", "a", ".", "b.")).encode()


def test_labelled_fields_are_sentences_of_their_own() -> None:
    fields = ["text", {"field": "genres", "label": "Genres"}, {"field": "by", "label": "Director"}]
    plan = a_plan(document={"title": {"field": "name", "label": "Film"}, "body": fields})
    sources: list[dict[str, Any]] = [
        {"name": "Heat", "text": "Thieves", "genres": ["Crime", "Drama"], "by": "M. Mann."},
        {"genres": [], "by": None},
    ]
    documents = read_documents(hits_of(sources), plan)
    assert [(document.title, document.body) for document in documents] == [
        ("Film: Heat.", "Thieves Genres: Crime, Drama. Director: M. Mann."),
        ("", ""),
    ]


def test_a_field_with_a_weight_is_read_apart() -> None:
    fields = [
        "text",
        {"field": "tags", "label": "Tags", "weight": 0.5},
        {"field": "x", "weight": 2},
    ]
    plan = a_plan(document={"title": {"field": "name", "weight": 3}, "body": fields})
    [document] = read_documents(hits_of([{"name": "Heat", "text": "Thieves", "tags": ["a"]}]), plan)
    assert (document.title, document.body) == ("Heat", "Thieves")
    assert document.apart == (Part("Heat", 3, False), Part("Tags: a.", 0.5, True))
