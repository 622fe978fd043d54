"""The answer to a Rescore: one item for each group, in which order, with which scores."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.kendra_ranking.rescoring import (
    WITHOUT_TEXT,
    cut_texts,
    read_groups,
    write_items,
    write_score,
)
from tests.sidecar.kendra_ranking.serving import Serve, Served, document, kendra_plan


def items(door: Served, *documents: dict[str, Any], query: str = "red apple") -> list[Any]:
    answer = door.rescore(list(documents), query)
    assert answer.status == 200, answer.body
    return [(item["DocumentId"], item["Score"]) for item in answer.json["ResultItems"]]


def order(door: Served, *documents: dict[str, Any], query: str = "red apple") -> list[str]:
    return [name for name, _ in items(door, *documents, query=query)]


def test_the_best_comes_first(door: Served) -> None:
    given = [document("none", "green tree"), document("all", "red apple"), document("one", "red")]
    assert order(door, *given) == ["all", "one", "none"]


def test_a_group_is_one_item_of_its_own_name_and_its_best_passage(door: Served) -> None:
    given = [
        document("a@1", "green tree", GroupId="a"),
        document("b", "red"),
        document("a@2", "red apple", GroupId="a"),
    ]
    [first, second] = items(door, *given)
    assert (first[0], second[0]) == ("a", "b")
    assert first[1] == items(door, document("x", "red apple"))[0][1]


def test_every_group_is_answered(door: Served) -> None:
    given = [
        document(f"d{group}@{number}", "words", GroupId=f"d{group}")
        for group in range(25)
        for number in range(3)
    ]
    assert sorted(order(door, *given)) == sorted(f"d{group}" for group in range(25))


def test_an_id_and_a_group_of_one_name_are_one(door: Served) -> None:
    given = [
        document("a", "green"),
        document("a@1", "red apple", GroupId="a"),
        document("b", "red"),
    ]
    assert order(door, *given) == ["a", "b"]


def test_an_id_twice_is_one_item(door: Served) -> None:
    assert order(
        door, document("a", "green"), document("b", "red"), document("a", "red apple")
    ) == [
        "a",
        "b",
    ]


def test_ties_go_by_original_score_then_by_first_appearance(door: Served) -> None:
    given = [
        document("low", "red", 1.0),
        document("g@1", "red", 0.5, GroupId="g"),
        document("high", "red", 3.0),
        document("also-low", "red", 1.0),
        document("g@2", "tree", 2.0, GroupId="g"),
    ]
    assert order(door, *given) == ["high", "g", "low", "also-low"]


def test_what_has_no_text_is_last_and_keeps_the_original_order(door: Served) -> None:
    given = [
        document("nothing", score=1.0),
        document("more", score=9.0),
        document("tree", "green tree"),
        document("zero-width", "\u200b", score=5.0),
    ]
    found = items(door, *given)
    assert [name for name, _ in found] == ["tree", "more", "zero-width", "nothing"]
    assert {score for _, score in found[1:]} == {WITHOUT_TEXT}


def test_documents_without_any_text_at_all(door: Served) -> None:
    assert items(door, document("a"), document("b", score=2.0)) == [
        ("b", WITHOUT_TEXT),
        ("a", WITHOUT_TEXT),
    ]


@pytest.mark.parametrize(
    "text",
    [
        {"Body": " \n"},
        {"Title": "\0"},
        {"TokenizedBody": [" "]},
        {"TokenizedTitle": ["\u00a0"] * 3},
    ],
    ids=str,
)
def test_blanks_are_no_text(door: Served, text: dict[str, Any]) -> None:
    assert items(door, document("a", **text)) == [("a", WITHOUT_TEXT)]
    found = items(door, document("a", **text), document("b", "tree"))
    assert [name for name, _ in found] == ["b", "a"]


@pytest.mark.parametrize(
    "text",
    [
        {"Title": "red apple"},
        {"Body": "red apple"},
        {"Title": "red", "Body": "apple"},
        {"TokenizedTitle": ["red", "apple"]},
        {"TokenizedBody": ["red", "apple"]},
        {"TokenizedTitle": ["red"], "TokenizedBody": ["apple"]},
        {"Title": "red", "TokenizedBody": ["apple"]},
        {"TokenizedTitle": ["red"], "Body": "apple"},
        {"Title": "red\napple\0"},
        {"Body": "red\tapple\u200dpie"},
    ],
    ids=str,
)
def test_every_form_of_a_text_is_read(door: Served, text: dict[str, Any]) -> None:
    other = document("other", "red tree")
    assert order(door, other, document("this", **text)) == ["this", "other"]


@pytest.mark.parametrize("query", ["the of and", "?!", "中文", "\u200d", "😀", "\ud800"])
def test_any_query_is_scored(door: Served, query: str) -> None:
    assert len(order(door, document("a", "red"), document("b", "中文"), query=query)) == 2


def test_scores_that_are_no_numbers_or_too_large_are_bent(door: Served) -> None:
    given = [
        document("nan", "red", "NaN"),  # type: ignore[arg-type]
        document("large", "red", 1e30),
        document("largest", "red", 100_000),
        document("small", "red", -1e30),
        document("infinite", "red", "-Infinity"),  # type: ignore[arg-type]
    ]
    assert order(door, *given) == ["large", "largest", "nan", "infinite", "small"]


def test_more_groups_than_configured_are_refused(serve: Serve) -> None:
    door = serve(max_groups=3)
    fine = [document(f"{group}@{n}", GroupId=str(group)) for group in range(3) for n in range(9)]
    assert door.rescore(fine).status == 200
    assert door.rescore([*fine, document("more")]).error == (400, "ValidationException")


def test_a_thousand_groups_by_default(door: Served) -> None:
    assert door.rescore([document(str(n)) for n in range(1000)]).status == 200
    assert door.rescore([document(str(n)) for n in range(1001)]).error[1] == "ValidationException"


def test_ids_come_back_as_they_were(door: Served) -> None:
    names = [" a ", "é", "\n", "😀", '"', "\ud800", "a@1"]
    assert sorted(order(door, *[document(name, "red") for name in names])) == sorted(names)


def groups_of(*documents: dict[str, Any], **settings: Any) -> list[list[str]]:
    """The texts of each group that the model reads."""
    groups = read_groups(documents, KendraRanking(**settings))
    return cut_texts(kendra_plan(), "red apple", groups)


def test_tokens_are_read_as_they_are() -> None:
    tokens = [f"w{n}" for n in range(300)]
    [[text]] = groups_of(document("d", TokenizedTitle=tokens, TokenizedBody=tokens))
    assert text == " ".join([*tokens[:100], *tokens[:200]])


def test_plain_texts_are_read_as_they_stand() -> None:
    sentences = [f"Not the {n}th C++ of {n * 7}." for n in range(50)]
    [texts] = groups_of(document("d", " ".join(sentences), Title="The Title: 13"))
    assert len(texts) == 3
    assert all(text.startswith("The Title: 13. Not the ") for text in texts)
    assert all(sentence in " ".join(texts) for sentence in sentences)


@pytest.mark.parametrize("body", ["C++", "IT", "5", "-", "not", "No flights", "iPhone 13", "1,234"])
def test_no_plain_text_loses_its_words(body: str) -> None:
    assert groups_of(document("d", body)) == [[body]]
    assert groups_of(document("d", Title=body)) == [[body]]
    assert groups_of(document("d", body, Title="Red")) == [[f"Red. {body}"]]


def test_a_long_title_is_read_in_full() -> None:
    title = " ".join(f"w{n}" for n in range(31))
    assert groups_of(document("d", "Body.", Title=title)) == [[f"{title} Body."]]


def test_texts_that_differ_in_a_number_or_a_negation_do_not_tie(door: Served) -> None:
    phones = [document(f"iphone {n}", f"A case for the iphone {n}") for n in (12, 13, 14)]
    assert order(door, *phones, query="iphone 13 case")[0] == "iphone 13"
    flights = [document("all", "All flights"), document("no", "No flights")]
    assert order(door, *flights, query="no flights")[0] == "no"


def test_a_body_that_says_little_does_not_hide_the_title(door: Served) -> None:
    given = [document("soup", "green soup"), document("apple", "-", Title="red apple")]
    assert order(door, *given) == ["apple", "soup"]


def test_a_plan_that_cuts_otherwise_is_followed() -> None:
    plan = Plan.model_validate(
        {"document": {"body": "b"}, "stages": [{"model": "m"}], "passages": {"words": 8}}
    )
    groups = read_groups(
        [document("d", "One two three. Four five six. Seven eight nine.")], KendraRanking()
    )
    assert cut_texts(plan, "q", groups) == [
        ["One two three. Four five six.", "Four five six. Seven eight nine."]
    ]


@given(st.lists(st.floats(-1e308, 1e308), min_size=2, max_size=2))
def test_a_higher_score_is_never_written_lower(pair: list[float]) -> None:
    low, high = map(write_score, sorted(pair))
    assert WITHOUT_TEXT < low <= high < 1


@pytest.mark.parametrize(
    ("score", "written"),
    [(0.0, 0.5), (1.0, 0.7310586), (-1.0, 0.2689414), (1e9, 0.9999999), (-1e9, 2e-7), (None, 1e-7)],
)
def test_scores_as_they_are_written(score: float | None, written: float) -> None:
    assert write_score(score) == written


@given(st.lists(st.tuples(st.floats(-50, 50) | st.none(), st.floats(-1e5, 1e5)), min_size=1))
def test_items_descend_and_are_json(scored: list[tuple[float | None, float]]) -> None:
    documents = [document(str(n), score=original) for n, (_, original) in enumerate(scored)]
    groups = read_groups(documents, KendraRanking())
    written = write_items(groups, [score for score, _ in scored])
    scores = [float(str(item["Score"])) for item in written]
    assert scores == sorted(scores, reverse=True)
    for score in scores:
        assert 0 < score < 1
        assert score == float(f"{score:.7g}")
    assert json.loads(json.dumps(written)) == written
