from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.words import read_words


def words(*spelled: str) -> list[int]:
    return [hash(word) for word in spelled]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red, (shoe)! red", words("red", "shoe", "red")),
        ("snake_case 3.5", words("snake_case", "3", "5")),
        ("中文 word", words("中", "文", "word")),
        ("", []),
        ("?!", []),
    ],
)
def test_words_are_lower_cased_and_in_reading_order(text: str, expected: list[int]) -> None:
    assert read_words(text).tolist() == expected


@given(st.text())
def test_any_text_has_words_that_are_numbers(text: str) -> None:
    assert read_words(text).ndim == 1
