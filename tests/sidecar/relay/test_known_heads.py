"""Remembered heads: the same as reading them, and never more of them than is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.relay.errors import MalformedMessage
from sidecar.relay.heads import (
    RequestHead,
    ResponseHead,
    parse_request_head,
    parse_response_head,
)
from sidecar.relay.known_heads import LONGEST, REMEMBERED, request_reader, response_reader

_LINES = (
    *("Host: x", "Content-Length: 3", "content-length: 4", "Content-Length: 007"),
    *("Content-Length: +1", "Content-Length: 99999999999999999999999", " Content-Length: 5"),
    *("Keep-Alive: Content-Length: 3", "Connection: content-length", "Connection: close"),
    *("Connection: keep-alive", "Connection: X-Mine", "X-Mine: 1", "Transfer-Encoding: chunked"),
    *("X-Rescore: off", "a: b\nc: d", "a: b\r\n c", "broken", "x-opaque-id: 7"),
)
_pieces = st.lists(st.sampled_from([line.encode() for line in _LINES]), max_size=4)


def _request(line: bytes, fields: list[bytes]) -> bytes:
    return b"\r\n".join((line, *fields, b"\r\n"))


def _seen(raw: bytes, read: Callable[[bytes], RequestHead | ResponseHead]) -> object:
    """All that the relay may see of a head, or how it is refused."""
    try:
        head = read(raw)
    except MalformedMessage as error:
        return error.status, str(error)
    facts = (
        head.framing,
        head.keep_alive,
        head.connection_names,
        head.fields,
        head.length,
        head.unchanged,
    )
    if isinstance(head, RequestHead):
        written = head.write_upstream()
        return facts, head.method, head.target, head.http_1_0, written
    return facts, head.status, head.write_client()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"GET /a HTTP/1.1", b"GET /b HTTP/1.0", b"GET / /", b"PUT /a HTTP/1.1"]
            ),
            _pieces,
        ),
        max_size=12,
    )
)
def test_remembered_requests_are_those_that_reading_gives(
    requests: list[tuple[bytes, list[bytes]]],
) -> None:
    read = request_reader()
    for line, fields in requests * 2:
        raw = _request(line, fields)
        assert _seen(raw, read) == _seen(raw, parse_request_head)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 404 x", b"HTTP/1.1 304 y", b"ICY 200"]),
            _pieces,
        ),
        max_size=12,
    )
)
def test_remembered_answers_are_those_that_reading_gives(
    answers: list[tuple[bytes, list[bytes]]],
) -> None:
    read = response_reader()
    for line, fields in answers * 2:
        raw = _request(line, fields)
        assert _seen(raw, read) == _seen(raw, parse_response_head)


def test_the_same_bytes_are_read_once() -> None:
    raw = _request(b"GET /a HTTP/1.1", [b"Host: x"])
    read = request_reader()
    assert read(raw) is read(bytes(bytearray(raw)))
    assert request_reader()(raw) is not read(raw), "each listener has a memory of its own"
    answer = _request(b"HTTP/1.1 200 OK", [b"content-length: 2"])
    read_answer = response_reader()
    assert read_answer(answer) is read_answer(bytes(bytearray(answer)))


def test_a_length_does_not_make_other_lines_new() -> None:
    """What is field_lines of the lines is field_lines again with the length that they have now."""
    for fields in (
        [b"Host: x"],
        [b"Connection: keep-alive"],
        [b"Connection: X-Mine", b"X-Mine: 1"],
    ):
        read = request_reader()
        for number in (3, 0, 12345, 3):
            lengthy = [*fields, b"Content-Length: %d" % number, b"A: b"]
            raw = _request(b"GET /%d HTTP/1.1" % number, lengthy)
            assert read(raw).framing == number
            assert _seen(raw, read) == _seen(raw, parse_request_head)


def test_a_refused_head_is_refused_every_time() -> None:
    raw = _request(b"GET /a HTTP/1.1", [b"Content-Length: 3", b"Content-Length: 4"])
    read = request_reader()
    for _ in range(3):
        with pytest.raises(MalformedMessage):
            read(raw)


def test_what_is_remembered_is_bounded() -> None:
    for reader, line in (
        (request_reader, b"GET / HTTP/1.1"),
        (response_reader, b"HTTP/1.1 200 OK"),
    ):
        read = reader()
        heads = [_request(line, [b"A: %d" % number]) for number in range(REMEMBERED + 1)]
        first = read(heads[0])
        last = [read(raw) for raw in heads[1:]][-1]
        assert read(heads[-1]) is last
        assert read(heads[0]) is not first
        long = _request(line, [b"A: " + b"x" * LONGEST])
        assert read(long) is not read(long)
