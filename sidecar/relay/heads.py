"""Request and response heads: what the relay reads of them, and how they are written on.

Header lines are kept and forwarded as they came: order, case, duplicates, bytes beyond ASCII.
The syntax of the fields and the framing are judged by llhttp in its strict mode, so that no
server can see other requests in the same bytes; the start line is judged here, because llhttp
refuses targets that OpenSearch accepts (`?q=é` as raw bytes) and methods it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import httptools

from sidecar.relay.body import CHUNKED, UNTIL_CLOSE
from sidecar.relay.errors import MalformedMessage

HEAD_LIMIT: Final = 1 << 20
"""Bytes; far above OpenSearch's own limit, so that its error is the one that is seen."""

Fields = tuple[tuple[bytes, bytes], ...]
"""A head's fields in order: the name in lower case, and the whole line as it came."""

_REQUEST_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) (HTTP/\d\.\d)"
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\x00]*)?")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")

# RFC 9110, section 7.6.1. Transfer-Encoding is one too, but here the chunks themselves go on.
_HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"te", b"upgrade", b"http2-settings"))
_HOP_BY_HOP_STARTS: Final = (b"proxy-",)
_OUR_STARTS: Final = (b"proxy-", b"x-rescore")
_READ: Final = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"trailer"))

# Fields that a Connection field cannot make disappear: without them it is another message.
_ESSENTIAL: Final = _FRAMING | {b"host"}


class RequestHead(NamedTuple):
    """The head of a request; `target` is the raw request target.

    `framing` as in body.py; `keep_alive`: the sender is ready for another message on this
    connection; `named`: the fields that its `Connection` lists, in lower case.
    """

    start_line: bytes
    fields: Fields
    framing: int
    keep_alive: bool
    named: frozenset[bytes]
    method: bytes
    target: bytes
    http_1_0: bool

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field (its name in lower case), stripped."""
        return next(_values(self.fields, name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of a field (its name in lower case), stripped, in order."""
        return list(_values(self.fields, name))

    def write_upstream(
        self,
        *,
        method: bytes | None = None,
        target: bytes | None = None,
        content_length: int | None = None,
        drop: Sequence[bytes] = (),
        add: Sequence[bytes] = (),
    ) -> bytes:
        """The head as it goes to OpenSearch, with its closing empty line.

        Fields for one connection only and our own `X-Rescore...` are left out. `drop`: names in
        lower case; `add`: whole lines without CRLF; `content_length` replaces the framing.
        """
        line = self.start_line
        if method is not None or target is not None:
            version = b"HTTP/1.0" if self.http_1_0 else b"HTTP/1.1"
            line = b" ".join((method or self.method, target or self.target, version))
        fields = _kept(self.fields, self.named, _OUR_STARTS, content_length, drop)
        return _written(line, fields, content_length, add)


class ResponseHead(NamedTuple):
    """The head of a response; `framing` already knows of HEAD, 1xx, 204 and 304.

    The other fields as in RequestHead.
    """

    start_line: bytes
    fields: Fields
    framing: int
    keep_alive: bool
    named: frozenset[bytes]
    status: int

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field (its name in lower case), stripped."""
        return next(_values(self.fields, name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of a field (its name in lower case), stripped, in order."""
        return list(_values(self.fields, name))

    def write_client(
        self,
        *,
        content_length: int | None = None,
        drop: Sequence[bytes] = (),
        add: Sequence[bytes] = (),
    ) -> bytes:
        """The head as it goes to the application, with its closing empty line.

        Arguments as in `RequestHead.write_upstream`. The relay adds `Connection` by itself.
        """
        fields = _kept(self.fields, self.named, _HOP_BY_HOP_STARTS, content_length, drop)
        return _written(self.start_line, fields, content_length, add)


def parse_request_head(raw: bytes) -> RequestHead:
    """Read a request's head; `raw` ends with its empty line. Raises MalformedMessage."""
    start_line, fields = _split(raw)
    match = _REQUEST_LINE.fullmatch(start_line)
    if not match:
        raise MalformedMessage("the request line is not METHOD TARGET HTTP/1.1")
    method, target, version = match.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise MalformedMessage("only HTTP/1.1 and HTTP/1.0 are spoken here", status=505)
    if method == b"CONNECT":
        raise MalformedMessage("CONNECT is not offered: this is no forward proxy", status=501)
    _judge(httptools.HttpRequestParser(_NoCallbacks()), b"POST / HTTP/1.1", start_line, raw)
    framing, named = _framing(fields)
    http_1_0 = version == b"HTTP/1.0"
    if http_1_0 and framing == CHUNKED:
        raise MalformedMessage("HTTP/1.0 has no Transfer-Encoding")
    return RequestHead(
        start_line=start_line,
        fields=fields,
        framing=0 if framing is None else framing,
        keep_alive=_keeps_alive(named, http_1_0),
        named=named,
        method=method,
        target=target,
        http_1_0=http_1_0,
    )


def parse_response_head(raw: bytes, *, to_head: bool = False) -> ResponseHead:
    """Read a response's head; `to_head`: it answers a HEAD. Raises MalformedMessage."""
    start_line, fields = _split(raw)
    match = _STATUS_LINE.fullmatch(start_line)
    if not match:
        raise MalformedMessage("the status line is not HTTP/1.1 STATUS REASON")
    status = int(match[2])
    _judge(httptools.HttpResponseParser(_NoCallbacks()), b"HTTP/1.1 200 OK", start_line, raw)
    framing, named = _framing(fields)
    if to_head or status < 200 or status in (204, 304):
        framing = 0
    return ResponseHead(
        start_line=start_line,
        fields=fields,
        framing=UNTIL_CLOSE if framing is None else framing,
        keep_alive=_keeps_alive(named, match[1] == b"0"),
        named=named,
        status=status,
    )


def find_head_end(data: bytes, sought: int = 0) -> int:
    """Offset behind a head's empty line, or -1 when more bytes are needed.

    `sought`: so many bytes were already looked through. Raises MalformedMessage when these bytes
    will never be a head.
    """
    end = data.find(b"\r\n\r\n", max(0, sought - 3)) + 4
    if end > HEAD_LIMIT or (end == 3 and len(data) > HEAD_LIMIT):
        raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes", status=431)
    if end == 3:
        if _BARE_LF.search(data, sought) or data[0] < 0x21 and data[:1] != b"\r":
            raise MalformedMessage("this is not HTTP/1.1; lines must end with CR LF")
        return -1
    return end


class _NoCallbacks:
    """llhttp only judges here; what it reads is not asked for."""

    __slots__ = ()


def _split(raw: bytes) -> tuple[bytes, Fields]:
    start_line, *lines = raw[:-4].split(b"\r\n")
    return start_line, tuple((line.partition(b":")[0].lower(), line) for line in lines)


def _values(fields: Fields, name: bytes) -> Iterator[bytes]:
    return (_value(line) for field, line in fields if field == name)


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip(b" \t")


def _kept(
    fields: Fields,
    named: frozenset[bytes],
    dropped_starts: tuple[bytes, ...],
    content_length: int | None,
    drop: Sequence[bytes],
) -> list[bytes]:
    dropped = _HOP_BY_HOP
    if named or drop or content_length is not None:
        dropped = _HOP_BY_HOP.union(named - _ESSENTIAL, drop)
        if content_length is not None:
            dropped |= _FRAMING
    return [
        line for name, line in fields if name not in dropped and not name.startswith(dropped_starts)
    ]


def _written(
    start_line: bytes, fields: list[bytes], content_length: int | None, add: Sequence[bytes]
) -> bytes:
    length = () if content_length is None else (b"Content-Length: %d" % content_length,)
    return b"\r\n".join((start_line, *fields, *length, *add, b"\r\n"))


def _judge(
    parser: httptools.HttpRequestParser | httptools.HttpResponseParser,
    stand_in: bytes,
    start_line: bytes,
    raw: bytes,
) -> None:
    try:
        parser.feed_data(stand_in + raw[len(start_line) :])
    except httptools.HttpParserUpgrade:
        pass  # Upgrade is dropped on the way, so this is an ordinary message
    except httptools.HttpParserError as error:
        raise MalformedMessage(f"the head is malformed: {error}") from None


def _framing(fields: Fields) -> tuple[int | None, frozenset[bytes]]:
    """Length, CHUNKED or None; and the names that Connection lists. llhttp judged before."""
    framing: int | None = None
    named: frozenset[bytes] = frozenset()
    for name, line in fields:
        if name not in _READ:
            continue
        if name == b"content-length":
            framing = int(_value(line))
        elif name == b"connection":
            named |= frozenset(_tokens(line))
        else:
            if _value(line).lower() != b"chunked":
                raise MalformedMessage("only Transfer-Encoding: chunked is known", status=501)
            framing = CHUNKED
    return framing, named


def _tokens(line: bytes) -> Iterator[bytes]:
    return (token.strip(b" \t").lower() for token in _value(line).split(b","))


def _keeps_alive(named: frozenset[bytes], http_1_0: bool) -> bool:
    if http_1_0:
        return b"keep-alive" in named
    return b"close" not in named
