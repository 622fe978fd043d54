"""The trace that a client's request belongs to: `traceparent` of W3C Trace Context, level 1.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TRACEPARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_LONGEST_STATE: Final = 4096
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The client's span. `traceparent` and `tracestate` are the fields' values."""

    trace_id: str
    """32 hexadecimal digits."""

    sampled: bool
    traceparent: str
    tracestate: str = ""


def read_trace_parent(
    traceparents: Sequence[bytes], tracestates: Sequence[bytes]
) -> TraceParent | None:
    """The client's span, from the values of its two fields; None without a valid one."""
    if len(traceparents) != 1:
        return None
    match = _TRACEPARENT.fullmatch(traceparents[0])
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Later versions may append fields; version ff does not exist.
    if version == b"ff" or (rest and version == b"00"):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    state = b",".join(tracestates)
    if len(state) > _LONGEST_STATE:
        state = b""
    return TraceParent(
        trace_id.decode(),
        bool(int(flags, 16) & _SAMPLED),
        match[0][:55].decode(),
        state.decode("latin-1"),
    )
