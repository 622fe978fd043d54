"""The query string as OpenSearch reads it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.spans.url_parameters import BadUrl, decode_escapes, read_url_parameters


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", []),
        (b"size=5", [("size", "5")]),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"pretty", [("pretty", "")]),
        (b"pretty=&q=x", [("pretty", ""), ("q", "x")]),
        (b"&&a=1&", [("a", "1")]),
        (b"q=a+b%20c%2Bd", [("q", "a b c+d")]),
        (b"q=caf%C3%A9", [("q", "café")]),
        (b"q=100%%", [("q", "100%")]),
        (b"q=%%41", [("q", "%41")]),
        (b"q=%%%41", [("q", "%A")]),
        (b"q=a=b", [("q", "a=b")]),
        (b"=a", [("a", "")]),
        (b"==a=b", [("a", "b")]),
        (b"s%69ze=5", [("size", "5")]),
        (b"q=a?b", [("q", "a?b")]),
        (b"q=%3B%23%26", [("q", ";#&")]),
    ],
)
def test_parameters_are_read_as_opensearch_reads_them(
    query: bytes, expected: list[tuple[str, str]]
) -> None:
    parameters = read_url_parameters(b"/i/_search?" + query)
    assert expected == [(parameter.name, parameter.value) for parameter in parameters]


@pytest.mark.parametrize(
    "query",
    [b"a=1;b=2", b"a=1#x", b"q=%", b"q=%4", b"q=%zz", b"q=%4%%", b"%F=1", b"q=\xc3\xa9", b"q=%FF"],
)
def test_what_others_may_read_differently_is_refused(query: bytes) -> None:
    with pytest.raises(BadUrl):
        read_url_parameters(b"/i/_search?" + query)


def test_a_target_without_a_query_has_no_parameters() -> None:
    assert read_url_parameters(b"/i/_search") == ()


_names = st.text(st.characters(codec="ascii", categories=("Ll", "Lu", "Nd")), min_size=1)
_spelled = st.lists(st.sampled_from([b"a", b"+", b"%20", b"%%", b"%C3%A9", b"=", b"?"])).map(
    b"".join
)


@given(pairs=st.lists(st.tuples(_names, _spelled)))
def test_spans_are_the_spelled_values(pairs: list[tuple[str, bytes]]) -> None:
    target = b"/i/_search?" + b"&".join(name.encode() + b"=" + value for name, value in pairs)
    spelled = [(one.name, target[one.start : one.end]) for one in read_url_parameters(target)]
    assert pairs == spelled


@given(spelled=st.binary())
def test_any_bytes_are_decoded_or_refused(spelled: bytes) -> None:
    for reader in (
        lambda: decode_escapes(spelled, plus_is_blank=True),
        lambda: read_url_parameters(b"/_search?" + spelled),
    ):
        with contextlib.suppress(BadUrl):
            reader()


def test_a_plus_in_a_path_is_a_plus() -> None:
    assert decode_escapes(b"a+b", plus_is_blank=False) == "a+b"
