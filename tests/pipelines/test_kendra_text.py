"""Golden vectors made with the plugin's own Java classes, and the tables of its oddities."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kendra_text import (
    BODY_TOKENS,
    TITLE_TOKENS,
    choose_kendra_passages,
    split_kendra_passages,
    split_sentences,
    tokenise,
)
from pipelines.plan import Plan


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What is the capital of the United States?", "capital united states"),
        (
            "You can install OpenSearch at https://opensearch.org/docs/latest/install/ v2.11.0 "
            "costs $3.50, 1,234 users!",
            "install opensearch https opensearchorg docs latest install v2110 costs 1234 users",
        ),
        (
            "don't can't state-of-the-art C++ C# e-mail user_name U.S.A. it's O'Reilly",
            "dont cant state art mail username usa its oreilly",
        ),
        (
            "3.14 1e5 NaN Infinity 0x1F 12d 5f 20% 1/2 x86_64 k8s p99",
            "nan infinity 0x1f x8664 k8s p99",
        ),
        (
            "中文分词测试 これは日本語です 한국어 문서 Привет мир café naïve",
            "中文 分词 测试 これ 日本語 です 한국어 문서 привет мир café naïve",
        ),
        ("a b I x y", ""),
        (
            "pneumonoultramicroscopicsilicovolcanoconiosis",
            "pneumonoultramicroscopics ilicovolcanoconiosis",
        ),
        ("😀 emoji test © ™ € £100 “quoted” — dash – en…", "😀 emoji test quoted dash en"),
        ("", ""),
    ],
)
def test_tokens_are_the_plugins(text: str, tokens: str) -> None:
    assert tokenise(text) == tokens.split()


def test_an_e_mail_address_is_two_words_as_in_the_icu_57_that_the_plugin_pins() -> None:
    # Only ICU 72 and 73.1 kept it in one piece; ICU 73.2 took that back (ICU-22360).
    assert tokenise("foo@bar.com") == ["foo", "barcom"]


@pytest.mark.parametrize(
    ("word", "tokens"),
    [
        ("1e5", []),
        ("0x1p3", []),
        ("0x1f", ["0x1f"]),
        ("12d", []),
        ("12df", ["12df"]),
        ("1e", ["1e"]),
        ("1,234", ["1234"]),
        ("中", []),
        ("𐌰", ["𐌰"]),
        ("x" * 25, ["x" * 25]),
        ("x" * 51, ["x" * 25, "x" * 25]),
        ("10\u202f000", ["10\u202f000"]),
    ],
)
def test_numbers_and_lengths_follow_java(word: str, tokens: list[str]) -> None:
    assert tokenise(word) == tokens


def test_long_words_are_cut_by_utf_16_units() -> None:
    assert tokenise("𐌰" * 14) == ["𐌰" * 12 + "\ufffd", "\ufffd" + "𐌰"]


def test_sentences_are_the_plugins() -> None:
    text = "Dr. Smith went to Washington. He arrived at 5 p.m. on Monday! Really? Yes... ok"
    assert split_sentences(text) == [
        "Dr.",
        "Smith went to Washington.",
        "He arrived at 5 p.m. on Monday!",
        "Really?",
        "Yes... ok",
    ]


def numbered_words(count: int) -> list[str]:
    return [f"word{number}" for number in range(count)]


def sentences_of(count: int, words: int) -> str:
    """Sentences of numbered words, so that each token tells its place."""
    tokens = numbered_words(count * words)
    rows = (tokens[start : start + words] for start in range(0, len(tokens), words))
    return " ".join(" ".join(row).capitalize() + "." for row in rows)


def sentences_of_lengths(*lengths: int) -> str:
    """The same with sentences of these lengths."""
    tokens = iter(numbered_words(sum(lengths)))
    rows = ([next(tokens) for _ in range(length)] for length in lengths)
    return " ".join(" ".join(row).capitalize() + "." for row in rows)


def spans(text: str) -> list[tuple[int, int]]:
    """First and last word number of each passage; its words must be without a gap."""
    ranges = []
    for passage in split_kendra_passages(text):
        numbers = [int(token.removeprefix("word")) for token in passage]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        ranges.append((numbers[0], numbers[-1]))
    return ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sentences_of(60, 10), [(start, start + 99) for start in range(0, 500, 50)]),
        (
            sentences_of(1, 1000),
            [
                span
                for i in range(5)
                for span in ((105 * i, 105 * i + 104), (105 * i + 35, 105 * i + 139))
            ],
        ),
        (sentences_of(14, 10), [(0, 139)]),
        (sentences_of(16, 10), [(0, 99), (50, 129)]),
        (sentences_of(40, 10), [(start, start + 99) for start in range(0, 300, 50)]),
        (sentences_of(1, 52), [(0, 51)]),
        # A sentence is cut at 35 words when more than 17 would be left: 53 are two, 52 are one.
        (sentences_of_lengths(53, 50, 60), [(0, 102), (35, 137)]),
        (sentences_of_lengths(52, 50, 60), [(0, 101), (52, 136)]),
        # 50 words that are left over join the passage, 51 begin another one.
        (sentences_of_lengths(*[10] * 10, 25, 25), [(0, 149)]),
        (sentences_of_lengths(*[10] * 10, 17, 17, 17), [(0, 99), (50, 116)]),
        # A passage of 99 words goes on.
        (sentences_of_lengths(33, 33, 33, 35, 35, 35), [(0, 133), (66, 168)]),
        # A neighbour of one sentence gives all of it to the bridge.
        (sentences_of_lengths(52, 52, 52), [(0, 103), (52, 155)]),
        ("It is what it is. And so on!", []),
        ("", []),
    ],
    ids=[
        "60x10",
        "1x1000",
        "14x10",
        "16x10",
        "40x10",
        "1x52",
        "53+",
        "52+",
        "50 left",
        "51 left",
        "99",
        "one sentence",
        "stop words",
        "empty",
    ],
)
def test_passages_are_the_plugins(text: str, expected: list[tuple[int, int]]) -> None:
    assert spans(text) == expected


def scored_passages(scores: list[int]) -> list[list[str]]:
    """Passages of equal length whose BM25 against `hit` follows `scores`, each 0 or 1."""
    return [["hit", "other"] if score else ["some", "other"] for score in scores]


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([0], [0]),
        ([0] * 2, [1, 0]),
        ([0] * 3, [1, 2, 0]),
        *(([0] * count, [1, 2, count - 1]) for count in range(4, 12)),
        ([1, 0, 0, 0], [0, 2, 3]),
        ([0, 0, 0, 1, 0, 0], [3, 2, 5]),
        ([0, 1, 1, 0, 1, 1], [1, 2, 5]),
        ([], []),
    ],
)
def test_ties_are_resolved_as_by_javas_priority_queue(scores: list[int], chosen: list[int]) -> None:
    assert choose_kendra_passages(["hit"], scored_passages(scores), 3) == chosen


def test_a_word_in_every_passage_says_nothing() -> None:
    passages = [["a1"], ["a1", "b1"], ["a1", "b1"], ["a1"]]
    assert choose_kendra_passages(["a1"], passages, 3) == [1, 2, 3]


def test_the_best_passage_comes_first_and_rarer_words_count_more() -> None:
    passages = [["aa", "bb"], ["aa", "cc"], ["dd", "ee"], ["aa", "ff"], ["gg", "hh"]]
    assert choose_kendra_passages(["aa", "cc"], passages, 3)[0] == 1


def test_a_word_that_the_query_repeats_counts_each_time() -> None:
    passages = [["aa", "xx"], ["bb", "xx"], ["cc", "xx"], ["dd", "xx"]]
    assert choose_kendra_passages(["aa", "aa", "bb"], passages, 3)[:2] == [0, 1]
    assert choose_kendra_passages(["aa", "bb", "bb"], passages, 3)[:2] == [1, 0]


def test_a_words_share_of_its_passage_counts_not_how_often_it_is_there() -> None:
    passages = [["hit", "hit", *["other"] * 18], ["hit", *["other"] * 3], ["other"], ["other"]]
    assert choose_kendra_passages(["hit"], passages, 3)[:2] == [1, 0]


def test_the_shipped_plan_has_the_plugins_numbers() -> None:
    path = Path(__file__).parents[2] / "config" / "plans" / "kendra-intelligent-ranking.yaml"
    plan = Plan.model_validate(yaml.safe_load(path.read_text()))
    assert (plan.rescore_window, plan.group_by, len(plan.stages)) == (25, None, 1)
    assert (plan.passages.method, plan.passages.per_group) == ("kendra", 3)
    assert (plan.fusion.method, plan.scores) == ("replace", "model")
    assert (TITLE_TOKENS, BODY_TOKENS) == (15, 200)


@given(st.text())
def test_any_text_can_be_tokenised_and_cut(text: str) -> None:
    cleaned = text.encode("utf-8", "replace").decode()
    for token in tokenise(cleaned):
        assert 0 < len(token) <= 25
        # A blank with an accent on it is a word by ICU's rules.
        assert " " not in token[1:]
    assert len(split_kendra_passages(cleaned)) <= 10


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5))
def test_the_chosen_passages_are_distinct_and_none_is_worse_than_one_left_out(
    repeats: list[int], count: int
) -> None:
    passages = [["hit"] * repeat + ["other"] * (4 - repeat) for repeat in repeats]
    chosen = choose_kendra_passages(["hit"], passages, count)
    assert len(set(chosen)) == min(count, len(passages))
    if len(set(repeats)) > 1 and 0 in repeats:
        left_out = [repeat for index, repeat in enumerate(repeats) if index not in chosen]
        assert min(repeats[index] for index in chosen) >= max(left_out, default=0)
