"""Framing: where a body ends, while its raw bytes pass unchanged (RFC 9112, section 6).

A framing is one `int`: the body's length in bytes, or `CHUNKED`, or `UNTIL_CLOSE`.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final, Protocol

from sidecar.relay.errors import MalformedMessage

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

CHUNKS_AT_ONCE: Final = 500
"""Chunks and trailers that one `feed` examines; this takes less than a millisecond."""

_CHUNK_LINE_LIMIT: Final = 4096
_TRAILERS_LIMIT: Final = 65536

# Stricter than the RFC demands: a server that read a line differently would see another request in
# the rest of the body. 15 hex digits cannot overflow 64 bits in any server.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15}+)[ \t]*+(?:;[^\r\n\x00]*+)?\r\n")
_TINY_LINE: Final = len(b"f\r\n")
# The pattern at place n matches one or more chunks of n bytes, whose size lines are one digit.
_ALIKE: Final = [re.compile(rb"(?:[%x%X]\r\n[\s\S]{%d}\r\n)++" % (n, n, n)) for n in range(16)]
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\x00]*")

_TOO_LONG: Final = "a chunk's size line or a trailer is too long"
_CHUNK_TOO_LONG: Final = "a chunk of the body is longer than its size line says"


class BodyScanner(Protocol):
    """Finds where a body ends, from its raw bytes, which it gets piece by piece."""

    done: bool

    def feed(self, data: bytes) -> int:
        """Return how many of these bytes belong to the body; `done` is true once it is whole.

        If the body is not whole and bytes are left over, pass these to the next call: one turn of
        the event loop examines only part of a body of tiny chunks.

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
    """A body that ends when its connection closes."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> int:
        return len(data)


class ChunkScanner:
    """A chunked body, with its chunk extensions and trailers (RFC 9112, section 7.1).

    If there is a `payload`, the chunks' content is written to it, until it is set to None.
    """

    __slots__ = ("_in_trailers", "_left", "_line", "_trailer_bytes", "done", "payload")

    def __init__(self, payload: BytesIO | None = None) -> None:
        self.done = False
        self.payload = payload
        self._left = 0  # bytes of this chunk still to come, with its CRLF
        self._line = b""  # the first part of a line: a chunk's size, or a trailer
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> int:
        at, left = 0, CHUNKS_AT_ONCE
        while left:
            left -= 1
            if self._left:
                at = self._content(data, at)
            elif self._line or self._in_trailers:
                at = self._next_line(data, at)
            else:
                at, left = self._next_chunks(data, at, left)
            if self.done or at == len(data):
                break
        return at

    def _next_chunks(self, data: bytes, start: int, most: int) -> tuple[int, int]:
        """Read whole chunks, and what is here of the next one.

        At most one chunk and `most` others; returns the offset after them, and how many of `most`
        are left. Tiny ones are read many at a time: a body may have a million chunks of one byte.
        """
        match_line, payload, length, left = _CHUNK_LINE.match, self.payload, len(data), most
        while True:
            match = match_line(data, start)
            if match is None:
                return self._next_line(data, start), left
            begin = match.end()
            if begin - start > _CHUNK_LINE_LIMIT:
                raise MalformedMessage(_TOO_LONG)
            size = int(match[1], 16)
            end = begin + size + 2
            if not size:
                self._in_trailers = True
                return begin, left
            if end > length:
                self._left = size + 2
                return begin, left
            if data[end - 2 : end] != b"\r\n":
                raise MalformedMessage(_CHUNK_TOO_LONG)
            step, last = end - start, end
            if begin - start == _TINY_LINE:
                alike = _ALIKE[size].match(data, start, start + (left + 1) * step)
                assert alike is not None
                last = alike.end()
            if payload is not None:
                contents = [data[at : at + size] for at in range(begin, last, step)]
                payload.write(b"".join(contents))
            left -= (last - start) // step - 1
            start = last
            if start == length or not left:
                return start, left
            left -= 1

    def _content(self, data: bytes, start: int) -> int:
        end = min(len(data), start + self._left)
        content_left = self._left - 2
        if self.payload is not None and content_left > 0:
            self.payload.write(data[start : min(end, start + content_left)])
        # The two bytes after the content must be CR and LF, however the pieces divide them.
        if end > start + content_left:
            expected = b"\r\n"[max(0, -content_left) : 2]
            ending = data[max(start, start + content_left) : end]
            if not expected.startswith(ending):
                raise MalformedMessage(_CHUNK_TOO_LONG)
        self._left -= end - start
        return end

    def _next_line(self, data: bytes, start: int) -> int:
        newline = data.find(b"\n", start)
        end = len(data) if newline < 0 else newline + 1
        line = self._line + data[start:end]
        if len(line) > (_TRAILERS_LIMIT if self._in_trailers else _CHUNK_LINE_LIMIT):
            raise MalformedMessage(_TOO_LONG)
        if newline < 0:
            self._line = line
            return end
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise MalformedMessage("a line of the chunked body ends without CR")
        if self._in_trailers:
            self._trailer(line[:-2])
        else:
            self._begin_chunk(line)
        return end

    def _begin_chunk(self, line: bytes) -> None:
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


def scan_body(framing: int, payload: BytesIO | None = None) -> BodyScanner:
    """A new scanner for a body of this framing; `payload` as for ChunkScanner."""
    if framing >= 0:
        return LengthScanner(framing)
    return ChunkScanner(payload) if framing == CHUNKED else UntilCloseScanner()


class Pieces:
    """Bytes that come in pieces; the memory they take depends on their sum, not on their number.

    A BytesIO hands out its bytes without a copy. Copying takes milliseconds for many bytes.
    """

    __slots__ = ("_all", "_first")

    def __init__(self) -> None:
        self._first = b""
        self._all: BytesIO | None = None

    def __len__(self) -> int:
        return len(self._first) if self._all is None else self._all.tell()

    def add(self, data: bytes) -> None:
        """Append bytes; a single piece is not copied."""
        if self._all is not None:
            self._all.write(data)
        elif not self._first:
            self._first = data
        else:
            self._all = BytesIO()
            self._all.write(self._first)
            self._all.write(data)
            self._first = b""

    def take(self) -> bytes:
        """Return all bytes and become empty."""
        data = self._first if self._all is None else self._all.getvalue()
        self._first, self._all = b"", None
        return data
