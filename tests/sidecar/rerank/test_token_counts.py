"""Token counts: what they count, and how they add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rerank.token_counts import count_pair_tokens, count_tokens, cut_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("red apple", 2),
        ("extraordinarily", 2),
        ("in 2024, 12345", 6),
        ("snake_case!", 4),
        ("赤いりんご", 5),
        ("naïve", 1),
        ("nai\u0308ve", 1),
        ("दिल्ली", 1),
        ("น้ำ", 2),
        ("a" + "\u0301" * 26, 3),
        ("\ud800", 1),
    ],
)
def test_counts(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_counted_as_all_other_texts(text: str) -> None:
    assert count_tokens(text + " é") == count_tokens(text) + 1


def test_pairs_have_the_query_each() -> None:
    assert count_pair_tokens("red apple", ("green", "", "red apple")) == 3 * (2 + 3) + 1 + 0 + 2


@given(st.text(), st.integers(1, 20))
def test_a_cut_text_has_no_more(text: str, tokens: int) -> None:
    cut = cut_tokens(text, tokens)
    assert text.startswith(cut)
    assert count_tokens(cut) == min(tokens, count_tokens(text))


def test_a_limit_may_be_any_number() -> None:
    assert cut_tokens("red apple", 10**400) == "red apple"
