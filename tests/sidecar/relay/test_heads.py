"""Heads: what is read, what is refused, what is written on."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.relay.body import CHUNKED, UNTIL_CLOSE
from sidecar.relay.errors import MalformedMessage
from sidecar.relay.heads import (
    HEAD_LIMIT,
    find_head_end,
    parse_request_head,
    parse_response_head,
)

SEARCH = (
    b"POST /i/_search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\nTrailer: X\r\nX-Rescore: off\r\nX-Opaque-Id: 7\r\n\r\n"
)


def request(fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n\r\n"


def test_a_request_head_is_read() -> None:
    head = parse_request_head(request(b"Host:  x \r\nA: 1\r\na:2\r\nContent-Length: 12"))
    assert (head.method, head.target, head.framing) == (b"GET", b"/", 12)
    assert head.keep_alive
    assert head.get(b"host") == b"x"
    assert head.get_all(b"a") == [b"1", b"2"]
    assert head.get(b"b") is None


def test_an_edited_request_changes_only_what_was_asked() -> None:
    head = parse_request_head(SEARCH)
    assert head.get(b"x-rescore") == b"off"
    written, body = head.write_with_body(
        b"123456789", target=b"/i/_search?size=50", drop=(b"x-opaque-id",), add=(b"A: b",)
    )
    assert body == b"123456789"
    assert written == (
        b"POST /i/_search?size=50 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 9\r\nA: b\r\n\r\n"
    )
    assert head.write_upstream(method=b"GET").startswith(b"GET /i/_search HTTP/1.1\r\nHost")


def test_an_edited_response_changes_only_what_was_asked() -> None:
    raw = b"HTTP/1.1 200 OK\r\nWarning: 1\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\n"
    head = parse_response_head(raw)
    assert (head.status, head.framing) == (200, 5)
    assert head.write_client() == raw
    assert head.write_client(
        content_length=7, drop=(b"content-encoding",), add=(b"X-Rescore: applied",)
    ) == (b"HTTP/1.1 200 OK\r\nWarning: 1\r\nContent-Length: 7\r\nX-Rescore: applied\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(b"Content-Length: 3\r\nContent-Length: 3"), 400),
        (request(b"Content-Length: 3\r\nContent-Length: 4"), 400),
        (request(b"Content-Length: 3, 3"), 400),
        (request(b"Content-Length: +3"), 400),
        (request(b"Content-Length: -3"), 400),
        (request(b"Content-Length:"), 400),
        (request(b"Content-Length: 99999999999999999999999"), 400),
        (request(b"Content-Length: 3\r\nTransfer-Encoding: chunked"), 400),
        (request(b"Transfer-Encoding: chunked\r\nContent-Length: 3"), 400),
        (request(b"Transfer-Encoding: gzip"), 400),
        (request(b"Transfer-Encoding: xchunked"), 400),
        (request(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400),
        (request(b"Transfer-Encoding: gzip, chunked"), 501),
        (request(b"Transfer-Encoding: chunked", b"GET / HTTP/1.0"), 400),
        (request(b"Content-Length : 3"), 400),
        (request(b"A: b\r\n folded"), 400),
        (request(b"A: b\rC: d"), 400),
        (request(b"A: b\nC: d"), 400),
        (request(b"A: \x00"), 400),
        (request(b"no colon"), 400),
        (request(b"A: b", b"GET / HTTP/2.0"), 505),
        (request(b"A: b", b"GET /"), 400),
        (request(b"A: b", b"GET  / HTTP/1.1"), 400),
        (request(b"A: b", b"GET /a b HTTP/1.1"), 400),
        (request(b"A: b", b"GET /\x7f HTTP/1.1"), 400),
        (request(b"A: b", b"G(T / HTTP/1.1"), 400),
        (request(b"Host: x", b"CONNECT x:443 HTTP/1.1"), 501),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
    ],
)
def test_a_request_that_servers_could_read_differently_is_refused(raw: bytes, status: int) -> None:
    with pytest.raises(MalformedMessage) as refused:
        parse_request_head(raw)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
    ],
)
def test_a_malformed_response_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_response_head(raw)


@pytest.mark.parametrize(
    ("raw", "keep_alive"),
    [
        (request(b"Host: x"), True),
        (request(b"Connection: CLOSE"), False),
        (request(b"Connection: x ,close"), False),
        (request(b"A: b", b"GET / HTTP/1.0"), False),
        (request(b"Connection: Keep-Alive", b"GET / HTTP/1.0"), True),
    ],
)
def test_whether_the_sender_keeps_the_connection(raw: bytes, keep_alive: bool) -> None:
    assert parse_request_head(raw).keep_alive is keep_alive


def test_how_a_response_is_framed() -> None:
    def framing(raw: bytes, to_head: bool = False) -> int:
        return parse_response_head(raw, to_head=to_head).framing

    assert framing(b"HTTP/1.1 200 OK\r\n\r\n") == UNTIL_CLOSE
    assert framing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n") == CHUNKED
    assert framing(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", to_head=True) == 0
    assert framing(b"HTTP/1.1 204 No Content\r\n\r\n") == 0
    assert framing(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n") == 0
    assert framing(b"HTTP/1.1 100 Continue\r\n\r\n") == 0


@given(st.integers(0, len(SEARCH)), st.integers(0, len(SEARCH)), st.binary(max_size=10))
def test_a_head_ends_at_the_same_byte_however_it_is_cut(a: int, b: int, behind: bytes) -> None:
    data, sought = SEARCH + behind, 0
    for length in (*sorted((a, b)), len(data)):
        if length == 0:
            continue
        end = find_head_end(data[:length], sought)
        if end > 0:
            break
        sought = length
    assert end == len(SEARCH)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\nHost: x\n\n", b"\x16\x03\x01\x02\x00\x01", b" GET / HTTP/1.1"]
)
def test_what_will_never_be_a_head_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        find_head_end(data)


def test_a_head_has_a_limit() -> None:
    assert find_head_end(b"GET / HTTP/1.1\r\nA: " + b"x" * (HEAD_LIMIT - 100)) == -1
    for end in (b"", b"\r\n\r\n"):
        with pytest.raises(MalformedMessage) as refused:
            find_head_end(b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_LIMIT + end)
        assert refused.value.status == 431


@given(st.binary(max_size=80))
def test_arbitrary_bytes_never_break_the_reader(data: bytes) -> None:
    for parse in (parse_request_head, parse_response_head):
        for raw in (data + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"):
            with contextlib.suppress(MalformedMessage):
                parse(raw)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"A", b"x-B", b"Accept", b"WARNING"]),
            st.binary(max_size=20).filter(lambda value: not set(value) & {*range(32), 127}),
        ),
        max_size=8,
    )
)
def test_ordinary_lines_are_written_as_they_came(fields: list[tuple[bytes, bytes]]) -> None:
    lines = b"".join(name + b":" + value + b"\r\n" for name, value in fields)
    raw = b"GET / HTTP/1.1\r\n" + lines + b"\r\n"
    assert parse_request_head(raw).write_upstream() == raw


@given(
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]),
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"A", b"Connection", b"CONNECTION", b"Keep-Alive", b"te", b"Tea", b"TE-X"]
                + [b"Upgrade", b"HTTP2-Settings", b"Proxy-Authorization", b"Proxy", b"Trailer"]
                + [b"x-rescore", b"X-Rescore-Plan", b"X-Rescored", b"Host", b"Content-Type"]
            ),
            st.sampled_from([b"x", b"close", b" Keep-Alive", b"a, host ,TE", b"", b": te: 1"]),
        ),
        max_size=6,
    ),
    st.sampled_from([b"", b"Content-Length: 7\r\n", b"transfer-ENCODING:  Chunked \r\n"]),
)
def test_a_head_written_whole_is_the_one_written_line_by_line(
    version: bytes, fields: list[tuple[bytes, bytes]], framing: bytes
) -> None:
    lines = [name + b":" + value + b"\r\n" for name, value in fields]
    raw = b"GET / " + version + b"\r\n" + b"".join([*lines[:3], framing, *lines[3:]]) + b"\r\n"
    with contextlib.suppress(MalformedMessage):
        head = parse_request_head(raw)
        assert head.write_upstream() == head.replace().write_upstream()
        added = head.write_upstream(add=(b"B: 1",))
        assert added == head.replace().write_upstream(add=(b"B: 1",))
        expected = {b"": 0, b"C": 7, b"t": CHUNKED}[framing[:1]]
        assert head.framing == expected


@given(
    st.sampled_from(
        [
            b"",
            b"Content-Length: 0",
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked\r\nTrailer: A",
        ]
    ),
    st.binary(max_size=9),
    st.sampled_from([b"Host: x", b"Content-Encoding: gzip", b"Connection: content-length, a"]),
)
def test_the_framing_always_fits_the_body_that_is_written(
    framing: bytes, body: bytes, other: bytes
) -> None:
    head = parse_request_head(request(b"\r\n".join(filter(None, (other, framing)))))
    written, written_body = head.write_with_body(body, drop=(b"content-encoding",))
    again = parse_request_head(written)
    assert written_body == body
    assert again.framing == len(body)
    assert again.get(b"transfer-encoding") is again.get(b"trailer") is None
    # Without a body, a request that said nothing of one says nothing still.
    assert (again.get(b"content-length") is None) == (not body and not framing)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"A: b", b"GET / HTTP/1.1\r\n"]), min_size=1)
)
def test_a_head_in_pieces_is_judged_as_in_one(pieces: list[bytes]) -> None:
    def judge(pieces: list[bytes]) -> int | None:
        data, sought = b"X", 0
        for piece in pieces:
            data += piece
            try:
                end = find_head_end(data, sought)
            except MalformedMessage:
                return None
            if end > 0:
                return end
            sought = len(data)
        return -1

    whole, end = b"".join(pieces), judge(pieces)
    bare = whole.replace(b"\r\n", b"").find(b"\n") >= 0
    if end is None:
        assert bare
    else:
        assert end == (b"X" + whole).find(b"\r\n\r\n") + 4 or (end == -1 and not bare)
