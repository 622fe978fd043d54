"""The Kendra plugin's section in `ext`: its settings, and the request without it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import DocumentFields, Plan
from sidecar.config.limits import Limits
from sidecar.kendra_plugin.section import PluginSection, read_plugin_section
from sidecar.relay.heads import RequestHead, parse_request_head
from tests.sidecar.spans.json_texts import space, values

PROPERTIES = {"title_field": "title", "body_field": "body"}
MATCH = '"query":{"match":{"body":"reset"}}'


def section(order: Any = 1, properties: Any = PROPERTIES) -> str:
    ranking = {"kendra_intelligent_ranking": {"order": order, "properties": properties}}
    return json.dumps({"result_transformer": ranking}, separators=(",", ":"))


def only(configuration: str) -> str:
    """A body with only this section."""
    return '{"ext":{"search_configuration":' + configuration + "}}"


def head_of(*lines: str) -> RequestHead:
    start = ("POST /i/_search HTTP/1.1", "Host: h")
    return parse_request_head("\r\n".join([*start, *lines, "", ""]).encode())


def read(body: str, *lines: str) -> PluginSection | None:
    return read_plugin_section(head_of(*lines), body.encode(), Limits())


def found(body: str, *lines: str) -> PluginSection:
    read_section = read(body, *lines)
    assert read_section is not None
    return read_section


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"ext":{"search_configuration":%s}}', "{}"),
        ('{"ext":{"search_configuration":%s},%q}', "{%q}"),
        ('{%q,"ext":{"search_configuration":%s}}', "{%q}"),
        ('{%q , "ext" : { "search_configuration" : %s } , "size" : 5 }', '{%q , "size" : 5 }'),
        ('{%q,"ext":{"search_configuration":%s,"a":1}}', '{%q,"ext":{"a":1}}'),
        ('{%q,"ext":{"a":1,"search_configuration":%s}}', '{%q,"ext":{"a":1}}'),
        ('{"ext":{ "a":1 , "search_configuration":%s , "b":2}}', '{"ext":{ "a":1 , "b":2}}'),
        (' {\n"ext" :{"search_configuration": %s},\n%q\n}', " {\n%q\n}"),
        ('{"stats":["é😀"],"ext":{"search_configuration":%s},%q}', '{"stats":["é😀"],%q}'),
    ],
)
def test_the_section_is_cut_out_with_its_comma(body: str, expected: str) -> None:
    cut = found(body.replace("%s", section()).replace("%q", MATCH)).request.body.decode()
    assert cut == expected.replace("%q", MATCH)


@pytest.mark.parametrize(
    ("properties", "title", "body", "window"),
    [
        (PROPERTIES, ("title",), ("body",), 25),
        ({"body_field": ["text"]}, (), ("text",), 25),
        ({"body_field": "a.b", "title_field": ["t"], "doc_limit": 30}, ("t",), ("a.b",), 30),
        ({"body_field": "b", "title_field": [], "doc_limit": 10_000}, (), ("b",), 10_000),
    ],
)
def test_what_it_says_takes_the_place_of_the_plans(
    properties: dict[str, Any], title: tuple[str, ...], body: tuple[str, ...], window: int
) -> None:
    plan = Plan.model_validate(
        {"document": {"title": "x"}, "group_by": "g", "stages": [{"model": "m"}]}
    )
    assert found(only(section(properties=properties))).apply(plan) == plan.model_copy(
        update={"document": DocumentFields(title=title, body=body), "rescore_window": window}
    )


_LIMIT = {**PROPERTIES, "doc_limit": 24}


@pytest.mark.parametrize(
    "configuration",
    [
        section(order=0),
        section(order=2),
        section(order=None),
        section(order=True),
        section(properties=None),
        section(properties={}),
        section(properties={"title_field": "title"}),
        section(properties={"body_field": []}),
        section(properties={"body_field": ["a", "b"]}),
        section(properties={"body_field": ""}),
        section(properties={"body_field": 1}),
        section(properties={**PROPERTIES, "title_field": ["a", "b"]}),
        section(properties=_LIMIT),
        section(properties={**_LIMIT, "doc_limit": 10_001}),
        section(properties={**_LIMIT, "doc_limit": "many"}),
        section(properties={**PROPERTIES, "other": 1}),
        section()[:-1] + ',"other":{}}',
        section().replace('{"kendra', '{"other":{},"kendra'),
        section().replace('"order":1,', ""),
        section().replace('"order":1', '"order":1,"order":1'),
        '"kendra_intelligent_ranking"',
        "{}",
        "null",
    ],
)
def test_what_the_plugin_would_refuse_stays(configuration: str) -> None:
    assert read(only(configuration)) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"ext":null,"a":"kendra_intelligent_ranking"}',
        '{"ext":["kendra_intelligent_ranking"]}',
        '{"ext":{"kendra_intelligent_ranking":{}}}',
        '{"a":"kendra_intelligent_ranking"}',
        only(section()) + "x",
        only(section())[:-1] + ',"ext":{}}',
    ],
)
def test_what_is_no_such_section(body: str) -> None:
    assert read(body) is None


def test_the_head_is_that_of_the_new_body() -> None:
    body = only(section())[:-1] + "," + MATCH + "}"
    cut = found(
        body,
        "Content-Type: application/json",
        "Content-Encoding: gzip",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Authorization: Basic abc",
    ).request
    assert cut.body.decode() == "{" + MATCH + "}"
    assert cut.head.framing == len(cut.body)
    assert cut.head.write_upstream().decode().split("\r\n")[1:] == [
        "Host: h",
        "Content-Type: application/json",
        "Authorization: Basic abc",
        f"Content-Length: {len(cut.body)}",
        "",
        "",
    ]


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """A body with the section, and with other members in the body and in `ext`."""

    def spaced(text: str) -> str:
        return draw(space) + text + draw(space)

    def placed(members: list[str], one: str) -> str:
        place = draw(st.integers(0, len(members)))
        return "{" + ",".join([*members[:place], one, *members[place:]]) + "}"

    def members() -> list[str]:
        return [spaced(f'"m{number}":{draw(values)}') for number in range(draw(st.integers(0, 3)))]

    beside, within = members(), members()
    own = spaced(f'"search_configuration"{draw(space)}:{spaced(section())}')
    ext = spaced(f'"ext"{draw(space)}:{spaced(placed(within, own))}')
    return spaced(placed(beside, ext)), beside, within


@given(drawn=bodies())
def test_everything_beside_it_stays(drawn: tuple[str, list[str], list[str]]) -> None:
    text, beside, within = drawn
    try:
        text.encode()
    except UnicodeEncodeError:  # a raw surrogate, which is no UTF-8
        return
    drawn_section = read(text)
    if drawn_section is None:  # a key twice somewhere, which OpenSearch refuses
        return
    cut = drawn_section.request.body.decode()
    assert all(member.strip() in cut for member in beside + within)
    whole, rest = json.loads(text), json.loads(cut)
    del whole["ext"]["search_configuration"]
    if not whole["ext"]:
        del whole["ext"]
    assert list(rest) == list(whole)
    assert json.dumps(rest) == json.dumps(whole)


@given(body=st.binary(max_size=60))
def test_no_bytes_raise(body: bytes) -> None:
    read_plugin_section(head_of(), b'{"a":"kendra_intelligent_ranking",' + body, Limits())
