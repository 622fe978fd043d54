"""The words in Lucene's query syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.opensearch.query_syntax import read_query_string_words, read_simple_query_string_words

TEXT_FIELDS = {"title", "body", "*"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red shoes", "red shoes"),
        ("red AND shoes OR boots", "red shoes boots"),
        ("red && shoes || boots", "red shoes boots"),
        ("+red -blue shoes", "red shoes"),
        ("red NOT blue shoes", "red shoes"),
        ("red !blue", "red"),
        ("nike - running shoes", "nike running shoes"),
        ("red ! shoes -", "red shoes"),
        ("red NOT (blue OR green) shoes", "red shoes"),
        ("-(a (b c) d) e", "e"),
        ("title:red brand:acme", "red"),
        ("brand:(acme OR nike) title:(red shoes)", "red shoes"),
        ("brand: acme red", "red"),
        ("price:>3 red", "red"),
        ("price:[1 TO 5} red", "red"),
        ("date:{* TO 2020-01-01] red", "red"),
        ("/jo.*n/ red", "red"),
        ("brand:/a b/ red", "red"),
        ('"red shoes"~3 boots^2.5', "red shoes boots"),
        ('title:"red shoes"^2', "red shoes"),
        ('brand:"acme inc" red', "red"),
        ("roam~1 fast~", "roam fast"),
        ("lap* w?fi *", "lap"),
        ("*:*", ""),
        ("_exists_:title", ""),
        (r"C\+\+ \(1\:1\)", "C++ (1:1)"),
        (r"brand\:acme", "brand:acme"),
        ("wi-fi c++ and/or AT&T", "wi-fi c++ and/or AT&T"),
        ("KNOT ANDY", "KNOT ANDY"),
        ("naïve café 東京", "naïve café 東京"),
        ('"unclosed phrase', "unclosed phrase"),
        (r'"say \"hi\""', 'say "hi"'),
        (r"lap\* w\?fi*", "lap* w?fi"),
        ("((( a ", "a"),
        ("a ))) b", "a b"),
        ("", ""),
        ("AND OR NOT", ""),
        ("a\\", "a"),
    ],
)
def test_the_words_of_a_query_string(text: str, expected: str) -> None:
    assert expected == read_query_string_words(text, TEXT_FIELDS.__contains__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Breaking Bad - Season 2", "Breaking Bad Season 2"),
        ("git push --force", "git push force"),
        ("git push ---force", "git push"),
        ("red + shoes | boots", "red shoes boots"),
        ("+red -blue shoes", "red shoes"),
        ("-(blue green) red", "red"),
        ('"red shoes"~2 boot*', "red shoes boot"),
        ("title:red AND what?", "title:red AND what?"),
        ("wi-fi", "wi-fi"),
        (r"\-5 degrees", "-5 degrees"),
        ("fast~1", "fast"),
        ("", ""),
    ],
)
def test_the_words_of_a_simple_query_string(text: str, expected: str) -> None:
    assert expected == read_simple_query_string_words(text)


@given(text=st.text(alphabet=st.sampled_from('ab :"()[]{}/\\*?+-!&|^~<>=é\n')))
def test_any_text_gives_words_without_raising(text: str) -> None:
    read_query_string_words(text, TEXT_FIELDS.__contains__)
    read_simple_query_string_words(text)


@pytest.mark.parametrize(
    "piece", ["[", '["', "/", "/\\/", '"', '"\\"', "a", "a:", "(", "{a ", "\\", "a*"]
)
@pytest.mark.timeout(10)
def test_long_texts_take_linear_time(piece: str) -> None:
    read_query_string_words(piece * (40_000 // len(piece)), TEXT_FIELDS.__contains__)
    read_simple_query_string_words(piece * (40_000 // len(piece)))
