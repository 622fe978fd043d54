"""Spelling suggestions: the words that are checked, and the corrected text with its offsets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.query_text.spelling import (
    correct_query_text,
    find_words,
    read_corrections,
    write_spell_corrected,
    write_suggest,
)
from sidecar.kendra.query_text.token_words import TokenWord

HIDDEN = {"term": {"_acl_user_allow": "ann"}}


def words(text: str) -> list[str]:
    return [word.text for word in find_words(text)]


def answer(words_found: list[TokenWord], options: dict[str, list[str]]) -> dict[str, Any]:
    return {
        f"spelling-{number}": [
            {
                "text": word.text.lower(),
                "options": [{"text": option} for option in options.get(word.text.lower(), [])],
            }
        ]
        for number, word in enumerate(words_found)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coper kettel", ["coper", "kettel"]),
        ("ox ket", ["ket"]),
        ("x" * 30 + " " + "y" * 31, ["x" * 30]),
        ("covid19 covid-19 b12", ["covid"]),
        ("long-standing kettel", ["long", "standing", "kettel"]),
        ('coper AND NOT "kettel"', ["coper", "kettel"]),
        ("_category:metl views:[10 TO twenti] coper", ["coper"]),
        ('title:"coper kettel" pott', ["pott"]),
        ("kett* coper", ["coper"]),
        ("the of coper", ["coper"]),
        ("दिल्ली cafe\u0301", ["दिल्ली", "cafe\u0301"]),
        ("l\u2019e\u0301cole", ["l\u2019e\u0301cole"]),
        ("", []),
    ],
)
def test_words_of_3_to_30_letters_without_digits_are_corrected(
    text: str, expected: list[str]
) -> None:
    words = find_words(text)
    assert [word.text for word in words] == expected
    assert all(text[word.start : word.end] == word.text for word in words)


def test_callers_who_see_everything_get_the_term_suggester() -> None:
    assert write_suggest(find_words("Coper"), "body.spell") == {
        "spelling-0": {
            "text": "coper",
            "term": {
                "field": "body.spell",
                "suggest_mode": "missing",
                "min_word_length": 3,
                "max_edits": 2,
                "min_doc_freq": 0.0001,
                "size": 1,
            },
        },
        "rare-0": {
            "text": "coper",
            "term": {
                "field": "body.spell",
                "suggest_mode": "popular",
                "min_word_length": 3,
                "max_edits": 1,
                "max_term_freq": 0.0001,
                "min_doc_freq": 0.001,
                "sort": "frequency",
                "size": 5,
            },
        },
    }
    # Three letters have too many neighbours.
    assert list(write_suggest(find_words("cop"), "body.spell")) == ["spelling-0"]
    assert write_suggest([], "body.spell") == {}


def test_other_callers_get_words_of_their_documents() -> None:
    (entry,) = write_suggest(find_words("Coper"), "body.spell", HIDDEN).values()
    assert "term" not in entry
    assert entry["phrase"]["collate"]["query"]["source"]["bool"]["filter"] == [HIDDEN]


def test_the_suggested_text_keeps_capitals_quotes_operators_and_clauses() -> None:
    text = 'Coper AND "KETTEL" NOT colour:redd  kettel'
    words = find_words(text)
    suggest = answer(words, {"coper": ["copper"], "kettel": ["kettle", "ketten"]})
    (corrected,) = write_spell_corrected(text, words, suggest)
    suggested = corrected["SuggestedQueryText"]
    assert suggested == 'Copper AND "KETTLE" NOT colour:redd  kettle'
    assert [
        (c["Term"], c["CorrectedTerm"], suggested[c["BeginOffset"] : c["EndOffset"]])
        for c in corrected["Corrections"]
    ] == [
        ("Coper", "Copper", "Copper"),
        ("KETTEL", "KETTLE", "KETTLE"),
        ("kettel", "kettle", "kettle"),
    ]


def test_nothing_to_correct_gives_no_suggestion() -> None:
    words = find_words("copper kettle")
    assert write_spell_corrected("copper kettle", words, answer(words, {})) == []
    assert write_spell_corrected("copper kettle", words, {}) == []
    # The phrase suggester offers the word itself if one of the caller's documents has it.
    known = answer(words, {"copper": ["coppers", "copper"], "kettle": ["kettle"]})
    assert read_corrections(known, words) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([("copper", 5)], {0: "Copper"}),
        ([("copper", 4)], {}),
        ([("copper", 500), ("cooper", 50)], {0: "Copper"}),
        # Plurals and other inflections of a rare word are no corrections of it.
        ([("copers", 900), ("cope", 800), ("copper", 50)], {0: "Copper"}),
        ([], {}),
    ],
    ids=str,
)
def test_a_rare_word_is_corrected_to_a_much_more_common_one(
    options: list[tuple[str, int]], expected: dict[int, str]
) -> None:
    suggest = {
        "spelling-0": [{"text": "coper", "options": []}],
        "rare-0": [
            {"text": "coper", "options": [{"text": text, "freq": freq} for text, freq in options]}
        ],
    }
    assert read_corrections(suggest, find_words("Coper")) == expected


def test_a_text_that_grows_too_long_is_not_suggested() -> None:
    text = "coper" + " x" * 496
    words = find_words(text)
    suggest = answer(words, {"coper": ["copper"]})
    assert len(text) == 997
    assert len(write_spell_corrected(text, words, suggest)[0]["SuggestedQueryText"]) == 998
    assert write_spell_corrected(text + " xy", find_words(text), suggest) == []


def test_offsets_may_count_utf_16() -> None:
    text = "\U0001f600 coper"
    words = find_words(text)
    suggest = answer(words, {"coper": ["copper"]})
    (points,) = write_spell_corrected(text, words, suggest)
    (units,) = write_spell_corrected(text, words, suggest, "utf_16")
    assert (points["Corrections"][0]["BeginOffset"], points["Corrections"][0]["EndOffset"]) == (
        2,
        8,
    )
    assert (units["Corrections"][0]["BeginOffset"], units["Corrections"][0]["EndOffset"]) == (3, 9)


@given(
    st.lists(st.sampled_from(["coper", "Kettel", "AND", '"', "\U0001f600", "the", "a:b"])).map(
        " ".join
    )
)
def test_offsets_bracket_the_corrected_term(text: str) -> None:
    words = find_words(text)
    corrections = {number: "x" * (number + 2) for number in range(len(words))}
    suggested, made = correct_query_text(text, words, corrections)
    assert [suggested[c.start : c.end] for c in made] == list(corrections.values())
    assert [c.term for c in made] == [word.text for word in words]
