"""Readers of heads that remember the last ones: applications and nodes mostly repeat theirs.

What is remembered depends on a head's bytes alone, so the same bytes are the same head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from sidecar.relay.field_lines import read_request_lines
from sidecar.relay.heads import RequestHead, ResponseHead, parse_request_head, parse_response_head

REMEMBERED: Final = 512
"""Heads; of more, the one that was not met for the longest time is forgotten."""

LONGEST: Final = 4096
"""Bytes of a head that is remembered: who sends longer ones shall not fill the memory."""


def request_reader() -> Callable[[bytes], RequestHead]:
    """A new reader that is like parse_request_head."""
    # Requests of one application for many documents differ in their first lines only.
    known_lines = lru_cache(REMEMBERED)(read_request_lines)
    known = lru_cache(REMEMBERED)(partial(parse_request_head, read_lines=known_lines))

    def read(raw: bytes) -> RequestHead:
        return known(raw) if len(raw) <= LONGEST else parse_request_head(raw)

    return read


def response_reader() -> Callable[[bytes], ResponseHead]:
    """A new reader that is like parse_response_head of an answer to anything but a HEAD."""
    known = lru_cache(REMEMBERED)(parse_response_head)

    def read(raw: bytes) -> ResponseHead:
        return known(raw) if len(raw) <= LONGEST else parse_response_head(raw)

    return read
