"""The query text of each query type, and the choice between several."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.opensearch.query_text import (
    MAX_CHARACTERS,
    read_q_words,
    read_query_text,
    read_text_at,
    tidy,
)

FIELDS = ("title", "meta.body")
MOST = 1024
MATCH = {"match": {"title": "red shoes"}}
OTHER = {"match": {"title": {"query": "a much longer other text"}}}


@pytest.mark.parametrize(
    "query",
    [
        {"match": {"title": "red shoes"}},
        {"match": {"title": {"query": "red shoes", "operator": "and"}}},
        {"match_phrase": {"title": "red shoes"}},
        {"match_phrase_prefix": {"title": {"query": "red shoes"}}},
        {"match_bool_prefix": {"title": {"query": "red shoes"}}},
        {"multi_match": {"query": "red shoes", "fields": ["title^3", "x"]}},
        {"multi_match": {"query": "red shoes"}},
        {"combined_fields": {"query": "red shoes", "fields": ["title"]}},
        {"query_string": {"query": "title:red AND shoes -brand:acme", "default_field": "title"}},
        {"query_string": {"query": "name:red shoes", "fields": ["name"]}},
        {"simple_query_string": {"query": "+red | shoes -blue", "fields": ["title"]}},
        {"bool": {"must": MATCH}},
        {"bool": {"must": [MATCH], "filter": OTHER, "must_not": [OTHER]}},
        {"bool": {"should": [MATCH, {"term": {"brand": "a long brand name here"}}]}},
        {"dis_max": {"queries": [MATCH, MATCH]}},
        {"function_score": {"query": MATCH, "functions": [{"filter": OTHER, "weight": 2}]}},
        {"script_score": {"query": MATCH, "script": {"source": "_score * 2"}}},
        {"boosting": {"positive": MATCH, "negative": OTHER}},
        {"nested": {"path": "x", "query": MATCH, "inner_hits": {"query": OTHER}}},
        {"has_child": {"type": "x", "query": MATCH}},
        {"has_parent": {"parent_type": "x", "query": MATCH}},
        {"neural": {"vector": {"query_text": "red shoes", "k": 9, "filter": OTHER}}},
        {"neural_sparse": {"vector": {"query_text": "red shoes"}}},
        {"intervals": {"title": {"match": {"query": "red shoes", "filter": {}}}}},
        {"intervals": {"title": {"any_of": {"intervals": [{"match": {"query": "red shoes"}}]}}}},
        {"intervals": {"title": {"all_of": {"intervals": [{"match": {"query": "red shoes"}}]}}}},
        {"bool": {"must": {"function_score": {"query": {"bool": {"should": MATCH}}}}}},
        {"match": {"title": "  red \n shoes "}},
    ],
    ids=str,
)
def test_each_query_type_gives_its_text(query: dict[str, Any]) -> None:
    assert read_query_text(query, FIELDS, MOST) == "red shoes"


@pytest.mark.parametrize(
    "query",
    [
        None,
        [],
        {},
        {"match_all": {}},
        {"match": "red"},
        {"match": {"title": {"query": None}}},
        {"match": {"in_stock": True}},
        {"match": {"title": "   "}},
        {"bool": {"filter": MATCH}},
        {"bool": {"must_not": [MATCH]}},
        {"constant_score": {"filter": MATCH}},
        {"function_score": {"functions": [{"filter": MATCH}]}},
        {"knn": {"vector": {"vector": [1], "k": 2, "filter": MATCH}}},
        {"neural_sparse": {"vector": {"query_tokens": {"red": 1.0}}}},
        {"term": {"title": "red"}},
        {"ids": {"values": ["1"]}},
        {"range": {"price": {"gte": 1}}},
        {"query_string": {"query": "brand:acme AND price:[1 TO 2]"}},
        {"query_string": {"query": "*"}},
        {"a_query_of_tomorrow": {"query": MATCH}},
    ],
    ids=str,
)
def test_queries_without_prose_have_no_text(query: object) -> None:
    assert read_query_text(query, FIELDS, MOST) is None


def test_a_number_is_a_text() -> None:
    assert read_query_text({"match": {"title": 501}}, FIELDS, MOST) == "501"


def _match(field: str, text: str) -> dict[str, Any]:
    return {"match": {field: text}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # a text on a field of the plan wins, even if another text is longer
        ({"bool": {"must": [_match("brand", "acme incorporated"), _match("title", "red")]}}, "red"),
        ({"bool": {"should": [_match("brand", "acme inc"), _match("title.en", "red")]}}, "red"),
        ({"bool": {"should": [_match("b", "acme inc"), _match("meta.body", "red")]}}, "red"),
        (
            {
                "bool": {
                    "should": [
                        _match("brand", "acme incorporated"),
                        {"multi_match": {"query": "red", "fields": ["meta.*^2"]}},
                    ]
                }
            },
            "red",
        ),
        # a text that must match wins over one that may match
        ({"bool": {"should": _match("title", "long text"), "must": _match("title", "red")}}, "red"),
        (
            {
                "bool": {
                    "should": {"bool": {"must": _match("title", "a long text")}},
                    "must": [_match("title", "red")],
                }
            },
            "red",
        ),
        # the longest text wins, and the first of equal length
        ({"bool": {"must": [_match("title", "red"), _match("title", "red shoes")]}}, "red shoes"),
        ({"dis_max": {"queries": [_match("title", "abc"), _match("title", "xyz")]}}, "abc"),
        # only other fields: this is still what the user typed
        (_match("brand", "acme"), "acme"),
    ],
)
def test_the_choice_between_texts(query: dict[str, Any], expected: str) -> None:
    assert expected == read_query_text(query, FIELDS, MOST)


@pytest.mark.parametrize(
    ("q", "default_field", "expected"),
    [
        ("red shoes", None, "red shoes"),
        ("title:red brand:acme", None, "red"),
        ("brand:acme shoes", "brand", "acme shoes"),
        ("-red", None, None),
        ("", None, None),
    ],
)
def test_the_words_of_q(q: str, default_field: str | None, expected: str | None) -> None:
    assert expected == read_q_words(q, default_field, FIELDS)


BODY = {
    "query": {
        "match": {"title.en": {"query": "red"}, "title": {"query": "blue"}},
        "bool": {"must": [{"match": {"title": "green"}}]},
    },
    "number": 3,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("query.match.title.query", "blue"),
        ("query.match.title.en.query", "red"),
        ("query.bool.must.0.match.title", "green"),
        ("query.bool.must.1.match.title", None),
        ("query.bool.must.x.match.title", None),
        ("query.bool.must." + "9" * 5000, None),
        ("query.match", None),
        ("number", "3"),
        ("nothing", None),
        ("", None),
        (".".join("a" * 5000), None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_path_into_the_body(path: str, expected: str | None) -> None:
    assert expected == read_text_at(BODY, path)


def test_long_texts_are_cut_at_a_word() -> None:
    assert tidy("word " * 500) == " ".join(["word"] * 200)
    assert tidy("x" * 5000) == "x" * MAX_CHARACTERS
    assert tidy("y" * 400 + " " + "x" * 5000) == "y" * 400
    exact = "ab " * 333 + "c"
    assert tidy(exact) == exact


def test_half_characters_are_replaced() -> None:
    assert tidy("red \ud83d shoes 😀") == "red \ufffd shoes 😀"


def test_deep_queries_end() -> None:
    query: dict[str, Any] = MATCH
    for _ in range(5000):
        query = {"bool": {"must": [query]}}
    assert read_query_text(query, FIELDS, MOST) is None


_kinds = st.sampled_from(
    [
        *("match", "multi_match", "query_string", "simple_query_string", "bool", "must", "should"),
        *("dis_max", "queries", "query", "fields", "intervals", "all_of", "neural", "query_text"),
        *("function_score", "nested", "boosting", "positive"),
    ]
)
_shapes = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_kinds, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(query=_shapes)
def test_no_shape_of_a_query_raises(query: object) -> None:
    text = read_query_text(query, FIELDS, MOST)
    assert text is None or text == tidy(text)
