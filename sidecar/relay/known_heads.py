"""Readers of heads that remember the last ones: applications and nodes mostly repeat theirs.

What is remembered depends on a head's bytes alone, so the same bytes are the same head. Behind the
whole heads of requests their field lines are remembered, whatever length they give: one
application's requests differ in little but their first line and the length of their body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from sidecar.relay.field_lines import Told, read_request_lines
from sidecar.relay.heads import RequestHead, ResponseHead, parse_request_head, parse_response_head

REMEMBERED: Final = 512
"""Heads, and field lines; of more, those not met for the longest time are forgotten."""

LONGEST: Final = 4096
"""Bytes of a head that is remembered: who sends longer ones shall not fill the memory."""

# As nearly everybody writes it, and short enough for every number to be as good as every other.
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,15})\r\n")


def request_reader() -> Callable[[bytes], RequestHead]:
    """A new reader that is like parse_request_head."""
    known = lru_cache(REMEMBERED)(partial(parse_request_head, read_lines=_lines_reader()))

    def read(raw: bytes) -> RequestHead:
        return known(raw) if len(raw) <= LONGEST else parse_request_head(raw)

    return read


def response_reader() -> Callable[[bytes], ResponseHead]:
    """A new reader that is like parse_response_head of an answer to anything but a HEAD."""
    known = lru_cache(REMEMBERED)(parse_response_head)

    def read(raw: bytes) -> ResponseHead:
        return known(raw) if len(raw) <= LONGEST else parse_response_head(raw)

    return read


def _lines_reader() -> Callable[[bytes], Told]:
    known = lru_cache(REMEMBERED)(read_request_lines)

    def read(lines: bytes) -> Told:
        length = _LENGTH.search(lines)
        if length is None:
            return known(lines)
        # All else in the lines, and whether a length may stand beside it, is the same for 0.
        start, end = length.span(1)
        told = known(lines[:start] + b"0" + lines[end:])
        kept: bytes | None = lines
        if not told.unchanged and (kept := told.kept) is not None:
            zero = lines[length.start() : start] + b"0\r\n"
            kept = kept.replace(zero, length[0], 1)
        return Told(int(length[1]), told.named, kept, told.unchanged)

    return read
