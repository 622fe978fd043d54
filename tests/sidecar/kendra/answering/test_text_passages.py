"""Passages are exact substrings of the source, limited in token words, without repetitions."""

import gzip
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.sentence_passages import split_body
from pipelines.texts import clean_text, replace_surrogates
from sidecar.kendra.answering.text_passages import (
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
    path = Path(__file__).parents[4] / "sidecar" / "sample" / "corpus.jsonl.gz"
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


@pytest.mark.parametrize(
    "sentence",
    [
        "Mr. Big lives in New York.",
        "The drawing is by J. R. R. Tolkien and Dr. Smith.",
        "It is in the act (18 U.S.C. 711).",
        "The U.S. Army paid for it.",
        "\u042d\u0442\u043e \u043d\u0430\u043f\u0438\u0441\u0430\u043b "
        "\u0410. \u0421. \u041f\u0443\u0448\u043a\u0438\u043d.",
    ],
)
def test_abbreviations_and_initials_do_not_end_a_sentence(sentence: str) -> None:
    text = f"A first one. {sentence} A last one."
    assert shown(text, split_sentences(text)) == ["A first one.", sentence, "A last one."]


def test_the_end_of_a_line_or_a_text_ends_a_sentence_with_initials() -> None:
    text = "It is by J. R.\nThe rest is by A. B."
    assert shown(text, split_sentences(text)) == ["It is by J. R.", "The rest is by A. B."]
    assert sum(span.words for span in split_sentences("A. " * 1000, 100)) == 1000


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
@example("-" * 120 + "\u4e2d\u6587\u3002", 1)
@example("\u4e2d" + "-" * 39 + "\u6587" + "-" * 41, 1)
def test_passages_lose_nothing_but_blanks(text: str, words: int) -> None:
    spans = split_text(text, words)
    assert "".join("".join(shown(text, spans)).split()) == "".join(text.split())
    assert all(span.words <= words for span in spans)
    assert all(a.end <= b.start for a, b in zip(spans, spans[1:], strict=False))
    # Even a text without words is cut into passages of limited length.
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


def test_words_of_a_passage_have_their_marks() -> None:
    text = "किताब बड़ी है. किताबें दिल्ली में हैं. क ख ग घ"
    sentences = split_sentences(text)
    assert [sentence.words for sentence in split_sentences("दिल्ली में हिन्दी")] == [3]
    span = narrow_passage(text, sentences, 0, len(text), {"दिल्ली", "में"}, words=5)
    assert "दिल्ली में" in text[span.start : span.end]
    # So is a run of combining marks.
    assert len(split_sentences("क" + "्" * 100_000, 200)) > 10


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("\u0926\u093f\u0932\u094d\u0932\u0940", None),  # Hindi
        ("\u09ac\u09be\u0982\u09b2\u09be", None),  # Bengali
        ("\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", None),  # Tamil
        ("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", None),  # Hebrew with points
        ("\u0643\u0650\u062a\u064e\u0627\u0628\u064c", None),  # Arabic with vowel signs
        ("\u0e44\u0e17\u0e22", None),  # Thai
        ("cafe\u0301", None),
        ("cafe\u0301", "caf\u00e9"),
    ],
    ids=ascii,
)
def test_an_excerpt_has_the_querys_word_in_every_script(word: str, written: str | None) -> None:
    # The first letter alone, in the first sentence, is not the word.
    text = f"{word[0]} one two three. Four five six. A {written or word} seven."
    span = narrow_passage(text, split_sentences(text), 0, len(text), [word], words=4)
    assert text[span.start : span.end] == f"A {written or word} seven."


def test_a_passage_between_two_sentences_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="same text"):
        widen_passage(split_sentences("Tea.  Pot."), 4, 5)


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
