"""Heads of requests and responses: what the relay reads from them, and how it writes them.

Header lines are forwarded unchanged: order, case, duplicates, bytes beyond ASCII. field_lines.py
judges them. This file judges the start line, because llhttp refuses targets that OpenSearch accepts
(`?q=é` as raw bytes) and methods that llhttp does not know.

A head is split into fields only when somebody asks for these. It never changes once it is read, so
one object can stand for all heads with the same bytes (known_heads.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sidecar.relay.body import CHUNKED, UNTIL_CLOSE
from sidecar.relay.errors import MalformedMessage
from sidecar.relay.field_lines import (
    ESSENTIAL,
    FRAMING,
    HOP_BY_HOP,
    HOP_BY_HOP_STARTS,
    OUR_STARTS,
    FieldLines,
    read_request_lines,
    read_response_lines,
)

HEAD_LIMIT: Final = 128 << 10
"""Maximum bytes of a request's head: eight times what OpenSearch 3 accepts by default (2.19:
sixteen times), so the client gets OpenSearch's own error."""

ANSWER_HEAD_LIMIT: Final = 1 << 20
"""Maximum bytes of an answer's head: by default OpenSearch does not limit its `Warning` fields."""

Fields = tuple[tuple[bytes, bytes], ...]
"""A head's fields in order: the name in lower case, and the whole original line."""

_REQUEST_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) (HTTP/\d\.\d)\r\n"
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\x00]*)?\r\n")

_NO_REQUEST_LINE: Final = "the request line is not METHOD TARGET HTTP/1.1"
_FORWARDED: Final = b"x-forwarded-for"


class _Head:
    """What heads of both kinds have.

    `framing` is as in body.py. `keep_alive`: the sender is ready for another message on this
    connection. `connection_names`: the fields that its `Connection` lists, in lower case. `length`:
    the number of its original bytes. `unchanged`: the relay forwards these bytes if nothing is to
    be added or dropped.
    """

    __slots__ = (
        *("_fields", "_forwarded", "_raw"),
        *("framing", "keep_alive", "length", "connection_names", "start_line", "unchanged"),
    )

    def __init__(
        self,
        raw: bytes,
        start_line: bytes,
        field_lines: FieldLines,
        framing: int,
        keep_alive: bool,
    ) -> None:
        self._raw = raw
        self._fields: Fields | None = None
        self._forwarded = field_lines.forwarded
        self.start_line = start_line
        self.framing = framing
        self.keep_alive = keep_alive
        self.connection_names = field_lines.connection_names
        self.length = len(raw)
        self.unchanged = field_lines.unchanged

    @property
    def fields(self) -> Fields:
        """All fields in order."""
        if self._fields is None:
            lines = self._raw[:-4].split(b"\r\n")[1:]
            self._fields = tuple([(line.partition(b":")[0].lower(), line) for line in lines])
        return self._fields

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field, stripped; `name` is in lower case."""
        return next(self._values(name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """All values of a field, stripped, in order; `name` is in lower case."""
        return list(self._values(name))

    def _values(self, name: bytes) -> Iterator[bytes]:
        return (_value(line) for field, line in self.fields if field == name)

    def _write(
        self,
        start_line: bytes,
        dropped_starts: tuple[bytes, ...],
        content_length: int | None,
        drop: Sequence[bytes],
        add: Sequence[bytes],
    ) -> bytes:
        if self._forwarded is not None and content_length is None and not drop:
            if not add:
                return start_line + self._forwarded
            lines_added = (line + b"\r\n" for line in add)
            return b"".join((start_line, self._forwarded[:-2], *lines_added, b"\r\n"))
        dropped = HOP_BY_HOP.union(self.connection_names - ESSENTIAL, drop)
        length: tuple[bytes, ...] = ()
        if content_length is not None:
            dropped |= FRAMING
            length = (b"Content-Length: %d" % content_length,)
        lines = (
            line
            for name, line in self.fields
            if name not in dropped and not name.startswith(dropped_starts)
        )
        return b"\r\n".join((start_line, *lines, *length, *add, b"\r\n"))


class RequestHead(_Head):
    """The head of a request; `target` is the raw request target."""

    __slots__ = ("http_1_0", "method", "target")

    def __init__(
        self,
        raw: bytes,
        start_line: bytes,
        field_lines: FieldLines,
        framing: int,
        keep_alive: bool,
        method: bytes,
        target: bytes,
        http_1_0: bool,
    ) -> None:
        super().__init__(raw, start_line, field_lines, framing, keep_alive)
        self.method = method
        self.target = target
        self.http_1_0 = http_1_0

    @property
    def signed(self) -> bool:
        """Whether it has an AWS signature, which a change of head, target or body may break."""
        return (self.get(b"authorization") or b"").startswith(b"AWS4-")

    def forwarded_for(self, address: str) -> RequestHead:
        """Return the head with the sender's address as the last one in `X-Forwarded-For`.

        A head with an AWS signature stays unchanged: the signature may cover that field.
        """
        if self.signed:
            return self
        line = b"X-Forwarded-For: " + b", ".join((*self.get_all(_FORWARDED), address.encode()))
        others = tuple(field for field in self.fields if field[0] != _FORWARDED)
        head = self.replace(fields=(*others, (_FORWARDED, line)))
        # Otherwise a sender could list the field in Connection, and stay anonymous.
        head.connection_names = self.connection_names - {_FORWARDED}
        return head

    def replace(
        self,
        *,
        start_line: bytes | None = None,
        fields: Fields | None = None,
        framing: int | None = None,
        method: bytes | None = None,
        target: bytes | None = None,
    ) -> RequestHead:
        """Return a copy of the head with the given parts replaced."""
        head = RequestHead(
            self._raw,
            self.start_line if start_line is None else start_line,
            FieldLines(None, self.connection_names, None, False),
            self.framing if framing is None else framing,
            self.keep_alive,
            self.method if method is None else method,
            self.target if target is None else target,
            self.http_1_0,
        )
        head._fields = self.fields if fields is None else fields
        return head

    def write_upstream(
        self,
        *,
        method: bytes | None = None,
        target: bytes | None = None,
        drop: Sequence[bytes] = (),
        add: Sequence[bytes] = (),
    ) -> bytes:
        """Return the head for OpenSearch, with its empty line; the original body follows it.

        It lacks fields for one connection only and the sidecar's own `X-Rescore...`. `drop`: names
        in lower case; `add`: whole lines without CRLF.
        """
        return self._write(self._request_line(method, target), OUR_STARTS, None, drop, add)

    def write_with_body(
        self,
        body: bytes,
        *,
        method: bytes | None = None,
        target: bytes | None = None,
        drop: Sequence[bytes] = (),
        add: Sequence[bytes] = (),
    ) -> tuple[bytes, bytes]:
        """Return head and body of a request with a new body, for `Exchanger.exchange`.

        Arguments as in `write_upstream`. The head gets a Content-Length, unless it has no framing
        and there is no body.
        """
        length = len(body) if body or self.framing else None
        return self._write(self._request_line(method, target), OUR_STARTS, length, drop, add), body

    def _request_line(self, method: bytes | None, target: bytes | None) -> bytes:
        if method is None and target is None:
            return self.start_line
        version = b"HTTP/1.0" if self.http_1_0 else b"HTTP/1.1"
        return b" ".join((method or self.method, target or self.target, version))


class ResponseHead(_Head):
    """The head of a response; `framing` takes HEAD, 1xx, 204 and 304 into account."""

    __slots__ = ("status",)

    def __init__(
        self,
        raw: bytes,
        start_line: bytes,
        field_lines: FieldLines,
        framing: int,
        keep_alive: bool,
        status: int,
    ) -> None:
        super().__init__(raw, start_line, field_lines, framing, keep_alive)
        self.status = status

    def write_client(
        self,
        *,
        content_length: int | None = None,
        drop: Sequence[bytes] = (),
        add: Sequence[bytes] = (),
    ) -> bytes:
        """Return the head for the client, with its empty line.

        Arguments as in `RequestHead.write_upstream`; `content_length` replaces the framing. The
        relay adds `Connection` later.
        """
        return self._write(self.start_line, HOP_BY_HOP_STARTS, content_length, drop, add)


def parse_request_head(
    raw: bytes, *, read_lines: Callable[[bytes], FieldLines] = read_request_lines
) -> RequestHead:
    """Read a request's head; `raw` ends with its empty line. Raises MalformedMessage."""
    match = _REQUEST_LINE.match(raw)
    if not match:
        raise MalformedMessage(_NO_REQUEST_LINE)
    method, target, version = match.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise MalformedMessage("only HTTP/1.1 and HTTP/1.0 are supported", status=505)
    if method == b"CONNECT":
        raise MalformedMessage("CONNECT is not supported: this is not a forward proxy", status=501)
    end = match.end() - 2
    field_lines = read_lines(raw[end:])
    http_1_0 = version == b"HTTP/1.0"
    if http_1_0 and field_lines.framing == CHUNKED:
        raise MalformedMessage("HTTP/1.0 has no Transfer-Encoding")
    return RequestHead(
        raw,
        raw[:end],
        field_lines,
        field_lines.framing or 0,
        _keeps_alive(field_lines.connection_names, http_1_0),
        method,
        target,
        http_1_0,
    )


def parse_response_head(raw: bytes, *, to_head: bool = False) -> ResponseHead:
    """Read a response's head; `to_head`: it answers a HEAD. Raises MalformedMessage."""
    match = _STATUS_LINE.match(raw)
    if not match:
        raise MalformedMessage("the status line is not HTTP/1.1 STATUS REASON")
    end = match.end() - 2
    field_lines = read_response_lines(raw[end:])
    status = int(match[2])
    framing = field_lines.framing
    if to_head or status < 200 or status in (204, 304):
        framing = 0
    elif framing is None:
        framing = UNTIL_CLOSE
    keep_alive = _keeps_alive(field_lines.connection_names, match[1] == b"0")
    return ResponseHead(raw, raw[:end], field_lines, framing, keep_alive, status)


def find_head_end(data: bytes | bytearray, sought: int = 0, limit: int = HEAD_LIMIT) -> int:
    """Return the offset after a head's empty line, or -1 if more bytes are needed.

    `sought`: the number of bytes that earlier calls have searched; `limit`: maximum bytes of a
    head. Raises MalformedMessage if these bytes cannot become a head.
    """
    end = data.find(b"\r\n\r\n", sought - 3 if sought > 3 else 0) + 4
    if 3 < end <= limit:
        return end
    if end > limit or len(data) > limit:
        raise MalformedMessage(f"the head is longer than {limit} bytes", status=431)
    # The last byte of an earlier search may be a CR.
    start = sought - 1 if sought and data[sought - 1 : sought] == b"\r" else sought
    if data.count(b"\n", start) != data.count(b"\r\n", start) or data[0] < 0x21:
        raise MalformedMessage("this is not HTTP/1.1: lines must end with CR LF")
    return -1


def check_request_line(data: bytes, sought: int) -> None:
    """Raise MalformedMessage if the first line is not a request line, before the head is whole.

    `sought` as in `find_head_end`. Clients of HTTP/0.9 send nothing after `GET /`, and wait.
    """
    line_end = data.find(b"\r\n") + 2
    if line_end > 1 and line_end > sought and not _REQUEST_LINE.match(data):
        raise MalformedMessage(_NO_REQUEST_LINE)


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip(b" \t")


def _keeps_alive(connection_names: frozenset[bytes], http_1_0: bool) -> bool:
    if http_1_0:
        return b"keep-alive" in connection_names
    return b"close" not in connection_names
