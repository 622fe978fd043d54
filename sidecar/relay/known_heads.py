"""Readers that remember the latest heads, because clients and nodes mostly repeat theirs.

A parsed head depends on its bytes alone, so the same bytes give the same head. For requests, the
field lines are remembered too, independently of the body's length: the requests of one client
differ mostly in their first line and that length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from sidecar.relay.field_lines import FieldLines, read_request_lines
from sidecar.relay.heads import RequestHead, ResponseHead, parse_request_head, parse_response_head

REMEMBERED: Final = 512
"""Maximum number of heads, and of field lines; the least recently used are forgotten."""

LONGEST: Final = 4096
"""Longer heads, in bytes, are not remembered, so a client cannot fill the memory."""

# The usual spelling. So few digits cannot overflow, so all such numbers are equally valid.
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,15})\r\n")


def request_reader() -> Callable[[bytes], RequestHead]:
    """Return a new reader, which does what parse_request_head does."""
    known = lru_cache(REMEMBERED)(partial(parse_request_head, read_lines=_lines_reader()))

    def read(raw: bytes) -> RequestHead:
        return known(raw) if len(raw) <= LONGEST else parse_request_head(raw)

    return read


def response_reader() -> Callable[[bytes], ResponseHead]:
    """Return a new reader, which does what parse_response_head does, except for answers to HEAD."""
    known = lru_cache(REMEMBERED)(parse_response_head)

    def read(raw: bytes) -> ResponseHead:
        return known(raw) if len(raw) <= LONGEST else parse_response_head(raw)

    return read


def _lines_reader() -> Callable[[bytes], FieldLines]:
    known = lru_cache(REMEMBERED)(read_request_lines)

    def read(lines: bytes) -> FieldLines:
        length = _LENGTH.search(lines)
        if length is None:
            return known(lines)
        # The other lines, and the verdict on them, do not depend on the length: parse with 0.
        start, end = length.span(1)
        parsed = known(lines[:start] + b"0" + lines[end:])
        forwarded: bytes | None = lines
        if not parsed.unchanged and (forwarded := parsed.forwarded) is not None:
            zero = lines[length.start() : start] + b"0\r\n"
            forwarded = forwarded.replace(zero, length[0], 1)
        return FieldLines(int(length[1]), parsed.connection_names, forwarded, parsed.unchanged)

    return read
