"""Heads against a slow and obvious reference: which lines go on, and where the body ends.

The relay finds the few lines it must know by one search over the raw head; whatever that search
does not see, or sees where it is not, would be a way to smuggle.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.relay.body import CHUNKED, UNTIL_CLOSE
from sidecar.relay.errors import MalformedMessage
from sidecar.relay.heads import parse_request_head, parse_response_head

_HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"upgrade", b"http2-settings"}
_ESSENTIAL = {b"content-length", b"transfer-encoding", b"trailer", b"host"}

_names = st.sampled_from(
    "Host Connection CONNECTION Content-Length content-length Content-Length-X X-Content-Length "
    "Transfer-Encoding Transfer-EncodinG TransferEncoding TE T Trailer Keep-Alive Keep-AliveX "
    "Upgrade HTTP2-Settings Proxy-Authorization Proxy- Proxy XProxy-A X-Rescore x-rescore-plan "
    "X-RescoreX X-Res A Authorization Cookie Warning c Content-Type".split()
)
_values = st.sampled_from(
    [
        *("", "0", "3", "03", " 3 ", "\t3", "3,3", "chunked", "Chunked ", "identity", "close"),
        *("Close", "keep-alive", "A", "a, close", "X-Res, ,authorization", "upgrade, te"),
        *("content-length", "host,connection", "b: Content-Length: 9", "caf\u00e9", "transfer"),
    ]
)
_fields = st.lists(st.tuples(_names, st.sampled_from(["", " ", "\t "]), _values), max_size=7)
Fields = list[tuple[str, str, str]]


def _reference(
    fields: Fields, ours: tuple[bytes, ...]
) -> tuple[list[bytes], int | None, set[bytes]]:
    """The lines that go on, the framing that the fields give, and what Connection names."""
    lines = [f"{name}:{blank}{value}".encode("latin-1") for name, blank, value in fields]
    pairs = [
        (line.partition(b":")[0].lower(), line.partition(b":")[2].strip(b" \t")) for line in lines
    ]
    named = {
        token.strip(b" \t").lower()
        for name, value in pairs
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = _HOP_BY_HOP | (named - _ESSENTIAL)
    kept = [
        line
        for line, (name, _) in zip(lines, pairs, strict=True)
        if name not in dropped and not name.startswith(ours)
    ]
    framing: int | None = None
    for name, value in pairs:
        if name == b"content-length":
            framing = int(value)
        elif name == b"transfer-encoding":
            framing = CHUNKED
    return kept, framing, named


@given(_fields)
@example([("Content-Length", "", "3"), ("Content-Length", "", "3")])
@example([("Connection", " ", "a"), ("A", " ", "b"), ("a", "", "c")])
def test_a_request_goes_on_as_the_reference_says(fields: Fields) -> None:
    line = b"POST /\xe9?content-length:9 HTTP/1.1"
    text = "".join(f"{name}:{blank}{value}\r\n" for name, blank, value in fields)
    try:
        head = parse_request_head(line + b"\r\n" + text.encode("latin-1") + b"\r\n")
    except MalformedMessage:
        return
    kept, framing, named = _reference(fields, (b"proxy-", b"x-rescore"))
    assert head.write_upstream() == b"\r\n".join([line, *kept, b"\r\n"])
    assert head.framing == (framing or 0)
    assert head.keep_alive == (b"close" not in named)


@given(_fields)
def test_a_response_goes_on_as_the_reference_says(fields: Fields) -> None:
    line = b"HTTP/1.1 200 content-length: 9"
    text = "".join(f"{name}:{blank}{value}\r\n" for name, blank, value in fields)
    try:
        head = parse_response_head(line + b"\r\n" + text.encode("latin-1") + b"\r\n")
    except MalformedMessage:
        return
    kept, framing, named = _reference(fields, (b"proxy-",))
    assert head.write_client() == b"\r\n".join([line, *kept, b"\r\n"])
    assert head.framing == (UNTIL_CLOSE if framing is None else framing)
    assert head.keep_alive == (b"close" not in named)


@pytest.mark.parametrize("second", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_a_body_with_two_ends_is_never_framed(second: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_request_head(f"POST / HTTP/1.1\r\nContent-Length: 3\r\n{second}\r\n\r\n".encode())
