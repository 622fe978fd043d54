"""Highlights: offsets enclose the term, whatever stands before it."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.answering.highlights import (
    Highlight,
    Term,
    find_highlights,
    find_marks,
    find_query_terms,
    find_run,
    guess_terms,
    read_analyze,
    write_analyze,
    write_text,
)

TEXT = "\U0001f600 The Kettle, a copper-kettle: na\u00efve kettles!"


def terms_of(*texts: str) -> dict[str, tuple[Term, ...]]:
    terms = {}
    for piece in " ".join(texts).split():
        start, run = find_run(piece)
        terms[piece] = tuple(
            Term(term.text, term.start + start, term.end + start)
            for term in guess_terms([run])[run]
        )
    return terms


def marked(text: str, highlights: Sequence[Highlight]) -> list[str]:
    return [text[highlight.start : highlight.end] for highlight in highlights]


def find(text: str, query: str) -> list[Highlight]:
    terms = terms_of(text, query)
    return find_highlights(text, find_marks(terms, find_query_terms(query, terms)))


def test_each_token_that_the_query_asks_for_is_one_highlight() -> None:
    assert marked(TEXT, find(TEXT, "kettle copper")) == ["Kettle", "copper", "kettle"]
    assert marked(TEXT, find(TEXT, "na\u00efve?")) == ["na\u00efve"]
    assert find(TEXT, "silver") == []
    assert find("", "silver") == []


def test_adjacent_highlights_are_not_merged() -> None:
    assert find("copper kettle", "copper kettle") == [
        Highlight(0, 6, "STANDARD"),
        Highlight(7, 13, "STANDARD"),
    ]


def test_stop_words_are_highlighted_only_where_there_is_nothing_else() -> None:
    assert marked("the kettle of the house", find("the kettle of the house", "the kettle")) == [
        "kettle"
    ]
    assert marked("to be or not", find("to be or not", "To Be")) == ["to", "be"]


@pytest.mark.parametrize(
    ("piece", "run"),
    [
        ("copper", "copper"),
        ("(copper),", "copper"),
        ("__kettle__", "kettle"),
        ("co-op's", "co-op's"),
        ("\u4e2d\u6587\u3002", "\u4e2d\u6587"),
        ("5%", "5"),
        ("(दिल्ली)।", "दिल्ली"),
        ("_cafe\u0301_!", "cafe\u0301"),
        ("\u0301a", "a"),
        ("\u0301", ""),
        ("--", ""),
        ("x" * 5000, ""),
        ("x" * 5000 + "-y", ""),
    ],
)
def test_a_run_has_no_punctuation_at_its_ends(piece: str, run: str) -> None:
    start, run_of_piece = find_run(piece)
    assert run_of_piece == run
    assert piece[start : start + len(run)] == run


def test_a_piece_of_any_length_takes_a_time_that_grows_with_it_alone() -> None:
    for piece in ("a" + "!" * 200_000 + "a", "a" + "\u0301" * 200_000, "\u0301!" * 200_000):
        assert find_run(piece)[1] == ""


def test_words_are_guessed_with_their_marks() -> None:
    assert guess_terms(["दिल्ली-हिन्दी"]) == {
        "दिल्ली-हिन्दी": (Term("दिल्ली", 0, 6), Term("हिन्दी", 7, 13))
    }


def token(text: str, start: int, end: int, kind: str = "<ALPHANUM>") -> dict[str, Any]:
    return {"token": text, "start_offset": start, "end_offset": end, "type": kind, "position": 0}


def test_terms_are_read_run_by_run_and_in_code_points() -> None:
    runs = ["na\u00efve", "\U0001f600cells", "the", "co-op"]
    answer = {
        "tokens": [
            token("naiv", 0, 5),
            token("cell", 8, 13),
            token("co", 18, 20),
            token("op", 21, 23),
            token("coop", 18, 23),
        ]
    }
    assert write_analyze("body", runs) == {"field": "body", "text": runs}
    assert read_analyze(answer, runs) == {
        "na\u00efve": (Term("naiv", 0, 5),),
        "\U0001f600cells": (Term("cell", 1, 6),),
        "the": (),
        "co-op": (Term("co", 0, 2), Term("op", 3, 5), Term("coop", 0, 5)),
    }


def test_tokens_that_lie_outside_the_runs_are_left_out() -> None:
    answer = {"tokens": [token("x", 4, 9), token("y", 7, 8), token("z", 0, 0), token("a", 0, 3)]}
    assert read_analyze(answer, ["abc"]) == {"abc": (Term("a", 0, 3),)}


def test_of_several_terms_at_one_place_one_is_highlighted() -> None:
    terms = {"co-op": (Term("co", 0, 2), Term("op", 3, 5), Term("coop", 0, 5))}
    both = find_marks(terms, {"coop": False, "op": False})
    assert find_highlights("a co-op", both) == [Highlight(2, 7, "STANDARD")]
    part = find_marks(terms, {"op": False})
    assert find_highlights("a co-op", part) == [Highlight(5, 7, "STANDARD")]


def test_a_match_by_a_synonym_alone_is_a_thesaurus_synonym() -> None:
    terms = {
        "pot": (Term("pot", 0, 3), Term("kettle", 0, 3, synonym=True)),
        "kettle": (Term("kettle", 0, 6), Term("pot", 0, 6, synonym=True)),
        "pan": (Term("pan", 0, 3),),
    }
    query_terms = find_query_terms("pot", terms)
    assert query_terms == {"pot": False, "kettle": True}
    assert find_highlights("pot kettle pan", find_marks(terms, query_terms)) == [
        Highlight(0, 3, "STANDARD"),
        Highlight(4, 10, "THESAURUS_SYNONYM"),
    ]


def test_a_text_with_highlights_has_the_form_of_the_api() -> None:
    assert write_text("a kettle", [Highlight(2, 8, "STANDARD")], "code_points") == {
        "Text": "a kettle",
        "Highlights": [{"BeginOffset": 2, "EndOffset": 8, "TopAnswer": False, "Type": "STANDARD"}],
    }


@pytest.mark.parametrize(
    "text", ["\U0001f600\U0001f600 kettle \U0001f600kettle", "caf\u00e9 kettle"]
)
def test_offsets_count_what_the_client_counts(text: str) -> None:
    highlights = find(text, "kettle")
    for highlight in write_text(text, highlights, "code_points")["Highlights"]:
        assert text[highlight["BeginOffset"] : highlight["EndOffset"]] == "kettle"
    units = text.encode("utf-16-le")
    for highlight in write_text(text, highlights, "utf_16")["Highlights"]:
        part = units[2 * highlight["BeginOffset"] : 2 * highlight["EndOffset"]]
        assert part.decode("utf-16-le") == "kettle"


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["kettle", "Copper", "the", "\U0001f600", "kettle-copper", "...", "\n"]
            ),
            st.text(max_size=5),
        )
    ).map(" ".join)
)
def test_highlights_are_sorted_half_open_and_slices_of_the_query(text: str) -> None:
    highlights = find(text, "kettle copper")
    assert {word.lower() for word in marked(text, highlights)} <= {"kettle", "copper"}
    places = [place for highlight in highlights for place in (highlight.start, highlight.end)]
    assert places == sorted(places)
    assert all(highlight.start < highlight.end for highlight in highlights)
