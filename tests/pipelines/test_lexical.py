from __future__ import annotations

from math import log1p

import numpy as np
import pytest

from pipelines.lexical import count_window, count_words, weigh_evidence
from pipelines.passages import Passage
from pipelines.words import QueryWords, read_query_words, read_words


def bm25(query_text: str, *texts: str, shared_word: float = 0.0) -> list[float]:
    return count_words(read_query_words(query_text), [*map(read_words, texts)]).bm25(shared_word)


def passage(group: int, number: int, title: str, body: str) -> Passage:
    return Passage(group, number, f"{title}. {body}", body, read_words(body), read_words(title))


def evidence(query_text: str, *passages: Passage) -> dict[int, float]:
    query = read_query_words(query_text)
    return weigh_evidence(query, passages, count_window(query, passages))


def test_evidence_is_the_best_title_the_best_passage_and_the_words_that_are_there() -> None:
    by_group = evidence(
        "red shoe",
        passage(0, 0, "red hat", "a hat"),
        passage(0, 1, "red hat", "a red hat, a red shoe"),
        passage(4, 0, "coat", "a shoe"),
    )
    bodies = bm25("red shoe", "a hat", "a red hat, a red shoe", "a shoe", shared_word=1)
    titles = bm25("red shoe", "red hat", "coat", shared_word=1)
    scores = [titles[0] + bodies[1], titles[1] + bodies[2]]
    mean = sum(scores) / 2
    red, shoe = log1p(1.5 / 1.5), log1p(0.5 / 2.5)  # one and both of two groups have them
    assert by_group == pytest.approx(
        {0: scores[0] / mean + 1 + 1, 4: scores[1] / mean + shoe / (red + shoe)}
    )


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("a new red shoe", [("new", "red"), ("red", "shoe")]),
        ("new. Red; shoe!", [("new", "red"), ("red", "shoe")]),
        ("new and red shoe", [("red", "shoe")]),
        ("shoe red new", []),
        ("red red shoe new red", [("red", "shoe"), ("new", "red")]),
        ("red", []),
        ("", []),
    ],
)
def test_neighbours_of_the_query_count_where_they_stand_in_the_same_order(
    text: str, pairs: list[tuple[str, str]]
) -> None:
    query = read_query_words("new red red shoe")
    counts = count_words(query, [read_words("x shoe"), read_words(text), read_words("new")])
    names = {hash(word): word for word in ("new", "red", "shoe")}
    present = [
        tuple(names[int(query.different[place])] for place in pair)
        for pair, held in zip(query.pairs, counts.pairs[:, 1], strict=True)
        if held
    ]
    assert sorted(present) == sorted(pairs)
    assert not counts.pairs[:, [0, 2]].any()


def test_words_that_no_document_has_are_not_missed() -> None:
    by_group = evidence("red zebra", passage(0, 0, "", "red"), passage(1, 0, "", "blue"))
    assert by_group == pytest.approx({0: 2 + 1, 1: 0})


def test_each_of_a_groups_titles_counts_once_and_the_best_of_them() -> None:
    once = evidence("hat", passage(0, 0, "hat", "x"), passage(1, 0, "coat", "x"))
    again = evidence(
        "hat", passage(0, 0, "hat", "x"), passage(0, 1, "hat", "y"), passage(1, 0, "coat", "x")
    )
    assert once == again
    other = evidence(
        "hat", passage(0, 0, "shoe", "x"), passage(0, 1, "hat", "y"), passage(1, 0, "coat", "x")
    )
    assert other[0] > other[1] == 0


@pytest.mark.parametrize("query_text", ["zebra", "", "?!"])
def test_no_shared_word_is_no_evidence(query_text: str) -> None:
    assert evidence(query_text, passage(0, 0, "red", "hat"), passage(1, 0, "", "blue")) == {}


def test_a_word_that_every_document_holds_still_counts() -> None:
    by_group = evidence(
        "bulb", passage(0, 0, "", "bulb"), passage(1, 0, "", "a long text on a bulb")
    )
    assert by_group[0] > by_group[1] > 1


def test_bm25_is_the_published_formula() -> None:
    # Two of three texts hold "a": idf = ln(1 + 1.5 / 2.5); lengths 2, 4, 3, mean 3.
    idf = 0.47000362924573563
    assert bm25("a a", "a b", "a a b c", "b c d") == pytest.approx(
        [
            idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)),
            idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / 3)),
            0.0,
        ]
    )


def test_bm25_of_nothing() -> None:
    assert bm25("a") == []
    assert bm25("a", "", "?") == [0.0, 0.0]


def test_texts_with_the_same_words_tie_whatever_their_order() -> None:
    words = [f"w{number}" for number in range(12)]
    texts = [" ".join(words[turn:] + words[:turn]) for turn in range(12)]
    others = ["w1 w5 x", "w1 y", "w9 w2 w2 z", "w11"]
    scores = bm25(" ".join(words), *texts, *others)
    assert len(set(scores[:12])) == 1


def test_words_that_share_the_last_bits_of_their_hash_are_told_apart() -> None:
    query = QueryWords(np.array([-7, 5]), np.array([[0, 1]]))
    texts = [np.array(words) for words in ([5, 5 + (1 << 16), -7 + (1 << 20), 5], [-7, 5], [6])]
    counts = count_words(query, texts)
    assert counts.counts.tolist() == [[0, 1, 0], [2, 1, 0]]
    assert counts.pairs.tolist() == [[False, True, False]]


def test_texts_without_words_between_others_own_none_of_theirs() -> None:
    query = read_query_words("red shoe")
    counts = count_words(query, [*map(read_words, ["", "red", "", "", "a shoe red shoe", ""])])
    red, shoe = (query.different.tolist().index(hash(word)) for word in ("red", "shoe"))
    assert counts.counts[red].tolist() == [0, 1, 0, 0, 1, 0]
    assert counts.counts[shoe].tolist() == [0, 0, 0, 0, 2, 0]
    assert counts.pairs.tolist() == [[False, False, False, False, True, False]]


def test_every_pair_of_a_long_query_is_found_in_texts_that_repeat_it() -> None:
    words = [f"w{number}" for number in range(3000)]
    query = read_query_words(" ".join(words))
    counts = count_words(query, [read_words(" ".join(words[turn:])) for turn in (0, 1500)])
    assert len(query.pairs) == 2999
    assert counts.pairs[:, 0].all()
    assert counts.pairs.sum() == 2999 + 1499
