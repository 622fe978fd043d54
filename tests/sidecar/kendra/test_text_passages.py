"""Passages are exact substrings of the source, of so many token words, and never twice the same."""

import gzip
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.documents import clean_text, replace_surrogates
from pipelines.passages import split_body
from sidecar.kendra.text_passages import (
    NearDuplicates,
    Span,
    find_passage,
    narrow_passage,
    split_sentences,
    split_text,
    widen_passage,
)

TEXT = (
    "  Copper is a metal.\n\nIt conducts heat; kettles are made of it.  A kettle boils water. "
    "Tea is made\nwith it."
)
CHINESE = (
    "\u8fd9\u662f\u7b2c\u4e00\u53e5\u8bdd\u3002\u8fd9\u662f\u7b2c\u4e8c\u53e5\u8bdd\u3002" * 20
)
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["A word. ", "\n", "  ", "-" * 60, "\u4e2d\u6587\u3002", "\U0001f600", "x" * 90]
        ),
        st.text(max_size=12),
    ),
    max_size=30,
).map(lambda parts: replace_surrogates("".join(parts)))


@cache
def sample() -> tuple[str, ...]:
    path = Path(__file__).parents[3] / "sidecar" / "sample" / "corpus.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        return tuple(json.loads(line)["text"] for line in lines)[:60]


def shown(text: str, spans: list[Span]) -> list[str]:
    return [text[span.start : span.end] for span in spans]


def test_sentences_are_without_the_blanks_around_them() -> None:
    assert shown(TEXT, split_sentences(TEXT)) == [
        "Copper is a metal.",
        "It conducts heat; kettles are made of it.",
        "A kettle boils water.",
        "Tea is made",
        "with it.",
    ]
    assert [span.words for span in split_sentences(TEXT)] == [4, 8, 4, 3, 2]


def test_passages_are_runs_of_whole_sentences() -> None:
    assert shown(TEXT, split_text(TEXT, 12)) == [
        "Copper is a metal.\n\nIt conducts heat; kettles are made of it.",
        "A kettle boils water. Tea is made\nwith it.",
    ]
    assert shown(TEXT, split_text(TEXT, 12, most=1)) == [
        "Copper is a metal.\n\nIt conducts heat; kettles are made of it.",
    ]


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    text = "one two, three (four five"
    assert shown(text, split_text(text, 2)) == ["one two,", "three (four", "five"]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u3000"])
def test_a_blank_text_has_no_passage(text: str) -> None:
    assert split_text(text, 100) == []


@pytest.mark.parametrize("words", [100, 200])
def test_no_passage_of_a_real_collection_has_more_words(words: int) -> None:
    for text in sample():
        spans = split_text(text, words)
        assert all(0 < span.words <= words for span in spans)
        assert "".join("".join(shown(text, spans)).split()) == "".join(text.split())


def test_words_of_a_script_without_blanks_count() -> None:
    spans = split_text(CHINESE, 20)
    assert len(spans) > 5
    assert "".join(shown(CHINESE, spans)) == CHINESE


@given(TEXTS, st.integers(1, 20))
def test_passages_lose_nothing_but_blanks(text: str, words: int) -> None:
    spans = split_text(text, words)
    assert "".join("".join(shown(text, spans)).split()) == "".join(text.split())
    assert all(span.words <= words for span in spans)
    assert all(a.end <= b.start for a, b in zip(spans, spans[1:], strict=False))
    # However little of it is a word, no passage is without an end.
    assert all(span.end - span.start <= 45 * (words + 1) + len(text) // 4 for span in spans)


@given(TEXTS, st.integers(8, 20), st.data())
def test_a_passage_of_the_core_is_found_in_its_source(
    text: str, words: int, data: st.DataObject
) -> None:
    passages = split_body(clean_text(text), words, 1)
    if not passages:
        return
    passage = data.draw(st.sampled_from(passages))
    place = find_passage(text, passage)
    assert place is not None
    assert clean_text(text[place[0] : place[1]]) == clean_text(passage)


def test_what_is_not_in_a_text_is_not_found() -> None:
    assert find_passage(TEXT, "silver kettle") is None
    assert find_passage(TEXT, " ") is None
    assert find_passage("", "x") is None


def test_a_passage_is_widened_to_whole_sentences_around_it() -> None:
    sentences = split_sentences(TEXT)
    place = find_passage(TEXT, "kettle boils")
    assert place is not None

    def widened(words: int) -> str:
        span = widen_passage(sentences, *place, words)
        assert span.words <= words
        return clean_text(TEXT[span.start : span.end])

    assert widened(4) == "A kettle boils water."
    assert widened(7) == "A kettle boils water. Tea is made"
    assert (
        widened(15) == "It conducts heat; kettles are made of it. A kettle boils water. Tea is made"
    )
    assert widened(200) == clean_text(TEXT)


def test_a_passage_that_is_too_long_is_cut_behind_a_sentence() -> None:
    span = widen_passage(split_sentences(TEXT), 0, len(TEXT), 12)
    assert TEXT[span.start : span.end].endswith("made of it.")


def test_a_passage_is_narrowed_to_the_sentences_that_share_most_with_the_query() -> None:
    sentences = split_sentences(TEXT)

    def narrowed(*query: str) -> str:
        span = narrow_passage(TEXT, sentences, 0, len(TEXT), query, 8)
        assert span.words <= 8
        return clean_text(TEXT[span.start : span.end])

    assert narrowed("heat") == "It conducts heat; kettles are made of it."
    assert narrowed("water", "tea") == "A kettle boils water. Tea is made"
    assert narrowed("nothing") == "Copper is a metal."


def test_a_passage_between_two_sentences_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="same text"):
        widen_passage(split_sentences("A.  B."), 2, 3)


def repeated(passages: list[str]) -> set[int]:
    seen = NearDuplicates()
    return {index for index, passage in enumerate(passages) if seen.repeats(passage)}


def test_near_duplicates_of_a_better_passage_are_dropped() -> None:
    words = [f"w{number}" for number in range(100)]
    best = " ".join(words)
    mostly = " ".join([*words[:90], "another", "ending"])
    half = " ".join([*words[:50], *(f"x{number}" for number in range(50))])
    inside = " ".join(words[20:40])
    assert repeated([best, mostly, half, inside, best.upper()]) == {1, 4}


def test_what_must_be_the_same_as_a_whole_is_no_near_duplicate() -> None:
    seen = NearDuplicates()
    words = [f"w{number}" for number in range(40)]
    assert not seen.repeats(" ".join(words))
    assert not seen.repeats(" ".join([*words, "more"]), whole=True)
    assert seen.repeats(" ".join(words).upper(), whole=True)


def test_short_passages_are_compared_whole() -> None:
    assert repeated(["copper kettle", "kettle", "copper kettle", "Copper, kettle!"]) == {
        2,
        3,
    }
    assert repeated([]) == set()


@given(st.lists(st.text(max_size=20).map(replace_surrogates), max_size=8))
def test_the_best_of_equal_passages_stays(passages: list[str]) -> None:
    dropped = repeated([*passages, *passages])
    assert {*range(len(passages), 2 * len(passages))} <= dropped
    assert 0 not in dropped
