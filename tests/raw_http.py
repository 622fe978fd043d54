"""HTTP as bytes, for tests that compare what two servers send to the last byte.

Ordinary clients tidy heads up and undo framing; this one keeps what came.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import BinaryIO

_TOOK = re.compile(rb'(\btook"?\s*:\s*)\d+')


@dataclass(frozen=True, slots=True)
class RawResponse:
    """One response, up to the last byte that its framing promises."""

    head: bytes
    """Status line and fields, with the empty line that ends them."""

    body: bytes
    """The content without chunk framing; still compressed where it came compressed."""

    raw: bytes
    """Everything as received, interim (1xx) responses and chunk framing included."""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def values(self, name: str) -> list[str]:
        """All values of a field, in order, without surrounding spaces."""
        return _values(self.head, name)


def send(host: str, port: int, raw: bytes, timeout: float = 30) -> RawResponse:
    """Send one request on a connection of its own and read the answer.

    Raises EOFError when the connection closes in the middle of the answer, ValueError when its
    framing makes no sense, and TimeoutError after `timeout` seconds of silence.
    """
    with socket.create_connection((host, port), timeout) as connection:
        connection.sendall(raw)
        with connection.makefile("rb") as stream:
            return read_response(stream, method=raw.split(b" ", 1)[0])


def read_response(stream: BinaryIO, method: bytes = b"GET") -> RawResponse:
    """Read one response and leave what follows it in the stream; errors as for `send`.

    `method` is the request's: an answer to HEAD has no body (RFC 9112, section 6.3).
    """
    raw = b""
    while True:
        head = _read_head(stream)
        raw += head
        status = int(head.split(b" ", 2)[1])
        if status >= 200 or status == 101:
            break
    if method == b"HEAD" or status in (101, 204, 304):
        return RawResponse(head, b"", raw)
    if ",".join(_values(head, "Transfer-Encoding")).lower().endswith("chunked"):
        body, framed = _read_chunks(stream)
        return RawResponse(head, body, raw + framed)
    if lengths := _values(head, "Content-Length"):
        if len(set(lengths)) > 1:
            raise ValueError(f"Content-Length differs: {', '.join(lengths)}")
        body = _read_exactly(stream, int(lengths[0]))
    else:
        body = stream.read()
    return RawResponse(head, body, raw + body)


def mask_took(body: bytes) -> bytes:
    """Write every `took`, in JSON or YAML, as 0: two runs of one search never take the same.

    A longer number also makes a longer body: compare heads through `mask_content_length`.
    """
    return _TOOK.sub(rb"\g<1>0", body)


def mask_content_length(head: bytes) -> bytes:
    """Write the number of Content-Length as 0."""
    return re.sub(rb"(?im)^(content-length:[ \t]*)\d+", rb"\g<1>0", head)


def _values(head: bytes, name: str) -> list[str]:
    fields = [line.split(":", 1) for line in head.decode("latin-1").split("\r\n")[1:-2]]
    return [field[1].strip(" \t") for field in fields if field[0].lower() == name.lower()]


def _read_head(stream: BinaryIO) -> bytes:
    head = _read_line(stream)
    while not head.endswith(b"\r\n\r\n"):
        head += _read_line(stream)
    return head


def _read_chunks(stream: BinaryIO) -> tuple[bytes, bytes]:
    """Read a chunked body with its trailer; returns the content, and everything as it came."""
    body = framed = b""
    while True:
        line = _read_line(stream)
        size = int(line.split(b";", 1)[0], 16)
        framed += line
        if size == 0:
            break
        chunk = _read_exactly(stream, size)
        framed += chunk + _read_exactly(stream, 2)
        body += chunk
    while line != b"\r\n":
        line = _read_line(stream)
        framed += line
    return body, framed


def _read_line(stream: BinaryIO) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError(f"the connection closed after {line!r}")
    return line


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError(f"the connection closed after {len(content)} of {size} bytes")
    return content
