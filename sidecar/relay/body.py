"""Framing: where a body ends, while its raw bytes go through untouched (RFC 9112, section 6).

A framing is one `int`: the body's length in bytes, or `CHUNKED`, or `UNTIL_CLOSE`.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from sidecar.relay.errors import MalformedMessage

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_CHUNK_LINE_LIMIT: Final = 4096
_TRAILERS_LIMIT: Final = 65536

# Stricter than the RFC asks: a server that reads a line differently than we do would see another
# request in the rest of the body. 15 hex digits cannot overflow anybody's 64 bits.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\x00]*")


class BodyScanner(Protocol):
    """Told a body's raw bytes piece by piece, it says where the body ends."""

    done: bool

    def feed(self, data: bytes) -> int:
        """How many of these bytes belong to the body; `done` is true once it is whole.

        Raises MalformedMessage on broken chunks.
        """
        ...


class LengthScanner:
    """A body of `length` bytes."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> int:
        used = min(len(data), self._left)
        self._left -= used
        self.done = self._left == 0
        return used


class UntilCloseScanner:
    """A body that only the end of its connection ends."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> int:
        return len(data)


class ChunkScanner:
    """A chunked body, with its chunk extensions and trailers (RFC 9112, section 7.1).

    With a `payload`, the chunks' content is gathered there.
    """

    __slots__ = ("_in_trailers", "_left", "_line", "_payload", "_trailer_bytes", "done")

    def __init__(self, payload: bytearray | None = None) -> None:
        self.done = False
        self._payload = payload
        self._left = 0  # content still to come in this chunk, with its CRLF
        self._line = b""  # begun, not yet whole: a chunk's size, or a trailer
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> int:
        at = 0
        while at < len(data) and not self.done:
            at = self._content(data, at) if self._left else self._next_line(data, at)
        return at

    def _content(self, data: bytes, start: int) -> int:
        end = min(len(data), start + self._left)
        content_left = self._left - 2
        if self._payload is not None and content_left > 0:
            self._payload += data[start : min(end, start + content_left)]
        # The two bytes after the content must be CR and LF, whichever pieces they come in.
        if end > start + content_left:
            expected = b"\r\n"[max(0, -content_left) : 2]
            found = data[max(start, start + content_left) : end]
            if not expected.startswith(found):
                raise MalformedMessage("a chunk of the body is longer than its size says")
        self._left -= end - start
        return end

    def _next_line(self, data: bytes, start: int) -> int:
        newline = data.find(b"\n", start)
        end = len(data) if newline < 0 else newline + 1
        line = self._line + data[start:end]
        if len(line) > (_TRAILERS_LIMIT if self._in_trailers else _CHUNK_LINE_LIMIT):
            raise MalformedMessage("a chunk's size line or a trailer is too long")
        if newline < 0:
            self._line = line
            return end
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise MalformedMessage("a line of the chunked body ends without CR")
        if self._in_trailers:
            self._trailer(line[:-2])
        else:
            self._chunk(line[:-2])
        return end

    def _chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if not match:
            raise MalformedMessage("a chunk of the body does not start with its size")
        size = int(match[1], 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _TRAILERS_LIMIT or not _TRAILER_LINE.fullmatch(line):
            raise MalformedMessage("a trailer after the chunked body is not a header line")


def scan_body(framing: int) -> BodyScanner:
    """A new scanner for a body of this framing."""
    if framing >= 0:
        return LengthScanner(framing)
    return ChunkScanner() if framing == CHUNKED else UntilCloseScanner()


def unframe(raw: bytes, framing: int) -> bytes:
    """The content of a whole raw body: what is in its chunks, or the bytes themselves."""
    if framing != CHUNKED:
        return raw
    payload = bytearray()
    ChunkScanner(payload).feed(raw)
    return bytes(payload)
