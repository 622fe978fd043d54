"""How answers are written as JSON, number by number."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.rerank.answer import fixed, rank, write_json

LITERAL = re.compile(r"-?\d+\.\d{1,7}")


@given(st.floats(-100, 100))
def test_a_number_is_a_short_literal_with_a_point(number: float) -> None:
    literal = write_json(fixed(number))
    assert LITERAL.fullmatch(literal)
    assert len(literal) < 19
    assert abs(float(literal) - number) <= 5.1e-8


def test_numbers_that_json_would_write_otherwise() -> None:
    numbers = [1, 0.0, -0.0, 1e-5, 0.12345678901234567, 100]
    assert write_json([fixed(number) for number in numbers]) == (
        "[1.0,0.0,0.0,0.00001,0.1234568,100.0]"
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_everything_else_is_json(value: Any) -> None:
    assert json.loads(write_json(value)) == value


@given(st.lists(st.sampled_from([-1.0, 0.0, 2.5]), min_size=1), st.integers(1, 9))
def test_rank_is_stable_and_cut(logits: list[float], top_n: int) -> None:
    everything = rank(logits, None)
    assert sorted(everything) == list(range(len(logits)))
    pairs = [(-logits[index], index) for index in everything]
    assert pairs == sorted(pairs)
    assert rank(logits, top_n) == everything[:top_n]
