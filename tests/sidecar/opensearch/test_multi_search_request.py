"""Reading an `_msearch`: its searches, and all bytes around them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.limits import Limits
from sidecar.opensearch.multi_search_request import (
    Item,
    read_items,
    read_url,
    replace_searches,
    write_search_target,
)
from sidecar.opensearch.skip_reasons import SKIP_REASONS, Skip
from tests.sidecar.spans.json_texts import objects, space, values

DEFAULT = ("of", "the url")


def read(body: bytes) -> tuple[Item, ...]:
    items = read_items(body, DEFAULT, Limits())
    assert not isinstance(items, Skip)
    return items


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b"{}", DEFAULT),
        (b" { } \r", DEFAULT),
        (b'{"index":"a"}', ("a",)),
        (b'{"index":"a,b*"}', ("a", "b*")),
        (b'{"indices":["a","-b"]}', ("a", "-b")),
        (b'{"index":[]}', ()),
        (b'{"index":""}', ("",)),
        (b'{"ind\\u0065x":"\\u00e9"}', ("é",)),
        (b'{"preference":"p","index":"a","ignoreUnavailable":true}', ("a",)),
    ],
)
def test_where_an_item_searches(header: bytes, names: tuple[str, ...]) -> None:
    (item,) = read(header + b'\n{"query":{}}\r\n')
    assert item.names == names
    assert (item.start, item.end) == (len(header) + 1, len(header) + 14)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n{}\n",
        b"{}\n{}",
        b"{}\n",
        b"{}\n{}\n{}\n",
        b"[]\n{}\n",
        b"null\n{}\n",
        b"\r\n{}\n",
        b'{"index":"a"} x\n{}\n',
        b'{"index":"a","index":"a"}\n{}\n',
        b'{"index":"a","indices":"a"}\n{}\n',
        b'{"index":null}\n{}\n',
        b'{"index":1}\n{}\n',
        b'{"index":["a,b"]}\n{}\n',
        b'{"index":[["a"]]}\n{}\n',
        b'{"indx":"a"}\n{}\n',
        b'{"index":"\xff"}\n{}\n',
        b"\xef\xbb\xbf{}\n{}\n",
        b"{\x00}\x00\n\x00{\x00}\x00\n\x00",
    ],
)
def test_what_opensearch_may_read_differently_is_left_alone(body: bytes) -> None:
    assert read_items(body, DEFAULT, Limits()) == Skip("multi_search")


def test_an_empty_line_is_an_empty_header_and_one_at_the_end_is_nothing() -> None:
    body = b"{}\n1\n\n2\n\n"
    assert [body[item.start : item.end] for item in read(body)] == [b"1", b"2"]
    assert [item.names for item in read(body)] == [DEFAULT, DEFAULT]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (b"filter_path=took", "filter_path"),
        (b"format=yaml", "reply_format"),
        (b"source=%7B%7D", "source_parameter"),
        (b"source_content_type=x", "source_parameter"),
        (b"index=a", "unknown_parameter"),
        (b"phase_took=true", "unknown_parameter"),
        (b"pretty;human", "url_syntax"),
        (b"routing=%F", "url_syntax"),
    ],
)
def test_parameters_that_forbid(query: bytes, reason: str) -> None:
    assert read_url(b"/_msearch?pretty&" + query, Limits()) == Skip(reason)
    assert reason in SKIP_REASONS


def test_parameters_that_do_not() -> None:
    expected = {"routing": "a b", "pretty": "", "filter_path": "", "format": "json"}
    assert read_url(b"/_msearch?routing=a+b&pretty&filter_path=&format=json", Limits()) == expected
    assert read_url(b"/_msearch", Limits()) == {}


def test_the_search_that_looks_where_an_item_looks() -> None:
    header = '{"index":"a,<b-{now/d}>,\\u00e9","expand_wildcards":["open","closed"],"routing":"x y"'
    (item,) = read(f'{header},"ignore_unavailable":true,"preference":null}}\n{{}}\n'.encode())
    assert write_search_target(item, {"routing": "url", "pretty": ""}) == (
        b"/a,%3Cb-%7Bnow%2Fd%7D%3E,%C3%A9/_search?"
        b"routing=x+y&pretty=&expand_wildcards=open%2Cclosed&ignore_unavailable=true"
    )
    (everywhere,) = read(b'{"index":[]}\n{}\n')
    assert write_search_target(everywhere, {}) == b"/_search?"


_lines = objects(values).map(lambda text: text.replace("\n", " ").encode("utf-8", "surrogatepass"))
_headers = st.one_of(
    st.sampled_from([b"", b"{}", b'{"index":"a"}', b'{"preference":"\\ud83d","index":["b"]}\r']),
    st.builds(lambda a, b: f'{a}{{"index"{b}:"x"}}'.replace("\n", " ").encode(), space, space),
)


@given(
    items=st.lists(st.tuples(_headers, _lines), min_size=1, max_size=6),
    extra=st.booleans(),
    data=st.data(),
)
def test_only_the_replaced_lines_change(
    items: list[tuple[bytes, bytes]], extra: bool, data: st.DataObject
) -> None:
    items[0] = (items[0][0] or b"{}", items[0][1])
    if items[0][0].isspace():
        items[0] = (b"{}", items[0][1])
    body = b"".join(header + b"\n" + line + b"\n" for header, line in items) + b"\n" * extra
    found = read(body)
    assert [body[item.start : item.end] for item in found] == [line for _, line in items]

    chosen = data.draw(st.sets(st.sampled_from(range(len(items)))))
    edited = replace_searches(body, [(found[position], b"<new>") for position in sorted(chosen)])
    expected = b"".join(
        header + b"\n" + (b"<new>" if position in chosen else line) + b"\n"
        for position, (header, line) in enumerate(items)
    )
    assert edited == expected + b"\n" * extra


@given(body=st.one_of(st.binary(), st.lists(st.one_of(_headers, _lines)).map(b"\n".join)))
def test_nothing_raises(body: bytes) -> None:
    read_url(body, Limits())
    for whole in (body, body + b"\n", b"{}\n" + body + b"\n"):
        items = read_items(whole, DEFAULT, Limits())
        if isinstance(items, Skip):
            assert items.reason in SKIP_REASONS
        else:
            assert replace_searches(whole, [(one, whole[one.start : one.end]) for one in items])
            for item in items:
                assert write_search_target(item, {}).isascii()


@given(names=st.lists(st.text().filter(lambda name: "," not in name), min_size=1))
def test_any_names_make_a_target(names: list[str]) -> None:
    (item,) = read(json.dumps({"index": names}).encode() + b"\n{}\n")
    assert item.names == tuple(names)
    assert write_search_target(item, {}).endswith(b"/_search?")
