"""The Kendra plugin's index settings: their values, and the request without them."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import DocumentFields
from sidecar.config.limits import Limits
from sidecar.kendra_plugin.section import PluginRanking
from sidecar.kendra_plugin.settings import (
    NAMES,
    NOTHING_ELSE,
    PREFIX,
    BadSetting,
    SettingsRequest,
    read_ranking,
    read_settings_request,
)
from tests.sidecar.spans.json_texts import space, strings, values

GROUP = "plugin.searchrelevance.result_transformer.kendra_intelligent_ranking"
RANKING = '{"order":1,"properties":{"title_field":"t","body_field":"b","doc_limit":30}}'
TRANSFORMERS = f'{{"result_transformer":{{"kendra_intelligent_ranking":{RANKING}}}}}'
NESTED = f'"plugin":{{"searchrelevance":{TRANSFORMERS}}}'
SET: dict[str, int | tuple[str, ...]] = {
    "order": 1,
    "properties.body_field": ("b",),
    "properties.doc_limit": 30,
    "properties.title_field": ("t",),
}


def read(body: str, creates: bool = False) -> SettingsRequest | None:
    return read_settings_request(body.encode(), Limits(), creates=creates)


def found(body: str, creates: bool = False) -> SettingsRequest:
    request = read(body, creates)
    assert request is not None
    return request


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"settings":{"index":{%s}}}', "{}"),
        ('{"settings":{%s}}', "{}"),
        ('{"settings":{"index":{%s}},"mappings":{"a": 1.10}}', '{"mappings":{"a": 1.10}}'),
        ('{"mappings":{},\n "settings":{"index":{%s}}}', '{"mappings":{}}'),
        ('{"aliases":{},"settings":{%s},"mappings":{}}', '{"aliases":{},"mappings":{}}'),
        (
            '{"settings" : {"index" : { "number_of_shards" : "1" , %s } , "x": {} } }',
            '{"settings" : {"index" : { "number_of_shards" : "1" } , "x": {} } }',
        ),
        (
            '{"settings":{"index":{ %s , "codec":"é😀"}, "number_of_replicas":0}}',
            '{"settings":{"index":{ "codec":"é😀"}, "number_of_replicas":0}}',
        ),
        ('{"settings":{"index":{%s},"analysis":{}}}', '{"settings":{"analysis":{}}}'),
    ],
)
def test_a_creation_loses_them_with_what_they_leave_empty(body: str, expected: str) -> None:
    request = found(body.replace("%s", NESTED), creates=True)
    assert request.body.decode() == expected
    assert request.added == SET


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"index":{{{NESTED}}}}}', NOTHING_ELSE.decode()),
        (f"{{{NESTED}}}", NOTHING_ELSE.decode()),
        (f'{{"settings":{{{NESTED}}}}}', NOTHING_ELSE.decode()),
        (f'{{"settings":{{"index.{GROUP}":{RANKING}}}}}', NOTHING_ELSE.decode()),
        (f'{{"{GROUP}":{RANKING}, "refresh_interval":"1s"}}', '{ "refresh_interval":"1s"}'),
        (
            f'{{"index":{{"plugin.searchrelevance":{{"other":1,'
            f'"result_transformer.kendra_intelligent_ranking":{RANKING}}}}}}}',
            '{"index":{"plugin.searchrelevance":{"other":1}}}',
        ),
    ],
)
def test_keys_are_nested_and_dotted_in_any_mixture(body: str, expected: str) -> None:
    request = found(body)
    assert request.body.decode() == expected
    assert request.added == SET


def test_a_whole_name_is_one_key() -> None:
    body = f'{{"{PREFIX}order":"1","a":1,"{GROUP}.properties.body_field":["b"],"b":2}}'
    request = found(body)
    assert request.body == b'{"a":1,"b":2}'
    assert request.added == {"order": 1, "properties.body_field": ("b",)}


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("1", 1),
        ('"1"', 1),
        ('"+1"', 1),
        ('"\u0661"', 1),
        ("2147483647", 2147483647),
        ('"0000000000000001"', 1),
    ],
)
def test_numbers_are_read_as_opensearch_reads_them(spelled: str, expected: int) -> None:
    assert found(f'{{"{PREFIX}order":{spelled}}}').added == {"order": expected}


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ('"b"', ("b",)),
        ('["b"]', ("b",)),
        ("[]", ()),
        ('""', ()),
        ('" b ,"', ("b",)),
        ("5", ("5",)),
        ("[true]", ("true",)),
        ('["a,b"]', ("a,b",)),
    ],
)
def test_a_list_is_one_text_too(spelled: str, expected: tuple[str, ...]) -> None:
    body = f'{{"{PREFIX}properties.body_field":{spelled}}}'
    assert found(body).added == {"properties.body_field": expected}


@pytest.mark.parametrize(
    ("name", "spelled", "message"),
    [
        ("order", "0", f"Failed to parse value [0] for setting [{PREFIX}order] must be >= 1"),
        ("order", "-3", f"Failed to parse value [-3] for setting [{PREFIX}order] must be >= 1"),
        ("order", '"x"', f"Failed to parse value [x] for setting [{PREFIX}order]"),
        ("order", "1.0", f"Failed to parse value [1.0] for setting [{PREFIX}order]"),
        ("order", "true", f"Failed to parse value [true] for setting [{PREFIX}order]"),
        ("order", "[1, 2]", f"Failed to parse value [[1, 2]] for setting [{PREFIX}order]"),
        (
            "order",
            "2147483648",
            f"Failed to parse value [2147483648] for setting [{PREFIX}order]",
        ),
        (
            "properties.doc_limit",
            "0",
            f"Failed to parse value [0] for setting [{PREFIX}properties.doc_limit] must be >= 1",
        ),
        (
            "properties.doc_limit",
            "24",
            "Setting the value of [doc_limit] below 25 will affect ranking accuracy",
        ),
        ("properties.body_field", '["a","b"]', "[body_field] can have at most 1 element"),
        ("properties.title_field", '"a,b"', "[title_field] can have at most 1 element"),
    ],
)
def test_what_the_plugin_refuses_is_refused_in_its_words(
    name: str, spelled: str, message: str
) -> None:
    with pytest.raises(BadSetting) as raised:
        read(f'{{"{PREFIX}{name}":{spelled}}}')
    assert str(raised.value) == message


def test_the_first_name_is_refused_first() -> None:
    with pytest.raises(BadSetting, match="body_field"):
        read(f'{{"{GROUP}.properties":{{"title_field":"a,b","doc_limit":1,"body_field":"a,b"}}}}')


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        f'{{"{PREFIX}order":1',
        f'{{"{PREFIX}order":1}}}}',
        f'{{"{PREFIX}order":1,"a":1,"a":2}}',
        f'{{"{PREFIX}order":1,"{GROUP}.order":1}}',
        f'{{"{PREFIX}order":null,"{GROUP}.order":1}}',
        f'{{"{PREFIX}orders":1}}',
        f'{{"{PREFIX}":1}}',
        f'{{"index.index.{GROUP}.order":1}}',
        f'{{"index.{GROUP}":null}}',
        f'{{"{PREFIX}order":[{{}}]}}',
        f'{{"{PREFIX}properties.body_field":[null]}}',
        f'{{"{PREFIX}properties.body_field":"\\ud800"}}',
        f'{{"settings":{{"{PREFIX}order":1}},"x":1}}',
        f'["{PREFIX}order"]',
        '{"' + "kendra_intelligent_ranking" + '":' + '{"a":' * 5000 + "1" + "}" * 5001,
        '{"index.refresh_interval":"*"}',
        '{"index.refresh_*":null}',
        f'{{"{GROUP}.*":1}}',
        # Without `index.` OpenSearch treats a pattern as a different one.
        f'{{"{GROUP}.*":null}}',
    ],
)
def test_what_is_not_certain_is_left_to_the_cluster(body: str) -> None:
    assert read(body) is None


@pytest.mark.parametrize(
    "body",
    [
        f'{{"index.{GROUP}":{RANKING}}}',
        f'{{"settings":[{{"{PREFIX}order":1}}]}}',
        f'{{"mappings":{{"_meta":{{"{PREFIX}order":1}}}}}}',
        f'{{"settings":{{"{PREFIX}*":null}}}}',
    ],
)
def test_a_creation_has_them_under_settings_alone(body: str) -> None:
    assert read(body, creates=True) is None


@pytest.mark.parametrize(
    ("pattern", "removed"),
    [
        (f"{PREFIX}*", set(NAMES)),
        ("index.*", set(NAMES)),
        ("*", set(NAMES)),
        (f"{PREFIX}*limit*", {"properties.doc_limit"}),
        (f"{PREFIX}properties.*", set(NAMES) - {"order"}),
    ],
)
def test_a_null_by_pattern_sets_back_and_stays(pattern: str, removed: set[str]) -> None:
    body = json.dumps({pattern: None, "a": 1})
    request = found(body)
    assert request.removed == removed
    assert not request.added
    assert request.body == body.encode()


def test_changes_are_merged_name_by_name() -> None:
    body = {f"{PREFIX}properties.*": None, f"{PREFIX}properties.body_field": "new"}
    request = found(json.dumps(body))
    assert request.change(SET) == {"order": 1, "properties.body_field": ("new",)}
    assert request.change({}) == {"properties.body_field": ("new",)}
    request = found(json.dumps({f"{PREFIX}order": None, f"{PREFIX}properties.doc_limit": 25}))
    assert request.body == NOTHING_ELSE
    assert request.change(SET) == {
        "properties.body_field": ("b",),
        "properties.doc_limit": 25,
        "properties.title_field": ("t",),
    }


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, PluginRanking(DocumentFields(title=("t",), body=("b",)), 30)),
        ({"properties.doc_limit": None}, PluginRanking(DocumentFields(title="t", body="b"), 25)),
        (
            {"properties.doc_limit": 99_999},
            PluginRanking(DocumentFields(title="t", body="b"), 10_000),
        ),
        ({"properties.title_field": None}, PluginRanking(DocumentFields(body=("b",)), 30)),
        ({"properties.title_field": ("",)}, PluginRanking(DocumentFields(body=("b",)), 30)),
        ({"order": None}, None),
        ({"order": 2}, None),
        ({"properties.body_field": None}, None),
        ({"properties.body_field": ()}, None),
        ({"properties.body_field": ("",)}, None),
    ],
)
def test_settings_are_complete_where_the_plugin_would_rescore(
    changed: Mapping[str, Any], expected: PluginRanking | None
) -> None:
    values = {name: value for name, value in {**SET, **changed}.items() if value is not None}
    assert read_ranking(values) == expected


ours = st.sampled_from([f'"{PREFIX}{name}"' for name in NAMES]).map(lambda name: (name, '"99"'))
wholes = st.sampled_from([(f'"index.{GROUP}"', RANKING), (f'"{GROUP}"', RANKING)])
others = st.tuples(strings.filter(lambda text: "*" not in text), values)


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[tuple[str, str]]) -> str:
    chosen = draw(st.lists(members, max_size=5, unique_by=lambda one: json.loads(one[0])))
    texts = [
        f"{draw(space)}{name}{draw(space)}:{draw(space)}{value}{draw(space)}"
        for name, value in chosen
    ]
    return "{" + (",".join(texts) or draw(space)) + "}"


def exactly(text: str) -> Any:
    """The JSON value as it is written: numbers as text, members as pairs."""
    spelled: Any = json.loads(text, object_pairs_hook=Pairs, parse_int=str, parse_float=str)
    return spelled


class Pairs(list[tuple[str, Any]]):
    """The members of an object."""


def without(value: Any, path: str = "") -> Any:
    """The same without the plugin's settings, and without objects that are then empty."""
    if not isinstance(value, Pairs):
        return value
    kept = Pairs()
    for name, inside in value:
        key = path + name
        full = key if key.startswith("index.") else f"index.{key}"
        if not isinstance(inside, Pairs) and full in {PREFIX + one for one in NAMES}:
            continue
        left = without(inside, key + ".")
        if left or not inside or not isinstance(inside, Pairs):
            kept.append((name, left))
    return kept


def is_cut_out_of(short: bytes, whole: bytes) -> bool:
    remaining = iter(whole)
    return all(byte in remaining for byte in short)


trees = objects(st.one_of(ours, wholes, others))


@given(body=st.tuples(space, trees, space).map("".join), creates=st.booleans())
def test_nothing_but_them_is_cut(body: str, creates: bool) -> None:
    whole = f'{{"mappings":{{}}, "settings":{body}}}' if creates else body
    try:
        raw = whole.encode()
    except UnicodeEncodeError:
        return
    try:
        request = read_settings_request(raw, Limits(), creates=creates)
    except BadSetting:
        return
    if request is None or request.body == NOTHING_ELSE:
        return
    assert is_cut_out_of(request.body, raw)
    left = without(exactly(body))
    if creates:
        left = Pairs([("mappings", Pairs()), *([("settings", left)] if left else [])])
    assert exactly(request.body.decode()) == left


@given(
    body=st.binary()
    | st.tuples(space, trees, values)
    .map("".join)
    .map(lambda text: text.encode("utf-8", "surrogatepass")),
    creates=st.booleans(),
)
def test_whatever_comes_is_read_or_left(body: bytes, creates: bool) -> None:
    with suppress(BadSetting):
        read_settings_request(body, Limits(), creates=creates)
