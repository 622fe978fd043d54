"""Excerpts and Retrieve's passages: exact substrings, limited in token words, best first."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.answering.excerpts import cut_excerpt, cut_retrieved
from sidecar.kendra.answering.ranking import Ranking, ScoredPassage
from sidecar.kendra.answering.text_passages import QUERY_WORDS, RETRIEVE_WORDS
from sidecar.kendra.indexes.found_documents import DocumentSet, FoundDocument

LONG = " ".join(f"Sentence {n} is about thing{n}.\n" for n in range(200))


def document(number: int, body: str, title: str = "A title") -> FoundDocument:
    return FoundDocument(number, f"d{number}", title, body, "", (), {}, True)


def document_set(*bodies: str) -> DocumentSet:
    documents = tuple(document(number, body) for number, body in enumerate(bodies))
    return DocumentSet(documents, (), (), sum(map(len, bodies)), "docs")


def scored(text: str, score: float) -> ScoredPassage:
    return ScoredPassage(text, score, score)


def ranking(order: list[int], values: dict[int, float], **passages: Any) -> Ranking:
    return Ranking(tuple(order), values, {int(n[1:]): tuple(p) for n, p in passages.items()})


def test_an_excerpt_is_the_passage_that_the_model_scored_best() -> None:
    best = "Sentence 50 is about thing50. Sentence 51 is about thing51."
    excerpt = cut_excerpt(document(0, LONG), scored(best, 0.9), "thing51", 50)
    assert excerpt in LONG
    assert excerpt.split() == best.split()


def test_an_excerpt_without_a_model_shares_words_with_the_query() -> None:
    excerpt = cut_excerpt(document(0, LONG), None, "what is thing77", 50)
    assert excerpt in LONG
    assert "thing77" in excerpt


def test_of_a_long_document_only_its_first_passages_are_looked_through() -> None:
    excerpt = cut_excerpt(document(0, LONG), None, "thing199", most_passages=2)
    assert "thing199" not in excerpt
    assert LONG.startswith(excerpt.split("\n")[0]) or excerpt in LONG


def test_a_document_without_text_has_an_empty_excerpt() -> None:
    assert cut_excerpt(document(0, ""), scored("", 0.9), "x", 50) == ""


@given(st.text(alphabet="ab .\n!?😀", max_size=2000), st.text(max_size=20))
def test_excerpts_are_exact_and_short_enough(body: str, query: str) -> None:
    excerpt = cut_excerpt(document(0, body), None, query, 50)
    assert excerpt in body
    assert len(excerpt.split()) <= 8 * QUERY_WORDS
    assert sum(word.isalnum() for word in excerpt.split()) <= QUERY_WORDS


def test_passages_are_ranked_together_and_widened() -> None:
    other = "Only one sentence."
    passages = cut_retrieved(
        document_set(LONG, other),
        ranking(
            [1, 0],
            {1: 0.9, 0: 0.8},
            d0=[
                scored("Sentence 9 is about thing9.", 0.8),
                scored("Sentence 150 is about thing150.", 0.2),
            ],
            d1=[scored(other, 0.9)],
        ),
        "thing9",
        50,
    )
    assert [passage.number for passage in passages] == [1, 0, 0]
    assert [passage.probability for passage in passages] == [0.9, 0.8, 0.2]
    assert passages[0].text == other
    for passage in passages[1:]:
        assert LONG[passage.start :].startswith(passage.text)
        assert RETRIEVE_WORDS // 2 < len(passage.text.split()) <= RETRIEVE_WORDS
    assert "thing9." in passages[1].text
    assert "thing150." in passages[2].text


def test_passages_of_one_place_are_one() -> None:
    near = [scored(f"Sentence {n} is about thing{n}.", 0.9 - n / 100) for n in (5, 6)]
    passages = cut_retrieved(document_set(LONG), ranking([0], {0: 1.0}, d0=near), "thing5", 50)
    assert len(passages) == 1


def test_a_long_document_gives_all_its_passages() -> None:
    sentences = LONG.splitlines()
    cut = [" ".join(sentences[start : start + 20]) for start in range(0, 200, 20)]
    # In no order of place, so that neighbours are widened over one another's text.
    own = [scored(text, 1 - (7 * n % 10) / 10) for n, text in enumerate(cut)]
    best_first = sorted(own, key=lambda each: -each.score)
    passages = cut_retrieved(document_set(LONG), ranking([0], {0: 1.0}, d0=best_first), "x", 50)
    assert len(passages) >= 5
    ranges = sorted((each.start, each.start + len(each.text)) for each in passages)
    assert all(end <= begin for (_, end), (begin, _) in zip(ranges, ranges[1:], strict=False))
    assert all(len(each.text.split()) <= RETRIEVE_WORDS for each in passages)
    shown = sum(len(each.text.split()) for each in passages)
    assert shown >= 0.9 * len(LONG.split())
    # The configuration limits the number.
    few = cut_retrieved(document_set(LONG), ranking([0], {0: 1.0}, d0=best_first), "x", 2)
    assert [each.text for each in few] == [each.text for each in passages[:2]]


def test_of_an_overlapping_passage_the_rest_is_returned() -> None:
    sentences = LONG.splitlines()
    first, second = " ".join(sentences[:40]), " ".join(sentences[20:60])
    own = [scored(first, 0.9), scored(second, 0.8)]
    one, two = cut_retrieved(document_set(LONG), ranking([0], {0: 1.0}, d0=own), "x", 50)
    assert one.start == 0
    assert two.start == LONG.index(sentences[40].strip())
    assert sentences[59] in two.text


def test_documents_that_were_not_read_come_last_with_one_passage() -> None:
    passages = cut_retrieved(
        document_set("First words here.", LONG, "Last words here."),
        ranking([2, 0, 1], {2: 1.0}, d2=[scored("Last words here.", 0.7)]),
        "thing42",
        50,
    )
    assert [(passage.number, passage.probability) for passage in passages] == [
        (2, 0.7),
        (0, None),
        (1, None),
    ]
    assert "thing42" in passages[2].text


def test_repetitions_are_left_out() -> None:
    text = "The very same words stand in both of these documents, all of them."
    passages = cut_retrieved(document_set(text, text), ranking([0, 1], {}), "words", 50)
    assert len(passages) == 1


def test_a_title_stands_for_a_document_without_text() -> None:
    one = ranking([0], {0: 1.0}, d0=[scored("", 0.6)])
    [passage] = cut_retrieved(document_set(""), one, "title", 50)
    assert (passage.text, passage.probability) == ("A title", 0.6)
    [passage] = cut_retrieved(document_set(""), ranking([0], {}), "title", 50)
    assert (passage.text, passage.probability) == ("A title", None)


def test_a_hundred_passages_at_most() -> None:
    bodies = [f"Document {n} says {n * 7} and {n * 13} and {n * 17} things." for n in range(150)]
    assert (
        len(cut_retrieved(document_set(*bodies), ranking(list(range(150)), {}), "things", 50))
        == 100
    )
