"""JSON with spans, against the standard library's own parser and hand-made refusals."""

import json

import pytest
from hypothesis import given

from sidecar.spans.json_spans import (
    NotJson,
    read_array,
    read_document,
    read_object,
    read_unique_value,
    read_value,
    replace_spans,
)
from tests.sidecar.spans.json_texts import arrays, objects, values


@given(text=objects(values))
def test_an_objects_members_are_those_of_json_and_their_spans_are_their_texts(text: str) -> None:
    members = read_document(text, read_object)
    assert json.loads(text) == {key: member.value for key, member in members.items()}
    for member in members.values():
        assert member.value == json.loads(text[member.start : member.end])


@given(text=arrays(values))
def test_an_arrays_elements_are_those_of_json_and_their_spans_are_their_texts(text: str) -> None:
    elements = read_document(text, lambda text, start: read_array(text, start, read_value))
    assert json.loads(text) == [element.value for element in elements]
    for element in elements:
        assert element.value == json.loads(text[element.start : element.end])


def test_a_reader_of_a_key_reads_that_member_only() -> None:
    text = '{"a": {"x": 1}, "b": {"x": 1}}'
    members = read_document(text, lambda t, i: read_object(t, i, readers={"a": read_object}))
    assert members["a"].value["x"] == (1, 12, 13)
    assert members["b"].value == {"x": 1}


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[]", "1", '"a"', "{", "}", "{]", "{,}", '{"a"}', '{"a":}', '{"a":1', "{1:2}"),
        *('{"a":1,}', '{"a":1 "b":2}', '{"a":1}x', '{"a":1}{}', "{'a':1}", '{"a":01}', '{"a":+1}'),
        *('{"a":NaN}', '{"a":[Infinity]}', '{"a":-Infinity}', '{"a":1.}', '{"a":.5}', '{"a":tru}'),
        *('{"a":1,"a":2}', r'{"a":1,"\u0061":2}', '{"a":"\n"}', '{"a\t":1}', '{"a":"\\x"}'),
        *('/**/{"a":1}', '\ufeff{"a":1}', '{"a":\u00a01}', '{"a":' + "9" * 5000 + "}"),
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_opensearch_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(NotJson):
        read_document(text, read_object)


def test_repeated_keys_at_depth_are_refused_only_where_asked() -> None:
    text = '{"a": [{"b": 1, "b": 2}]}'
    assert read_document(text, read_value) == {"a": [{"b": 2}]}
    with pytest.raises(NotJson):
        read_document(text, read_unique_value)


def test_spans_are_replaced_in_any_order_given() -> None:
    assert replace_spans("abcdef", [(4, 5, "E"), (0, 0, "<"), (1, 3, "")]) == "<adEf"
