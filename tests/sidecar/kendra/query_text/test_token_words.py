"""Token words of a query text, and the cut after the thirtieth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.query_text.token_words import cut_query_text, find_token_words
from tests.sidecar.kendra.example_index import make_index


def words(text: str) -> list[str]:
    return [word.text for word in find_token_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Timeoff AND October AND Category:HR", ["Timeoff", "October", "HR"]),
        ("what is the yield of copper?", ["yield", "copper"]),
        ("not and or", []),
        ("copper NOT kettle", ["copper", "kettle"]),
        ("_view_count:[10 TO 20] copper", ["10", "20", "copper"]),
        ("from A TO B", ["B"]),
        ("Note: copper", ["Note", "copper"]),
        ('"copper kettle"', ["copper", "kettle"]),
        ("co-author", ["co", "author"]),
        ("don't", ["don't"]),
        ("\u7814\u7a76\u65b9\u6cd5", ["\u7814\u7a76", "\u65b9\u6cd5"]),
        ("\U0001f600 copper \U0001f600", ["copper"]),
        ("", []),
        ("  ?! ", []),
    ],
)
def test_token_words_are_not_stop_words_operators_field_names_or_punctuation(
    text: str, expected: list[str]
) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    "word",
    [
        "\u0926\u093f\u0932\u094d\u0932\u0940",  # Hindi
        "\u09ac\u09be\u0982\u09b2\u09be",  # Bengali
        "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd",  # Tamil
        "\u0e17\u0e35\u0e48",  # Thai
        "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",  # Hebrew with points
        "\u0643\u0650\u062a\u064e\u0627\u0628\u064c",  # Arabic with vowel signs
        "cafe\u0301",
    ],
    ids=ascii,
)
def test_a_word_with_combining_marks_is_one_token_word(word: str) -> None:
    assert words(f"{word} AND {word}") == [word, word]
    assert cut_query_text(f"{word} {word} {word}", 2) == f"{word} {word}"


def test_a_token_word_has_its_place() -> None:
    text = "\U0001f600 the copper"
    (word,) = find_token_words(text)
    assert text[word.start : word.end] == word.text == "copper"


def test_thirty_token_words_stay_and_the_rest_is_dropped_silently() -> None:
    most = make_index().query_token_words
    text = " ".join(f"the w{number}" for number in range(40))
    assert words(cut_query_text(text, most)) == [f"w{number}" for number in range(30)]
    short = " ".join(f"the w{number}" for number in range(30))
    assert cut_query_text(short, most) == short


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("copper AND kettle", 1, "copper"),
        ("copper AND NOT kettle", 1, "copper"),
        ("copper OR field:kettle", 1, "copper"),
        ('copper "old kettle"', 2, 'copper "old"'),
        ("copper AND (old OR kettle)", 2, "copper AND (old)"),
        ("((copper AND old) OR kettle)", 2, "((copper AND old))"),
        ("copper* AND kettle", 1, "copper*"),
        ("copper AND views:[10 TO 20] AND kettle", 2, "copper"),
        ("copper AND views:{10 TO 20} AND kettle", 3, "copper AND views:{10 TO 20}"),
        ('copper "old kettle', 2, 'copper "old'),
        ("copper (old kettle", 2, "copper (old"),
    ],
)
def test_the_cut_leaves_no_operator_range_quote_or_parenthesis_open_that_was_closed(
    text: str, most: int, expected: str
) -> None:
    assert cut_query_text(text, most) == expected


@given(
    st.lists(
        st.sampled_from(
            [
                "copper",
                "the",
                "AND",
                "OR",
                "NOT",
                "(",
                ")",
                '"',
                "a:b",
                "x:[1 TO 2]",
                "w*",
                "\u7814",
            ]
        )
    ),
    st.integers(1, 5),
)
def test_the_cut_keeps_a_beginning_of_the_words(parts: list[str], most: int) -> None:
    text = " ".join(parts)
    cut = cut_query_text(text, most)
    kept = words(cut)
    assert kept == words(text)[: len(kept)]
    assert len(kept) <= most
    assert len(words(text)) > most or cut == text
