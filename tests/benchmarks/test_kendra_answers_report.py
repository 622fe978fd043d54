"""The page about answers: its figures find the faults that a person would see."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.kendra_answers_data import AskedCollection, Question
from benchmarks.kendra_answers_report import (
    FIGURES,
    Pass,
    Result,
    contradictions,
    cuts_word,
    hits,
    is_question,
    mixes,
    read_reply,
    rises,
    write_page,
)

TEXT = "License:cc-by\nA kettle boils water. It *sings* when it boils."
ANSWER = Result("ANSWER", "d", "Kettle", "A kettle boils water.", "HIGH", TEXT, "A kettle boils")
DOCUMENT = Result("DOCUMENT", "d", "Kettle", "It *sings* when it boils.", "HIGH")
QUESTION = Question("q", "What boils water?", frozenset("d"), ("a kettle",))


def passed(*results: Result, name: str = "covidqa", text: str = TEXT) -> Pass:
    collection = AskedCollection(name, [{"_id": "d", "title": "Kettle", "text": text}], [QUESTION])
    return Pass(collection, {"d": text}, {"q": results})


def test_an_item_is_read_with_its_marked_answer() -> None:
    item: dict[str, Any] = {
        "Type": "ANSWER",
        "DocumentId": "d",
        "DocumentTitle": {"Text": "Kettle"},
        "DocumentExcerpt": {"Text": "A kettle boils water."},
        "ScoreAttributes": {"ScoreConfidence": "HIGH"},
        "AdditionalAttributes": [
            {
                "Key": "AnswerText",
                "Value": {
                    "TextWithHighlightsValue": {
                        "Text": "So. A kettle boils.",
                        "Highlights": [{"BeginOffset": 4, "EndOffset": 19}],
                    }
                },
            }
        ],
    }
    assert read_reply([item])[0].marked == "A kettle boils."


def test_a_judged_answer_is_found_in_a_relevant_document_only() -> None:
    assert hits(QUESTION, ANSWER)
    assert not hits(QUESTION, replace(ANSWER, document="other"))
    assert not hits(replace(QUESTION, is_sentence=True), ANSWER)
    assert hits(replace(QUESTION, is_sentence=True, answers=("A  kettle boils",)), ANSWER)


@pytest.mark.parametrize(
    ("excerpt", "cut"),
    [("A kettle boils water.", False), ("kettle boi", True), ("ils water.", True), ("gone", False)],
)
def test_a_cut_word_is_found(excerpt: str, cut: bool) -> None:
    assert cuts_word(excerpt, TEXT) is cut


def test_confidence_that_contradicts_is_found() -> None:
    low = replace(DOCUMENT, confidence="LOW")
    absent = replace(DOCUMENT, document="e", confidence="NOT_AVAILABLE")
    assert contradictions([ANSWER, DOCUMENT]) == 0
    assert contradictions([ANSWER, low]) == 1
    assert not rises([DOCUMENT, low])
    assert rises([low, DOCUMENT])
    assert mixes([DOCUMENT, absent])
    assert not mixes([absent])
    assert is_question('"Is it?" ')


def test_every_figure_is_in_the_page_for_both_passes() -> None:
    page = write_page([passed(DOCUMENT)], [passed(ANSWER, DOCUMENT)])
    for name in FIGURES:
        assert f"| {name} | " in page
    assert "| questions that have an ANSWER | 0 of 1 | 1 of 1 |" in page


def test_texts_are_shown_in_bold_and_escaped_if_the_licence_allows_it() -> None:
    shown = write_page([passed()], [passed(ANSWER, DOCUMENT)])
    assert "**A kettle boils** water." in shown
    assert r"It \*sings\* when" in shown
    unnamed = write_page([passed()], [passed(ANSWER, text="A kettle boils water.")])
    assert "What boils water?" in unnamed
    assert "kettle boils" not in unnamed
    figures = write_page([passed()], [passed(ANSWER, name="wikiqa")])
    assert "What boils water?" not in figures
    assert "kettle" not in re.sub(r"kendra", "", figures)
