"""Query text with boto3: highlights that bracket their words, spelling, syntax, and its limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kendra.collection import papers
from tests.kendra.replies import additional, ids, items, slices
from tests.kendra.serving import PAPERS, UTF_16


def by_id(reply: Any, name: str) -> dict[str, Any]:
    [found] = [item for item in items(reply) if item["DocumentId"] == name]
    return found


def test_highlights_bracket_the_words_that_opensearch_matched(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, QueryText="the kettle boiling", PageSize=50)
    shown = by_id(reply, "kettle-3")
    # By the field's analyzer: the plural and the other form of the verb match too.
    assert slices(shown["DocumentExcerpt"]) == ["kettle", "Kettles", "boil"]
    assert slices(shown["DocumentTitle"]) == ["kettle"]
    for item in items(reply):
        for text in (item["DocumentTitle"], item["DocumentExcerpt"]):
            assert {word.lower() for word in slices(text)} <= {
                *("kettle", "kettles", "boil", "boils", "boiled", "boiling")
            }
            assert all(
                highlight["Type"] == "STANDARD" and highlight["TopAnswer"] is False
                for highlight in text["Highlights"]
            )


def test_offsets_count_code_points_behind_an_emoji(client: Any) -> None:
    text = by_id(client.query(IndexId=PAPERS, QueryText="kettle"), "kettle-3")["DocumentExcerpt"]
    assert text["Text"].startswith("\U0001f600")
    assert slices(text) == ["kettle", "Kettles"]


def test_offsets_may_count_utf_16(client: Any) -> None:
    text = by_id(client.query(IndexId=UTF_16, QueryText="kettle"), "kettle-3")["DocumentExcerpt"]
    units = text["Text"].encode("utf-16-le")
    assert [
        units[2 * h["BeginOffset"] : 2 * h["EndOffset"]].decode("utf-16-le")
        for h in text["Highlights"]
    ] == ["kettle", "Kettles"]


def test_the_excerpt_is_an_exact_substring_with_its_line_breaks(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, QueryText="steel kettle lasts longer", PageSize=100)
    assert "slowly.\n\nIt lasts" in by_id(reply, "kettle-2")["DocumentExcerpt"]["Text"]
    bodies = {paper.id: paper.body for paper in papers()}
    reply = client.query(IndexId=PAPERS, QueryText="growth of cells", PageSize=100)
    assert len(items(reply)) > 50
    for item in items(reply):
        excerpt = item["DocumentExcerpt"]["Text"]
        assert excerpt in bodies[item["DocumentId"]]
        assert 0 < len(excerpt.split()) <= 100


def test_words_of_every_script_are_highlighted(client: Any) -> None:
    text = by_id(client.query(IndexId=PAPERS, QueryText="na\u00efve"), "kettle-3")
    assert slices(text["DocumentExcerpt"]) == ["na\u00efve"]


@pytest.mark.parametrize(
    "words",
    [
        *(["दिल्ली", "हिन्दी"], ["বাংলা"], ["தமிழ்"], ["שָׁלוֹם"], ["cafe\u0301"]),
        *(["\u0643\u0650\u062a\u064e\u0627\u0628\u064c"], ["\u0e17\u0e35\u0e48"]),
    ],
    ids=ascii,
)
def test_a_word_is_highlighted_with_its_last_mark(client: Any, words: list[str]) -> None:
    reply = client.query(IndexId=PAPERS, QueryText=f"({' '.join(words)})")
    shown = by_id(reply, "scripts-1")
    assert slices(shown["DocumentExcerpt"]) == words
    assert slices(shown["DocumentTitle"]) == [word for word in words if word == "हिन्दी"]


def suggestions(client: Any, text: str) -> list[dict[str, Any]]:
    reply = client.query(
        IndexId=PAPERS,
        QueryText=text,
        SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": True},
    )
    found: list[dict[str, Any]] = reply.get("SpellCorrectedQueries", [])
    return found


def test_a_misspelt_word_is_corrected_with_offsets_into_the_suggestion(client: Any) -> None:
    [corrected] = suggestions(client, 'Kettel AND "boilss watr"')
    text = corrected["SuggestedQueryText"]
    assert text == 'Kettle AND "boils water"'
    assert [
        (c["Term"], c["CorrectedTerm"], text[c["BeginOffset"] : c["EndOffset"]])
        for c in corrected["Corrections"]
    ] == [("Kettel", "Kettle", "Kettle"), ("boilss", "boils", "boils"), ("watr", "water", "water")]


def test_a_misspelling_that_a_document_has_is_corrected_to_a_popular_word(client: Any) -> None:
    assert ids(client.query(IndexId=PAPERS, QueryText="tretment")) == ["scripts-1"]
    [corrected] = suggestions(client, "Tretment of mice")
    assert corrected["SuggestedQueryText"] == "Treatment of mice"


@pytest.mark.parametrize(
    "text",
    [
        "nightingale",
        "kettle",
        "kettle boils water",
        "xqzvwkjh",
        "kettl3",
        "",
        "_category:musik kettle",
    ],
)
def test_nothing_to_correct_leaves_the_member_out(client: Any, text: str) -> None:
    reply = client.query(
        IndexId=PAPERS,
        QueryText=text,
        AttributeFilter={
            "NotFilter": {"EqualsTo": {"Key": "Lab", "Value": {"StringValue": "none"}}}
        },
        SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": True},
    )
    assert "SpellCorrectedQueries" not in reply


def test_the_results_answer_the_text_as_it_was_typed(client: Any) -> None:
    reply = client.query(
        IndexId=PAPERS,
        QueryText="kettel",
        SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": True},
    )
    assert reply["ResultItems"] == []
    assert reply["TotalNumberOfResults"] == 0
    assert reply["SpellCorrectedQueries"][0]["SuggestedQueryText"] == "kettle"


def test_no_suggestion_unless_it_is_asked_for(client: Any) -> None:
    assert "SpellCorrectedQueries" not in client.query(IndexId=PAPERS, QueryText="kettel")


KETTLES = {f"kettle-{number}" for number in range(1, 6)} | {"secret-1", "secret-2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("copper AND kettle", {"kettle-1"}),
        ("kettle NOT drums", KETTLES - {"kettle-4"}),
        ("(steel OR copper) AND kettle", {"kettle-1", "kettle-2"}),
        ('"kettle boils water"', {"kettle-1", "kettle-2"}),
        ("kettle AND _category:music", {"kettle-4"}),
        ("kettle AND _view_count:>25 AND _view_count:<100", {"kettle-1", "kettle-4"}),
        ("kettle AND _view_count:[20 TO 30]", {"kettle-2", "kettle-4"}),
        ("kettle AND _view_count:{20 TO 40}", {"kettle-4"}),
        ("kettle AND _created_at:[2021 TO 2022-12]", {"kettle-2", "kettle-4"}),
        ("kettle AND _created_at:2023-05-01", {"kettle-1"}),
        ("kett* AND dru*", {"kettle-4"}),
        ("ket*le AND mus*c", {"kettle-4"}),
        ("quag*re", {"secret-2"}),
        ("night*ale", {"secret-1"}),
        ("kettle AND _document_body:qui*ly", {"kettle-1"}),
    ],
)
def test_the_advanced_syntax_finds(client: Any, text: str, expected: set[str]) -> None:
    reply = client.query(IndexId=PAPERS, QueryText=text, PageSize=100)
    assert "Warnings" not in reply
    assert set(ids(reply)) == expected
    found = client.retrieve(IndexId=PAPERS, QueryText=text, PageSize=100)
    assert {item["DocumentId"] for item in found["ResultItems"]} == expected


@pytest.mark.parametrize(
    "text",
    [
        "kettle AND (copper",
        'kettle "copper',
        "AND kettle",
        "kettle AND _created_at:yesterday",
        "kettle AND _view_count:many",
        "kettle AND nowhere:copper",
        "kettle AND _acl_user_allow:ann",
        "kettle AND _category:[a TO b]",
    ],
)
def test_broken_syntax_is_a_warning_and_results_for_the_plain_words(client: Any, text: str) -> None:
    reply = client.query(IndexId=PAPERS, QueryText=text, PageSize=100)
    [warning] = reply["Warnings"]
    assert warning["Code"] == "QUERY_LANGUAGE_INVALID_SYNTAX"
    assert 1 <= len(warning["Message"]) <= 2048
    assert set(ids(reply)) >= KETTLES
    found = client.retrieve(IndexId=PAPERS, QueryText=text)
    assert "Warnings" not in found
    assert found["ResultItems"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kettle~2", "kettle 2"),
        ("kettle^9", "kettle 9"),
        ("content:/n.*/", "content n"),
        ("+kettle -copper", "kettle copper"),
        ("kettle && copper || !steel", "kettle copper steel"),
    ],
)
def test_lucenes_own_syntax_means_nothing(client: Any, text: str, words: str) -> None:
    found, plain = (
        client.query(IndexId=UTF_16, QueryText=each, PageSize=100) for each in (text, words)
    )
    assert found["TotalNumberOfResults"] == plain["TotalNumberOfResults"] > 0
    assert set(ids(found)) == set(ids(plain))


@pytest.mark.parametrize(
    "text", ["/.*/", "_exists_:_acl_user_allow", "*:*", "\\", "+-!{}[]", "***"]
)
def test_what_has_no_words_finds_nothing(client: Any, text: str) -> None:
    assert client.query(IndexId=PAPERS, QueryText=text)["TotalNumberOfResults"] == 0


def test_thirty_token_words_count(client: Any) -> None:
    filler = [f"zzz{number}" for number in range(30)]
    cut = client.query(IndexId=UTF_16, QueryText=" ".join([*filler, "kettle"]), PageSize=100)
    assert cut["ResultItems"] == []
    text = " ".join(["the", *filler[1:], "kettle"])
    kept = client.query(IndexId=UTF_16, QueryText=text, QueryResultTypeFilter="DOCUMENT")
    assert kept["TotalNumberOfResults"] == len(KETTLES)


def test_an_answer_highlights_its_sentence_and_cuts_the_excerpt(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, QueryText="copper kettle boils water quickly")
    answers = items(reply, "ANSWER")
    assert 1 <= len(answers) <= 3
    for number, item in enumerate(answers):
        [(key, text)] = additional(item).items()
        assert key == "AnswerText"
        [marked] = text["Highlights"]
        confidence = item["ScoreAttributes"]["ScoreConfidence"]
        assert marked["TopAnswer"] == (number == 0 and confidence == "VERY_HIGH")
        cut = item["DocumentExcerpt"]
        assert cut["Text"] in text["Text"]
        assert len(cut["Text"]) <= 300
        # The sentence that is marked as the answer is in the excerpt.
        assert slices(text)[0] in cut["Text"]
        assert [(h["BeginOffset"], h["EndOffset"]) for h in cut["Highlights"]] == [
            (0, len(cut["Text"]))
        ]
        assert item["Format"] == "TEXT"
        assert item["DocumentId"] in ids(reply) or reply["TotalNumberOfResults"] > 10
    [first] = additional(answers[0]).values()
    assert slices(first) == ["A copper kettle boils water quickly."]


@pytest.mark.parametrize(
    "text", ["copper kettle boils water", "kettle drums", "which kettle sings"]
)
def test_answers_are_in_the_order_of_the_documents(client: Any, text: str) -> None:
    # This index has no tuning, which would move documents but not answers.
    reply = client.query(IndexId=UTF_16, QueryText=text, PageSize=100)
    answers = ids(reply, "ANSWER")
    assert answers
    assert answers == [name for name in ids(reply) if name in answers]


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"SortingConfiguration": {"DocumentAttributeKey": "Lab", "SortOrder": "ASC"}},
        {
            "DocumentRelevanceOverrideConfigurations": [
                {"Name": "_view_count", "Relevance": {"Importance": 10}}
            ]
        },
    ],
)
@pytest.mark.parametrize(
    "text", ["copper kettle boils water", "kettle drums", "which kettle sings"]
)
def test_a_document_has_one_confidence(client: Any, text: str, members: dict[str, Any]) -> None:
    reply = client.query(IndexId=PAPERS, QueryText=text, PageSize=100, **members)
    confidences = {item["DocumentId"]: item["ScoreAttributes"] for item in items(reply)}
    answers = items(reply, "ANSWER")
    assert answers
    for answer in answers:
        assert answer["ScoreAttributes"] == confidences[answer["DocumentId"]]
        assert answer["ScoreAttributes"]["ScoreConfidence"] in ("VERY_HIGH", "HIGH", "MEDIUM")
