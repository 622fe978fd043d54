"""A head's field lines: what they say about the message, and which of them are forwarded.

llhttp in its strict mode judges the syntax of the fields and the framing, so that no server can see
other requests in the same bytes. All traffic passes through here, so the lines are not parsed one
by one: one search finds the few that the relay itself must know.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import httptools

from sidecar.relay.body import CHUNKED
from sidecar.relay.errors import MalformedMessage

# RFC 9110, section 7.6.1. Transfer-Encoding is one too, but the relay forwards chunks unchanged.
HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"te", b"upgrade", b"http2-settings"))
HOP_BY_HOP_STARTS: Final = (b"proxy-",)
OUR_STARTS: Final = (b"proxy-", b"x-rescore")
FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"trailer"))

# Fields that a Connection field cannot remove: without them the message would be a different one.
ESSENTIAL: Final = FRAMING | {b"host"}

FIELDS_LIMIT: Final = 10_000
"""Maximum number of fields in a head, and of names in its Connection fields, so that a head is read
in milliseconds. OpenSearch 3 accepts heads of 16 KiB, which hold at most 8,192 fields, so the
client gets OpenSearch's own error first."""

TELLING_LIMIT: Final = 1000
"""Maximum number of fields that the relay itself reads, such as `Connection`; messages have one or
two."""

_SHORTEST_FIELD: Final = len(b"a:\r\n")

# Names that Connection may list without removing further fields.
_NO_EFFECT: Final = HOP_BY_HOP | ESSENTIAL | {b"close", b""}
_NO_NAMES: Final[frozenset[bytes]] = frozenset()

# Finds the lines that frame the message and the lines that are dropped. It searches a lower-case
# copy of the lines, because a search that ignores case takes longer.
_TELLING: Final = (
    rb"\r\n(c(?:ontent-length|onnection)|t(?:ransfer-encoding|e)|keep-alive|upgrade"
    rb"|http2-settings|proxy-[^:\r]*%b):([^\r]*)"
)
_TELLING_IN_REQUEST: Final = re.compile(_TELLING % rb"|x-rescore[^:\r]*")
_TELLING_IN_RESPONSE: Final = re.compile(_TELLING % b"")


class FieldLines(NamedTuple):
    """What a head's field lines say."""

    framing: int | None
    """As in body.py; None if the lines have no framing."""

    connection_names: frozenset[bytes]
    """The fields that `Connection` lists, in lower case."""

    forwarded: bytes | None
    """The lines without those that are dropped; None if each line must be judged by itself."""

    unchanged: bool
    """No line is dropped."""


def read_request_lines(lines: bytes) -> FieldLines:
    """Read what follows a request line, from its CRLF to the head's empty line.

    Raises MalformedMessage.
    """
    parser = httptools.HttpRequestParser(_NO_CALLBACKS)
    _judge(parser, b"POST / HTTP/1.1" + lines)
    return _read_telling_lines(_TELLING_IN_REQUEST, lines)


def read_response_lines(lines: bytes) -> FieldLines:
    """Read what follows a status line, in the same way."""
    parser = httptools.HttpResponseParser(_NO_CALLBACKS)
    _judge(parser, b"HTTP/1.1 200 OK" + lines)
    return _read_telling_lines(_TELLING_IN_RESPONSE, lines)


class _NoCallbacks:
    """llhttp only judges the syntax here; nobody uses the values that it reads."""

    __slots__ = ()


_NO_CALLBACKS: Final = _NoCallbacks()


def _judge(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> None:
    """Raise MalformedMessage if a head's field lines are malformed; its start line is valid."""
    if len(head) > FIELDS_LIMIT * _SHORTEST_FIELD and head.count(b"\n") > FIELDS_LIMIT + 2:
        raise MalformedMessage(f"the head has more than {FIELDS_LIMIT} fields", status=431)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # the relay drops Upgrade, so this is an ordinary message
    except httptools.HttpParserError as error:
        raise MalformedMessage(f"the head is malformed: {error}") from None


def _read_telling_lines(telling: re.Pattern[bytes], lines: bytes) -> FieldLines:
    """Read lines that llhttp has accepted."""
    lowered = lines.lower()
    # Most heads have no such line, or only Content-Length.
    matches = telling.findall(lowered)
    if not matches:
        return FieldLines(None, _NO_NAMES, lines, True)
    if len(matches) == 1 and matches[0][0] == b"content-length":
        return FieldLines(int(matches[0][1]), _NO_NAMES, lines, True)
    if len(matches) > TELLING_LIMIT:
        reason = f"the head has more than {TELLING_LIMIT} fields for one connection"
        raise MalformedMessage(reason, status=431)
    framing: int | None = None
    names: set[bytes] = set()
    name_count = 0
    pieces: list[bytes] = []
    copied = 0
    for line in telling.finditer(lowered):
        name, value = line.groups()
        if name == b"content-length":
            framing = int(value)
            continue
        if name == b"transfer-encoding":
            if value.strip(b" \t") != b"chunked":
                raise MalformedMessage("only Transfer-Encoding: chunked is supported", status=501)
            framing = CHUNKED
            continue
        if name == b"connection":
            name_count += 1 + value.count(b",")
            if name_count > FIELDS_LIMIT:
                reason = f"the head's Connection lists more than {FIELDS_LIMIT} names"
                raise MalformedMessage(reason, status=431)
            names.update([token.strip(b" \t") for token in value.split(b",")])
        pieces.append(lines[copied : line.start()])
        copied = line.end()
    if not copied:
        return FieldLines(framing, _NO_NAMES, lines, True)
    if not names <= _NO_EFFECT:
        return FieldLines(framing, frozenset(names), None, False)
    return FieldLines(framing, frozenset(names), b"".join((*pieces, lines[copied:])), False)
