from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pydantic import TypeAdapter

from pipelines.documents import Document, Part
from pipelines.groups import Group
from pipelines.kendra_passages import KendraPassages
from pipelines.passage_methods import Passages
from pipelines.passages import split_passages
from pipelines.sentence_passages import SentencePassages, split_body
from pipelines.texts import clean_text
from pipelines.words import read_words


def group(*documents: tuple[str, str]) -> Group:
    return Group(
        "g", tuple(Document(i, title, body, 1.0, "g") for i, (title, body) in enumerate(documents))
    )


def texts(groups: list[Group], **settings: object) -> list[str]:
    return [
        passage.text
        for passage in split_passages(groups, TypeAdapter(Passages).validate_python(settings))
    ]


def sentence(words: int, name: str) -> str:
    return " ".join([name, *["word"] * (words - 1)]) + "."


def names(windows: list[str]) -> list[list[str]]:
    """The capitals of the sentences that each window holds."""
    return [[word for word in window.split() if word[0].isupper()] for window in windows]


def test_a_short_body_is_one_passage_with_the_title_before_it() -> None:
    body = "It is soft. It is red."
    [passages] = split_passages([group(("Red shoe", body))], SentencePassages())
    assert passages[:4] == (0, 0, f"Red shoe. {body}", body)
    assert_array_equal(passages.words, read_words(body))
    assert_array_equal(passages.title_words, read_words("Red shoe"))


def test_text_is_cleaned_before_it_is_cut() -> None:
    raw = group((" Red  shoe\n", "It\tis \ud800 soft."))
    assert texts([raw]) == ["Red shoe. It is \ufffd soft."]


def test_the_kendra_method_keeps_line_breaks_because_they_end_sentences() -> None:
    raw = [group(("T\ud800", "Heading one\nText \ud800 two"))]
    assert texts(raw, method="kendra") == ["heading one text two"]
    lines = [" ".join(["word"] * count) for count in (30, 40, 20, 45, 30)]
    one, many = (texts([group(("", joint.join(lines)))], method="kendra") for joint in " \n")
    assert one != many


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Red", "Red. Body"),
        ("Red?", "Red? Body"),
        ("Red.", "Red. Body"),
        ("赤い。", "赤い。 Body"),
        ("", "Body"),
    ],
)
def test_a_title_keeps_its_own_punctuation(title: str, text: str) -> None:
    assert texts([group((title, "Body"))]) == [text]


def test_a_title_alone_is_a_passage_and_no_text_is_none() -> None:
    groups = [group(("Only a title", "")), group(("", "")), group(("", "Body"))]
    titled, bodied = split_passages(groups, SentencePassages())
    assert titled[:4] == (0, 0, "Only a title", "")
    assert_array_equal(titled.title_words, read_words("Only a title"))
    assert len(titled.words) == 0
    assert bodied[:4] == (2, 0, "Body", "Body")
    assert_array_equal(bodied.words, read_words("Body"))
    assert len(bodied.title_words) == 0


def test_fields_that_are_read_apart_are_passages_of_their_own() -> None:
    parts = (Part("Heat", 3.0, titled=False), Part("Tags: a.", 0.5, titled=True))
    document = Document(0, "Heat", "Thieves.", 1.0, None, parts)
    passages = split_passages([Group(0, (document,))], SentencePassages())
    assert [(p.number, p.text, p.body, p.part, p.weight) for p in passages] == [
        (0, "Heat. Thieves.", "Thieves.", 0, 1.0),
        (1, "Heat", "", 1, 3.0),
        (2, "Heat. Tags: a.", "Tags: a.", 2, 0.5),
    ]


def test_a_title_alone_has_its_own_weight() -> None:
    document = Document(0, "Heat", "", 1.0, None, (Part("Heat", 3.0, titled=False),))
    [passage] = split_passages([Group(0, (document,))], SentencePassages())
    assert (passage.text, passage.weight) == ("Heat", 3.0)


def test_a_long_title_is_cut_to_thirty_words() -> None:
    title = " ".join(f"w{number}" for number in range(100))
    assert texts([group((title, ""))]) == [" ".join(f"w{number}" for number in range(30))]


def test_passages_of_a_group_are_numbered_through_its_documents_and_doubles_are_kept_once() -> None:
    passages = split_passages(
        [group(("Shoe", "Red."), ("Shoe", "Blue."), ("Shoe", "Red."))], SentencePassages()
    )
    assert [(p.group, p.number, p.text) for p in passages] == [
        (0, 0, "Shoe. Red."),
        (0, 1, "Shoe. Blue."),
    ]


def test_windows_are_whole_sentences_closed_before_they_pass_the_limit() -> None:
    body = " ".join(sentence(4, name) for name in "ABCDE")
    assert names(split_body(body, 10, 0)) == [["A", "B"], ["C", "D"], ["E"]]


def test_the_last_sentences_are_repeated_in_the_next_window() -> None:
    body = " ".join(sentence(4, name) for name in "ABCDE")
    assert names(split_body(body, 12, 1)) == [["A", "B", "C"], ["C", "D", "E"]]
    assert names(split_body(body, 12, 2)) == [["A", "B", "C"], ["B", "C", "D"], ["C", "D", "E"]]


def test_an_overlap_never_crowds_out_the_new_sentence() -> None:
    body = " ".join([sentence(2, "A"), sentence(9, "B"), sentence(9, "C"), sentence(2, "D")])
    assert names(split_body(body, 11, 1)) == [["A", "B"], ["C", "D"]]


def test_a_sentence_longer_than_a_window_is_cut_between_words() -> None:
    body = " ".join(f"w{number}" for number in range(25))
    assert [len(window.split()) for window in split_body(body, 10, 0)] == [10, 10, 5]


def test_abbreviations_and_decimals_do_not_end_a_sentence() -> None:
    body = "It costs 3.50 today i.e. little. " + sentence(8, "B")
    assert split_body(body, 9, 0)[0] == "It costs 3.50 today i.e. little."


def test_text_without_blanks_is_cut_by_its_own_words() -> None:
    body = "我们在这里测试中文分词和句子的切分方法" * 40
    windows = split_body(body, 20, 0)
    assert "".join(windows) == body
    assert max(map(len, windows)) <= 60


def test_thai_is_cut_between_words_and_not_before_a_vowel_sign() -> None:
    body = "ภาษาไทยเป็นภาษาที่ไม่มีช่องว่างระหว่างคำ" * 10
    windows = split_body(body, 8, 0)
    assert "".join(windows) == body
    assert len(windows) > 10
    assert all(window[0] not in "ัิีึืุู็่้๊๋์" for window in windows)


def test_no_piece_of_a_long_run_begins_with_a_mark() -> None:
    run = "བསྒྲུབས" * 40  # Tibetan marks, without the dots between syllables
    windows = split_body(run + " " + "क्षि" * 100, 8, 0)
    assert "".join(windows).replace(" ", "") == run + "क्षि" * 100
    assert not any(category(window[0]).startswith("M") for window in windows)


def test_a_run_of_any_length_is_bounded() -> None:
    assert max(map(len, split_body("x" * 10_000, 8, 0))) == 8 * 40


def test_kendra_passages_are_tokens_of_title_and_body() -> None:
    title = " ".join(f"title{number}" for number in range(20))
    body = " ".join(f"Word{number}" for number in range(250)) + "."
    passages = split_passages([group((title, body), ("No tokens here", "I am."))], KendraPassages())
    assert passages[0].text.split() == [
        *(f"title{number}" for number in range(15)),
        *(f"word{number}" for number in range(105)),
    ]
    assert passages[0].body.split() == [f"word{number}" for number in range(105)]
    assert [passage.number for passage in passages] == list(range(len(passages)))


def test_a_kendra_body_is_cut_to_its_first_200_tokens_for_the_model_alone() -> None:
    lengths = [33, 33, 33, 52, 50]  # the longest passage that the plugin's rules can make
    body = " ".join(sentence_of_numbers(row, length) for row, length in enumerate(lengths))
    (passage,) = split_passages([group(("", body))], KendraPassages())
    assert len(passage.body.split()) == 201
    assert passage.text.split() == passage.body.split()[:200]


def sentence_of_numbers(row: int, words: int) -> str:
    return " ".join(f"Word{row}a{number}" for number in range(words)) + "."


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
bodies = st.lists(
    words | st.sampled_from(["one", "Two.", "three!", "中文。", "ภาษา"]), max_size=120
).map(lambda passages: clean_text(" ".join(passages)))


# ICU keeps a soft hyphen with the blank before it, in one segment.
@example("0 0 0 㐀 0 \xad0:0", 8, 0)
@given(bodies, st.integers(8, 30), st.integers(0, 10))
def test_windows_hold_the_whole_body_in_order(body: str, limit: int, overlap: int) -> None:
    windows = split_body(body, limit, overlap)
    at = end = 0
    for window in windows:
        # The furthest place that leaves no gap behind the window before.
        gap = body[end : end + 1].isspace()
        at = body.rfind(window, at, end + gap + len(window))
        assert at >= 0
        end = at + len(window)
    assert end == len(body)


@given(bodies, st.integers(8, 30))
def test_windows_without_overlap_are_the_body_and_none_is_too_long(body: str, limit: int) -> None:
    windows = split_body(body, limit, 0)
    assert "".join("".join(windows).split()) == "".join(body.split())
    assert all(window and len(window.split()) <= limit for window in windows)
    assert all(len(window) <= limit * 41 for window in windows)
