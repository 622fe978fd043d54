"""Names with `*`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.opensearch_rules.name_patterns import matches

_letters = st.text(alphabet="ab.*", max_size=8)


@given(pattern=_letters, name=st.text(alphabet="ab.", max_size=8))
def test_a_pattern_matches_as_its_regular_expression_does(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert matches(pattern, name) == (re.fullmatch(expression, name) is not None)


@pytest.mark.timeout(10)
def test_many_wildcards_take_no_time() -> None:
    assert not matches("*a" * 1000 + "b", "a" * 5000)
