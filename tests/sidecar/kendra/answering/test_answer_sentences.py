"""Which sentences can be an answer, and the short text around one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.texts import replace_surrogates
from sidecar.kendra.answering.answer_sentences import cut_around, find_answer_sentences
from sidecar.kendra.answering.text_passages import split_sentences

QUERY = "what are the treatments for diabetes"


def sentences(text: str, query: str = QUERY, title: str = "") -> list[str]:
    return [text[span.start : span.end] for span in find_answer_sentences(text, title, query)]


@pytest.mark.parametrize(
    "question",
    [
        "What are the newest treatments?",
        "What are the treatments for Diabetes ?",
        '"How is it treated?"',
        "(Is it treated with insulin?)",
        "What is this?!?",
        "\u7cd6\u5c3f\u75c5\u600e\u4e48\u6cbb\uff1f",
        "\u0645\u0627 \u0647\u0648\u061f",
    ],
)
def test_questions_are_no_answers(question: str) -> None:
    assert sentences(f"{question} Insulin helps.") == ["Insulin helps."]
    assert sentences(question) == []


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("Treatment options\n\nInsulin helps.", ["Insulin helps."]),
        ("Treatment options\nInsulin helps.", ["Insulin helps."]),
        ("Treatment options\r\nInsulin helps.", ["Insulin helps."]),
        ("# Treatment of all kinds.\nInsulin helps.", ["Insulin helps."]),
        ("These options exist:\nInsulin helps.", ["Insulin helps."]),
        # The title of the document, in any place.
        ("Insulin helps.\n\nAll about sugar", ["Insulin helps."]),
        ("All about sugar", []),
    ],
)
def test_headings_are_no_answers(text: str, answers: list[str]) -> None:
    assert sentences(text, title="All about Sugar") == answers


@pytest.mark.parametrize(
    "text",
    [
        "Insulin helps",
        "Insulin helps.\nDiet helps as well.",
        "Dosage: 30 units\nInsulin helps.",
        "- insulin\n- metformin",
        "| insulin | 30 |\n| metformin | 5 |",
        # A paragraph with hard line breaks.
        "Since 1922 insulin has been\nused for it in all of the world\nand it helps",
        "\u0907\u0902\u0938\u0941\u0932\u093f\u0928 \u0939\u0948\u0964",
    ],
)
def test_lines_of_text_lists_and_tables_may_be_answers(text: str) -> None:
    lines = [text[span.start : span.end] for span in split_sentences(text)]
    assert sentences(text) == lines


def test_a_repetition_of_the_query_is_no_answer() -> None:
    text = "The treatments for diabetes. Treatments: diabetes. Insulin is for diabetes."
    assert sentences(text) == ["Insulin is for diabetes."]
    # A statement adds at least one word to the query.
    assert sentences("A copper kettle boils water.", "copper kettle boils water") != []
    assert sentences("...", "copper") == []


TEXT = "One is here. Two follows it. Three is the third. Four is the last of them."


@pytest.mark.parametrize(
    ("sentence", "most", "excerpt"),
    [
        ("One is here.", 30, "One is here. Two follows it."),
        ("Two follows it.", 50, "One is here. Two follows it. Three is the third."),
        ("Two follows it.", 40, "Two follows it. Three is the third."),
        ("Three is the third.", 19, "Three is the third."),
        ("Three is the third.", 18, "Three is the"),
        ("Three is the third.", 12, "Three is the"),
        ("Three is the third.", 11, "Three is"),
        ("Three is the third.", 4, "Thre"),
        ("Four is the last of them.", 45, "Three is the third. Four is the last of them."),
        ("One is here.", 500, TEXT),
    ],
)
def test_the_excerpt_is_cut_at_sentences_around_the_answer(
    sentence: str, most: int, excerpt: str
) -> None:
    start = TEXT.index(sentence)
    assert cut_around(TEXT, start, start + len(sentence), most) == excerpt


def test_a_sentence_in_a_script_without_blanks_is_cut_at_a_word() -> None:
    text = "\u5317\u4eac\u5927\u5b66\u4f4d\u4e8e\u4e2d\u56fd\u9996\u90fd\u5317\u4eac\u3002"
    assert cut_around(text, 0, len(text), 9) == text[:8]


def test_a_cell_brings_its_row() -> None:
    text = "Name\tPrice\nTea\t2\nRum\t9"
    at = text.index("2")
    assert cut_around(text, at, at + 1, 12) == "Tea\t2\nRum\t9"
    assert cut_around(text, at, at + 1, 5) == "Tea\t2"
    assert cut_around(text, at, at + 1, 4) == "2"


_TEXTS = st.lists(
    st.sampled_from(["a", "word", "kettle", "x" * 50, ".", "?", "\n", " ", "\u5317\u4eac", "\t"])
    | st.text(max_size=3).map(replace_surrogates),
    max_size=40,
).map(" ".join)


@given(_TEXTS, st.integers(1, 80))
def test_the_answer_is_in_the_excerpt_whole_if_it_fits(text: str, most: int) -> None:
    for span in split_sentences(text):
        sentence = text[span.start : span.end]
        excerpt = cut_around(text, span.start, span.end, most)
        assert excerpt in text
        assert 0 < len(excerpt) <= max(most, len(text) if len(text) <= most else 0)
        assert sentence in excerpt if len(sentence) <= most else sentence.startswith(excerpt)


@given(_TEXTS, st.text(max_size=20))
def test_answers_are_sentences_of_the_text_and_no_questions(text: str, query: str) -> None:
    spans = split_sentences(text, 100)
    for span in find_answer_sentences(text, "", query):
        assert span in spans
        assert not text[span.start : span.end].rstrip().endswith("?")
