"""Request and response heads: what the relay reads of them, and how they are written on.

Header lines are kept and forwarded as they came: order, case, duplicates, bytes beyond ASCII.
field_lines.py judges them. The start line is judged here, because llhttp refuses targets that
OpenSearch accepts (`?q=é` as raw bytes) and methods it does not know.

A head is not taken apart unless somebody asks for its fields, and it never changes once it is
read, so that one may stand for all that are the same bytes (known_heads.py).
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
    Told,
    read_request_lines,
    read_response_lines,
)

HEAD_LIMIT: Final = 1 << 20
"""Bytes; far above OpenSearch's own limit, so that its error is the one that is seen."""

Fields = tuple[tuple[bytes, bytes], ...]
"""A head's fields in order: the name in lower case, and the whole line as it came."""

_REQUEST_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) (HTTP/\d\.\d)\r\n"
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\x00]*)?\r\n")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")

_FORWARDED: Final = b"x-forwarded-for"


class _Head:
    """What heads of both kinds have.

    `framing` as in body.py; `keep_alive`: the sender is ready for another message on this
    connection; `named`: the fields that its `Connection` lists, in lower case; `length`: its
    bytes as it came; `unchanged`: it goes on as it came when nothing else is asked for.
    """

    __slots__ = (
        *("_fields", "_kept", "_raw"),
        *("framing", "keep_alive", "length", "named", "start_line", "unchanged"),
    )

    def __init__(
        self,
        raw: bytes,
        start_line: bytes,
        told: Told,
        framing: int,
        keep_alive: bool,
    ) -> None:
        self._raw = raw
        self._fields: Fields | None = None
        self._kept = told.kept
        self.start_line = start_line
        self.framing = framing
        self.keep_alive = keep_alive
        self.named = told.named
        self.length = len(raw)
        self.unchanged = told.unchanged

    @property
    def fields(self) -> Fields:
        """All fields in order."""
        if self._fields is None:
            lines = self._raw[:-4].split(b"\r\n")[1:]
            self._fields = tuple((line.partition(b":")[0].lower(), line) for line in lines)
        return self._fields

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field (its name in lower case), stripped."""
        return next(self._values(name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of a field (its name in lower case), stripped, in order."""
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
        if self._kept is not None and content_length is None and not drop:
            if not add:
                return start_line + self._kept
            lines_added = (line + b"\r\n" for line in add)
            return b"".join((start_line, self._kept[:-2], *lines_added, b"\r\n"))
        dropped = HOP_BY_HOP.union(self.named - ESSENTIAL, drop)
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
        told: Told,
        framing: int,
        keep_alive: bool,
        method: bytes,
        target: bytes,
        http_1_0: bool,
    ) -> None:
        super().__init__(raw, start_line, told, framing, keep_alive)
        self.method = method
        self.target = target
        self.http_1_0 = http_1_0

    @property
    def signed(self) -> bool:
        """Whether it has an AWS signature, which a changed head, target or body may break."""
        return (self.get(b"authorization") or b"").startswith(b"AWS4-")

    def forwarded_for(self, address: str) -> RequestHead:
        """The head with the sender's address as the last one of its `X-Forwarded-For`.

        A head with an AWS signature stays as it is: the signature may cover that field.
        """
        if self.signed:
            return self
        line = b"X-Forwarded-For: " + b", ".join((*self.get_all(_FORWARDED), address.encode()))
        others = tuple(field for field in self.fields if field[0] != _FORWARDED)
        head = self.replace(fields=(*others, (_FORWARDED, line)))
        # A sender that lists the field in Connection would otherwise stay unnamed.
        head.named = self.named - {_FORWARDED}
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
        """A head that is another in these respects."""
        head = RequestHead(
            self._raw,
            self.start_line if start_line is None else start_line,
            Told(None, self.named, None, False),
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
        return self._write(line, OUR_STARTS, content_length, drop, add)


class ResponseHead(_Head):
    """The head of a response; `framing` already knows of HEAD, 1xx, 204 and 304."""

    __slots__ = ("status",)

    def __init__(
        self,
        raw: bytes,
        start_line: bytes,
        told: Told,
        framing: int,
        keep_alive: bool,
        status: int,
    ) -> None:
        super().__init__(raw, start_line, told, framing, keep_alive)
        self.status = status

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
        return self._write(self.start_line, HOP_BY_HOP_STARTS, content_length, drop, add)


def parse_request_head(
    raw: bytes, *, read_lines: Callable[[bytes], Told] = read_request_lines
) -> RequestHead:
    """Read a request's head; `raw` ends with its empty line. Raises MalformedMessage."""
    match = _REQUEST_LINE.match(raw)
    if not match:
        raise MalformedMessage("the request line is not METHOD TARGET HTTP/1.1")
    method, target, version = match.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise MalformedMessage("only HTTP/1.1 and HTTP/1.0 are spoken here", status=505)
    if method == b"CONNECT":
        raise MalformedMessage("CONNECT is not offered: this is no forward proxy", status=501)
    end = match.end() - 2
    told = read_lines(raw[end:])
    http_1_0 = version == b"HTTP/1.0"
    if http_1_0 and told.framing == CHUNKED:
        raise MalformedMessage("HTTP/1.0 has no Transfer-Encoding")
    return RequestHead(
        raw,
        raw[:end],
        told,
        told.framing or 0,
        _keeps_alive(told.named, http_1_0),
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
    told = read_response_lines(raw[end:])
    status = int(match[2])
    framing = told.framing
    if to_head or status < 200 or status in (204, 304):
        framing = 0
    elif framing is None:
        framing = UNTIL_CLOSE
    keep_alive = _keeps_alive(told.named, match[1] == b"0")
    return ResponseHead(raw, raw[:end], told, framing, keep_alive, status)


def find_head_end(data: bytes, sought: int = 0) -> int:
    """Offset behind a head's empty line, or -1 when more bytes are needed.

    `sought`: so many bytes were already looked through. Raises MalformedMessage when these bytes
    will never be a head.
    """
    end = data.find(b"\r\n\r\n", sought - 3 if sought > 3 else 0) + 4
    if 3 < end <= HEAD_LIMIT:
        return end
    if end > HEAD_LIMIT or len(data) > HEAD_LIMIT:
        raise MalformedMessage(f"the head is longer than {HEAD_LIMIT} bytes", status=431)
    if _BARE_LF.search(data, sought) or data[0] < 0x21 and data[:1] != b"\r":
        raise MalformedMessage("this is not HTTP/1.1; lines must end with CR LF")
    return -1


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip(b" \t")


def _keeps_alive(named: frozenset[bytes], http_1_0: bool) -> bool:
    if http_1_0:
        return b"keep-alive" in named
    return b"close" not in named
