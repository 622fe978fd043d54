"""`traceparent` as W3C Trace Context describes it."""

from __future__ import annotations

import pytest

from sidecar.tracing.trace_parents import read_trace_parent

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (b"00-%s-%s-01" % (TRACE, SPAN), True),
        (b"00-%s-%s-00" % (TRACE, SPAN), False),
        (b"cc-%s-%s-03-later" % (TRACE, SPAN), True),
    ],
)
def test_a_parent_is_read(value: bytes, sampled: bool) -> None:
    parent = read_trace_parent([value], [b"a=1", b"b=2"])
    assert parent is not None
    assert (parent.trace_id, parent.sampled) == (TRACE.decode(), sampled)
    assert parent.tracestate == "a=1,b=2"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b"00-%s-%s-01" % (TRACE, SPAN)] * 2,
        [b"00-%s-%s-01-more" % (TRACE, SPAN)],
        [b"ff-%s-%s-01" % (TRACE, SPAN)],
        [b"00-%s-%s-01" % (b"0" * 32, SPAN)],
        [b"00-%s-%s-01" % (TRACE, b"0" * 16)],
        [b"00-%s-%s-01" % (TRACE.upper(), SPAN)],
        [b"x" * 100_000],
    ],
)
def test_no_parent_is_read_from_anything_else(values: list[bytes]) -> None:
    assert read_trace_parent(values, []) is None


def test_a_state_that_is_too_long_is_left_out() -> None:
    parent = read_trace_parent([b"00-%s-%s-01" % (TRACE, SPAN)], [b"a=1"] * 2000)
    assert parent is not None
    assert parent.tracestate == ""
