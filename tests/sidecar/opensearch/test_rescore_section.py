"""The section `ext.rescore`: what is read of it, and what stays of the body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.config.limits import Limits
from sidecar.opensearch.rescore_section import (
    NO_SECTION,
    RescoreSection,
    SectionMistake,
    cut_rescore_section,
    read_section,
)
from sidecar.relay.front import Request
from sidecar.relay.heads import parse_request_head


def read(section: object) -> RescoreSection | SectionMistake:
    found = read_section(json.dumps({"ext": {"rescore": section}}).encode(), Limits())
    assert found is not None
    return found[0]


def request_for(body: bytes, *lines: str) -> Request:
    length = f"Content-Length: {len(body)}"
    start = ("POST /i/_search HTTP/1.1", "Host: h", length)
    return Request(parse_request_head("\r\n".join([*start, *lines, "", ""]).encode()), body)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ('{"ext":{"rescore":{}},"size":1}', '{"size":1}'),
        ('{ "size" : 1.0,\n "ext" : {"rescore":{}} }', '{ "size" : 1.0 }'),
        ('{"ext":{"rescore":{}}}', "{}"),
        ('{"ext":{"a":{"rescore":1},"rescore":{}}}', '{"ext":{"a":{"rescore":1}}}'),
        (
            '{"ext":{"rescore":{},"b":[1E5]},"query":"\\u00e9"}',
            '{"ext":{"b":[1E5]},"query":"\\u00e9"}',
        ),
    ],
)
def test_only_the_section_is_cut_out(body: str, left: str) -> None:
    assert read_section(body.encode(), Limits()) == (NO_SECTION, left.encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"rescore":{},"ext":{}}',
        '{"rescore":{},"ext":["rescore"]}',
        '{"ext":{"rescore":{},"rescore":{}}}',
        '{"ext":{"rescore":{}},"ext":{}}',
        '{"ext":{"rescore":{}}',
        '[{"ext":{"rescore":{}}}]',
        '{"query":{"ext":{"rescore":{}}}}',
    ],
)
def test_a_body_without_a_certain_section_stays(body: str) -> None:
    assert read_section(body.encode(), Limits()) is None


def test_a_body_with_too_many_values_is_not_read() -> None:
    values = ",".join("1" for _ in range(2000))
    body = f'{{"ext":{{"rescore":{{}}}},"x":[{values}]}}'.encode()
    assert read_section(body, Limits(search_values=1000)) is None


def test_each_key_has_its_value() -> None:
    section = {"off": False, "plan": "p", "query": "red  shoes"}
    assert read(section) == RescoreSection(**section)  # type: ignore[arg-type]


def test_null_is_the_same_as_no_key() -> None:
    assert read(dict.fromkeys(["off", "plan", "query"])) == NO_SECTION
    assert read(None) == NO_SECTION


@pytest.mark.parametrize(
    ("section", "reason", "key"),
    [
        ([], "section_value", "rescore"),
        (True, "section_value", "rescore"),
        ({"of": True}, "section_key", "of"),
        ({"a b\r\nX: y": 1}, "section_key", "?"),
        ({"x" * 41: 1}, "section_key", "?"),
        ({"off": "true"}, "section_value", "off"),
        ({"off": 1}, "section_value", "off"),
        ({"plan": 5}, "section_value", "plan"),
        ({"query": ["red"]}, "section_value", "query"),
        ({"query": "\ud800"}, "section_value", "query"),
    ],
)
def test_a_mistake_is_named(section: Any, reason: str, key: str) -> None:
    assert read(section) == SectionMistake(reason, key)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Type: application/yaml",),
        ("Content-Type: application/json", "Authorization: AWS4-HMAC-SHA256 x"),
        ("Content-Type: application/json", "X-Amz-Content-Sha256: x"),
        ("Content-Type: application/json", "Content-Encoding: gzip"),
    ],
)
async def test_a_request_that_may_not_be_edited_stays(lines: tuple[str, ...]) -> None:
    request = request_for(b'{"ext":{"rescore":{"off":true}}}', *lines)
    assert await cut_rescore_section(request, Limits()) == (request, NO_SECTION)


async def test_the_new_head_suits_the_new_body() -> None:
    request = request_for(b'{"ext":{"rescore":{"off":true}}}', "Content-Type: application/json")
    readable, section = await cut_rescore_section(request, Limits())
    assert section == RescoreSection(off=True)
    assert readable.body == b"{}"
    assert readable.head.get(b"content-length") == b"2"
    assert readable.head.framing == 2
