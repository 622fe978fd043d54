"""Framing: the scanners against a straightforward reader of whole bodies."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.relay.body import CHUNKS_AT_ONCE, UNTIL_CLOSE, ChunkScanner, scan_body
from sidecar.relay.errors import MalformedMessage

EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b'; a="b c"', b" ;x"])
TRAILERS = st.sampled_from([b"", b"A: b\r\n", b"X-Sum: 1\r\nB:\r\n"])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A raw chunked body and its content."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    raw = b""
    for chunk in chunks:
        size = draw(st.sampled_from([b"%x", b"%X", b"%04x"])) % len(chunk)
        raw += size + draw(EXTENSIONS) + b"\r\n" + chunk + b"\r\n"
    last = draw(st.sampled_from([b"0", b"000"])) + draw(EXTENSIONS) + b"\r\n"
    return raw + last + draw(TRAILERS) + b"\r\n", b"".join(chunks)


def feed_all(scanner: ChunkScanner, data: bytes) -> int:
    """Feed what one call leaves to the next; returns how many calls that took."""
    calls = 0
    while data and not scanner.done:
        data = data[scanner.feed(data) :]
        calls += 1
    return calls


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


@given(chunked_bodies(), st.binary(max_size=20), st.lists(st.integers(0, 1000), max_size=12))
def test_a_chunked_body_ends_at_the_same_byte_however_it_is_cut(
    body: tuple[bytes, bytes], behind: bytes, places: list[int]
) -> None:
    raw, content = body
    payload = BytesIO()
    scanner = ChunkScanner(payload)
    end = 0
    for piece in cut(raw + behind, places):
        if scanner.done:
            break
        used = scanner.feed(piece)
        assert used == len(piece) or scanner.done
        end += used
    assert scanner.done
    assert end == len(raw)
    assert payload.getvalue() == content


@given(st.binary(max_size=60), st.lists(st.integers(0, 1000), max_size=6))
def test_arbitrary_bytes_are_refused_or_used_but_never_anything_else(
    data: bytes, places: list[int]
) -> None:
    outcomes: list[tuple[int, bool] | None] = []
    for pieces in ([data], cut(data, places)):
        scanner = ChunkScanner()
        used = 0
        try:
            for piece in pieces:
                used += scanner.feed(piece)
            outcomes.append((used, scanner.done))
        except MalformedMessage:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "raw",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc\rx",
        b"-1\r\n",
        b"+3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"\r\n",
        b"ffffffffffffffff\r\n",
        b"3;a\rb\r\nabc\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"3;" + b"x" * 5000,
        b"0\r\n" + b"A: b\r\n" * 20_000,
    ],
)
def test_what_two_servers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        feed_all(ChunkScanner(), raw)


def test_a_length_ends_a_body_and_nothing_ends_an_open_one() -> None:
    scanner = scan_body(5)
    assert (scanner.feed(b"abc"), scanner.done) == (3, False)
    assert (scanner.feed(b"defgh"), scanner.done) == (2, True)
    assert scan_body(0).done
    scanner = scan_body(UNTIL_CLOSE)
    assert (scanner.feed(b"abc"), scanner.done) == (3, False)


@pytest.mark.parametrize("size", [*range(1, 16), 0x1F])
def test_many_tiny_chunks_are_read_as_each_alone(size: int) -> None:
    # The content looks like what is around it.
    contents = [(b"\r\n%x\r\n" % (number % 16) * size)[:size] for number in range(1300)]
    heads = [b"%x\r\n" % size, b"%X\r\n" % size, b"%x;a\r\n" % size]
    raw = b"".join(
        heads[number % 7 == 0 and number % 3] + content + b"\r\n"
        for number, content in enumerate(contents)
    )
    whole = raw + b"0\r\n\r\nnext"
    scanner = ChunkScanner(payload := BytesIO())
    at = 0
    while not scanner.done:
        used = scanner.feed(whole[at:])
        assert 0 < used <= CHUNKS_AT_ONCE * (size + 8)
        at += used
    assert whole[at:] == b"next"
    assert payload.getvalue() == b"".join(contents)
