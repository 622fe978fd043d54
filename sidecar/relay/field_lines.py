"""A head's field lines: what they say about the message, and which of them go on.

The syntax of the fields and the framing are judged by llhttp in its strict mode, so that no
server can see other requests in the same bytes. All traffic passes through here, so the lines are
not taken apart: one search finds the few that the relay itself must know.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import httptools

from sidecar.relay.body import CHUNKED
from sidecar.relay.errors import MalformedMessage

# RFC 9110, section 7.6.1. Transfer-Encoding is one too, but here the chunks themselves go on.
HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"te", b"upgrade", b"http2-settings"))
HOP_BY_HOP_STARTS: Final = (b"proxy-",)
OUR_STARTS: Final = (b"proxy-", b"x-rescore")
FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"trailer"))

# Fields that a Connection field cannot make disappear: without them it is another message.
ESSENTIAL: Final = FRAMING | {b"host"}

# What Connection may list without making more fields disappear.
_SIMPLY_NAMED: Final = HOP_BY_HOP | ESSENTIAL | {b"close", b""}
_NO_NAMES: Final[frozenset[bytes]] = frozenset()

# The lines that frame the message, and those that are dropped; in lines in lower case, because
# ignoring case while searching takes longer.
_TELLING: Final = (
    rb"\r\n(c(?:ontent-length|onnection)|t(?:ransfer-encoding|e)|keep-alive|upgrade"
    rb"|http2-settings|proxy-[^:\r]*%b):([^\r]*)"
)
_TELLING_IN_REQUEST: Final = re.compile(_TELLING % rb"|x-rescore[^:\r]*")
_TELLING_IN_RESPONSE: Final = re.compile(_TELLING % b"")


class Told(NamedTuple):
    """What a head's lines say.

    `framing` as in body.py, None where they do not say; `named`: the fields that `Connection`
    lists, in lower case; `kept`: the lines without those that are dropped, None where that must
    be found out line by line; `unchanged`: none is dropped.
    """

    framing: int | None
    named: frozenset[bytes]
    kept: bytes | None
    unchanged: bool


def read_request_lines(lines: bytes) -> Told:
    """Read what follows a request line, from its CRLF up to the head's empty line.

    Raises MalformedMessage.
    """
    parser = httptools.HttpRequestParser(_NO_CALLBACKS)
    _judge(parser, b"POST / HTTP/1.1" + lines)
    return _read_telling_lines(_TELLING_IN_REQUEST, lines)


def read_response_lines(lines: bytes) -> Told:
    """The same for what follows a status line."""
    parser = httptools.HttpResponseParser(_NO_CALLBACKS)
    _judge(parser, b"HTTP/1.1 200 OK" + lines)
    return _read_telling_lines(_TELLING_IN_RESPONSE, lines)


class _NoCallbacks:
    """llhttp only judges here; what it reads is not asked for."""

    __slots__ = ()


_NO_CALLBACKS: Final = _NoCallbacks()


def _judge(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> None:
    """`head` has a start line that is beyond doubt; raises MalformedMessage for what follows it."""
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # Upgrade is dropped on the way, so this is an ordinary message
    except httptools.HttpParserError as error:
        raise MalformedMessage(f"the head is malformed: {error}") from None


def _read_telling_lines(telling: re.Pattern[bytes], lines: bytes) -> Told:
    """Read lines that llhttp has judged."""
    lowered = lines.lower()
    # Most heads have no such line, or Content-Length alone.
    found = telling.findall(lowered)
    if not found:
        return Told(None, _NO_NAMES, lines, True)
    if len(found) == 1 and found[0][0] == b"content-length":
        return Told(int(found[0][1]), _NO_NAMES, lines, True)
    framing: int | None = None
    named = _NO_NAMES
    pieces: list[bytes] = []
    behind = 0
    for line in telling.finditer(lowered):
        name, value = line.groups()
        if name == b"content-length":
            framing = int(value)
            continue
        if name == b"transfer-encoding":
            if value.strip(b" \t") != b"chunked":
                raise MalformedMessage("only Transfer-Encoding: chunked is known", status=501)
            framing = CHUNKED
            continue
        if name == b"connection":
            named |= {token.strip(b" \t") for token in value.split(b",")}
        pieces.append(lines[behind : line.start()])
        behind = line.end()
    if not behind:
        return Told(framing, named, lines, True)
    if not named <= _SIMPLY_NAMED:
        return Told(framing, named, None, False)
    return Told(framing, named, b"".join((*pieces, lines[behind:])), False)
