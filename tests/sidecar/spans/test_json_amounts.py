"""Values are counted rightly before they are parsed, and in time that grows with the length."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.spans.json_amounts import _EXACT_STEP, has_more_values

TEXTS = st.text(st.sampled_from('a,[{"\\\u00e9:}] '), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=40,
)


def count_values(value: Any) -> int:
    """Items and members at any depth, and one for each empty list or object."""
    if not isinstance(value, (list, dict)):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return max(1, len(inner)) + sum(map(count_values, inner))


@given(VALUES, st.booleans(), st.integers(-2, 2))
def test_they_are_those_that_json_has(value: Any, ascii_only: bool, off: int) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    count = count_values(value)
    most = max(1, count + off)
    assert has_more_values(body, most) == (count >= most)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_what_is_no_json_is_counted_as_well(body: bytes, most: int) -> None:
    assert has_more_values(body, most) in (True, False)


@pytest.mark.parametrize("piece", [b'"a",', b'\\"', b"\\", b'"', b"[", b'{"a":', b",", b'"\\\\",'])
def test_time_grows_with_the_length(piece: bytes) -> None:
    def seconds(size: int) -> float:
        body = b'{"query": "' + b",[" * 50_000 + piece * (size // len(piece))
        started = time.thread_time()
        has_more_values(body, 10**9)
        has_more_values(body, 10_000)
        return time.thread_time() - started

    seconds(100_000)
    short = min(seconds(400_000) for _ in range(3))
    # Twice what is linear, and a little for what is too short to be measured.
    assert seconds(3_200_000) < 16 * short + 0.02


@pytest.mark.parametrize("inner", ["\\\\", '\\"', '\\\\\\"', "a,[", "\\n,"])
@pytest.mark.parametrize("shift", range(8))
def test_steps_cut_no_string_in_two(inner: str, shift: int) -> None:
    string = '"' + "x" * shift + inner * (2 * _EXACT_STEP // len(inner)) + '"'
    body = f"[{string}, {string}, [1, 2]]".encode()
    assert json.loads(body)
    assert has_more_values(body, 5)
    assert not has_more_values(body, 6)


def test_values_before_a_mistake_count() -> None:
    body = b'["a,", 1, 2, 3, 4 \\" , "open, string, that, has, no, end'
    assert has_more_values(body, 6)
    assert not has_more_values(body, 8)
