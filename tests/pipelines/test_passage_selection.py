from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from pipelines.lexical import count_words
from pipelines.passage_methods import Passages
from pipelines.passage_selection import select_passages
from pipelines.passages import Passage
from pipelines.sentence_passages import SentencePassages
from pipelines.words import read_query_words, read_words


def passages_of(*groups: list[str]) -> list[Passage]:
    return [
        Passage(index, number, f"Title. {body}", body, read_words(body), read_words("Title"))
        for index, bodies in enumerate(groups)
        for number, body in enumerate(bodies)
    ]


def chosen(
    query_text: str, *groups: list[str], count: int, method: str = "sentences"
) -> list[tuple[int, int]]:
    """(group, number) of each kept passage."""
    settings = TypeAdapter(Passages).validate_python({"per_group": count, "method": method})
    passages = passages_of(*groups)
    scores = count_words(
        read_query_words(query_text.encode("utf-8", "replace").decode()),
        [p.words for p in passages],
    ).bm25()
    selection = select_passages(query_text, passages, scores, settings)
    return [(passage.group, passage.number) for passage in selection]


def test_the_best_passages_of_each_group_are_kept_best_first() -> None:
    groups = (["sea air", "red shoe", "red hat"], ["a hat", "nothing", "red shoe here"])
    assert chosen("red shoe", *groups, count=2) == [(0, 1), (0, 2), (1, 2), (1, 0)]


def test_each_field_that_is_read_apart_keeps_its_best_passages() -> None:
    texts = ["red shoe", "a hat", "red", "blue shoe"]
    passages = [p._replace(part=number // 2) for number, p in enumerate(passages_of(texts))]
    scores = count_words(read_query_words("shoe"), [p.words for p in passages]).bm25()
    selection = select_passages("shoe", passages, scores, SentencePassages(per_group=1))
    assert [passage.number for passage in selection] == [0, 3]


def test_a_group_within_the_limit_stays_in_reading_order() -> None:
    groups = (["none", "red shoe"], ["none", "none", "red shoe"])
    assert chosen("red shoe", *groups, count=2) == [(0, 0), (0, 1), (1, 2), (1, 0)]


@pytest.mark.parametrize("query_text", ["unknown", "", "?!", "\ud800"])
def test_without_a_shared_word_the_first_passages_are_kept(query_text: str) -> None:
    assert chosen(query_text, ["one", "two", "three"], count=2) == [(0, 0), (0, 1)]


def test_the_title_alone_does_not_choose() -> None:
    assert chosen("title shoe", ["title title", "a shoe", "b"], count=1) == [(0, 0)]
    assert chosen("shoe", ["a", "b", "shoe"], count=1) == [(0, 2)]


def test_a_word_that_is_rare_in_the_window_counts_more() -> None:
    common = [["red thing"], ["red thing"], ["red thing"]]
    assert chosen("red fox", ["red hat", "brown fox"], *common, count=1)[0] == (0, 1)


def test_words_are_compared_lower_cased_and_without_punctuation() -> None:
    assert chosen("RED, (shoe)", ["a hat", "the red", "Red shoe!"], count=1) == [(0, 2)]


def test_texts_without_blanks_are_compared_by_characters() -> None:
    assert chosen("分词", ["我们在这里", "中文分词"], count=1) == [(0, 1)]


def test_the_kendra_method_follows_the_plugin_even_within_the_limit() -> None:
    assert chosen("hit", ["aa bb", "hit bb", "cc bb"], ["aa", "bb"], count=3, method="kendra") == [
        *((0, 1), (0, 2), (0, 0)),
        *((1, 1), (1, 0)),
    ]
