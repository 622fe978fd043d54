"""Query with boto3: items, blocks, pages and totals, row by row of what Kendra promises."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kendra.collection import judgments, papers
from tests.kendra.replies import (
    ALL,
    additional,
    all_ids,
    attributes,
    condition,
    everything,
    ids,
    items,
    string,
)
from tests.kendra.serving import INDEX_SETTINGS, PAPERS, UTF_16, serving_kendra
from tests.nodes.node import Node

TEXT = "expression of genes in cells"


def test_a_document_item_has_every_member(client: Any) -> None:
    reply = client.query(
        IndexId=UTF_16, QueryText="copper kettle", QueryResultTypeFilter="DOCUMENT", PageSize=3
    )
    item = items(reply)[0]
    assert set(item) == {
        *("Id", "Type", "Format", "AdditionalAttributes", "DocumentId", "DocumentTitle"),
        *("DocumentExcerpt", "DocumentURI", "DocumentAttributes", "ScoreAttributes"),
        "FeedbackToken",
    }
    assert item["Type"] == "DOCUMENT"
    assert item["Format"] == "TEXT"
    assert item["AdditionalAttributes"] == []
    assert item["DocumentId"] == "kettle-1"
    assert item["DocumentURI"] == "https://papers.example/kettle-1"
    assert attributes(item) == {
        "Lab": "Tea",
        "_authors": ["Zoe"],
        "_category": "household",
        "_language_code": "en",
        "_source_uri": "https://papers.example/kettle-1",
        "_view_count": 40,
    }
    assert [each["Key"] for each in item["DocumentAttributes"]] == sorted(attributes(item))
    # There is nothing to say of these, so they are not there; lists are.
    assert {"SpellCorrectedQueries", "Warnings"}.isdisjoint(reply)
    assert reply["FacetResults"] == reply["FeaturedResultsItems"] == []


def test_ids_are_made_of_the_querys(client: Any) -> None:
    one = client.query(IndexId=PAPERS, QueryText=TEXT)
    two = client.query(IndexId=PAPERS, QueryText=TEXT)
    assert one["QueryId"] != two["QueryId"]
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,35}", one["QueryId"])
    assert uuid.UUID(one["QueryId"]).version == 4
    names = [item["Id"] for item in one["ResultItems"]]
    assert len(set(names)) == len(names)
    for item in one["ResultItems"]:
        assert item["Id"].startswith(one["QueryId"] + "-")
        assert len(item["Id"]) == 73
        assert 1 <= len(item["FeedbackToken"]) <= 2048
    # The same document has the same name behind the query's id, so that pages do not differ.
    assert [i["Id"][36:] for i in one["ResultItems"]] == [i["Id"][36:] for i in two["ResultItems"]]


def test_absent_values_are_left_out(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, QueryText="kettle sings")
    [item] = [each for each in items(reply) if each["DocumentId"] == "kettle-3"]
    assert attributes(item).keys() == {"_authors", "_category", "_language_code", "_source_uri"}


def test_requested_attributes_limit_what_is_shown_and_dates_are_hidden_until_asked_for(
    client: Any,
) -> None:
    [item, *_] = items(
        client.query(
            IndexId=UTF_16,
            QueryText="copper kettle",
            RequestedDocumentAttributes=["_created_at", "_category"],
        )
    )
    [(first, category), (second, created)] = attributes(item).items()
    assert (first, category, second) == ("_category", "household", "_created_at")
    assert created == datetime(2023, 5, 1, 12, 30, 10, tzinfo=UTC)


def test_blocks_come_in_their_order_and_are_paged_as_one_list(client: Any) -> None:
    text = "How do I descale a copper kettle?"
    reply = client.query(IndexId=PAPERS, QueryText=text, PageSize=100)
    kinds = [item["Type"] for item in reply["ResultItems"]]
    order = ["ANSWER", "QUESTION_ANSWER", "DOCUMENT"]
    assert kinds == sorted(kinds, key=order.index)
    assert kinds.count("ANSWER") <= 3
    assert 1 <= kinds.count("QUESTION_ANSWER") <= 4
    assert reply["TotalNumberOfResults"] == len(kinds)
    first = client.query(IndexId=PAPERS, QueryText=text, PageSize=3)["ResultItems"]
    second = client.query(IndexId=PAPERS, QueryText=text, PageSize=3, PageNumber=2)["ResultItems"]
    assert [i["DocumentId"] for i in first + second] == [
        i["DocumentId"] for i in reply["ResultItems"][:6]
    ]


def test_a_question_item_is_as_kendras(client: Any) -> None:
    reply = client.query(
        IndexId=PAPERS,
        QueryText="How do I descale a copper kettle?",
        QueryResultTypeFilter="QUESTION_ANSWER",
    )
    item = reply["ResultItems"][0]
    assert item["DocumentId"] == "faq-2"
    texts = additional(item)
    assert list(texts) == ["QuestionText", "AnswerText"]
    assert texts["QuestionText"]["Text"] == "How do I descale a copper kettle?"
    assert texts["AnswerText"]["Text"] == "Use citric acid. " * 30
    assert item["DocumentAttributes"] == []
    assert item["DocumentTitle"] == {"Text": ""}
    assert item["DocumentURI"] == ""
    excerpt = item["DocumentExcerpt"]
    assert excerpt["Text"] == ("Use citric acid. " * 30)[:300]
    [highlight] = excerpt["Highlights"]
    assert (highlight["BeginOffset"], highlight["EndOffset"]) == (0, 300)
    assert item["Format"] == "TEXT"


def test_more_answers_and_questions_match_than_are_shown(client: Any) -> None:
    answers = client.query(IndexId=UTF_16, QueryText="kettle", QueryResultTypeFilter="ANSWER")
    assert len(set(ids(answers, "ANSWER"))) == len(answers["ResultItems"]) == 3
    questions = client.query(
        IndexId=PAPERS,
        QueryText="How do I descale a kettle?",
        QueryResultTypeFilter="QUESTION_ANSWER",
    )
    assert len(set(ids(questions, "QUESTION_ANSWER"))) == len(questions["ResultItems"]) == 4
    assert (answers["TotalNumberOfResults"], questions["TotalNumberOfResults"]) == (3, 4)


@pytest.mark.parametrize("kind", ["ANSWER", "QUESTION_ANSWER", "DOCUMENT"])
def test_one_kind_alone_and_its_total(client: Any, kind: str) -> None:
    reply = client.query(
        IndexId=PAPERS,
        QueryText="How do I descale a copper kettle?",
        QueryResultTypeFilter=kind,
        PageSize=100,
    )
    assert {item["Type"] for item in reply["ResultItems"]} <= {kind}
    assert reply["TotalNumberOfResults"] == len(reply["ResultItems"])
    most = {"ANSWER": 3, "QUESTION_ANSWER": 4, "DOCUMENT": 100}[kind]
    assert len(reply["ResultItems"]) <= most
    assert kind == "ANSWER" or reply["ResultItems"]


def test_questions_obey_the_filter_on_attributes_that_they_have(client: Any) -> None:
    def shown(key: str, value: str) -> list[str]:
        reply = client.query(
            IndexId=PAPERS,
            QueryText="How often do I descale a kettle?",
            QueryResultTypeFilter="QUESTION_ANSWER",
            AttributeFilter=condition("EqualsTo", key, string(value)),
        )
        return ids(reply, "QUESTION_ANSWER")

    assert shown("_category", "music") == ["faq-4"]
    assert "faq-4" not in shown("_category", "household")
    assert shown("Lab", "Tea") == []


def test_featured_results_match_the_whole_query_in_any_case_on_page_one(client: Any) -> None:
    def featured(text: str, **members: Any) -> list[dict[str, Any]]:
        reply = client.query(IndexId=PAPERS, QueryText=text, **members)
        found: list[dict[str, Any]] = reply["FeaturedResultsItems"]
        return found

    shown = featured("BEST   kettle ")
    assert [item["DocumentId"] for item in shown] == [
        "kettle-4",
        "secret-1",
        "secret-2",
        "kettle-1",
    ]
    assert all({"Format", "ScoreAttributes"}.isdisjoint(item) for item in shown)
    assert featured("best kettle today") == []
    assert featured("kettles") == []
    assert featured("best kettle", PageNumber=2) == []
    music = condition("EqualsTo", "_category", string("music"))
    assert [item["DocumentId"] for item in featured("best kettle", AttributeFilter=music)] == [
        "kettle-4"
    ]


def test_featured_results_take_no_room_of_the_page(client: Any) -> None:
    for size, shown in ((2, 2), (10, 10)):
        reply = client.query(IndexId=PAPERS, QueryText="best kettle", PageSize=size)
        assert len(reply["FeaturedResultsItems"]) == 4
        assert len(reply["ResultItems"]) == shown
        featured = {item["DocumentId"] for item in reply["FeaturedResultsItems"]}
        assert not featured & {item["DocumentId"] for item in reply["ResultItems"]}


# ---- paging and totals ---------------------------------------------------------------------


def test_total_counts_all_matches_and_paging_ends_at_a_hundred(client: Any) -> None:
    pages = everything(client, UTF_16, AttributeFilter=ALL)
    assert {page["TotalNumberOfResults"] for page in pages} == {len(papers())}
    assert [len(page["ResultItems"]) for page in pages] == [33, 33, 33, 1]
    names = all_ids(pages)
    assert len(set(names)) == 100
    beyond = client.query(IndexId=UTF_16, AttributeFilter=ALL, PageNumber=99)
    assert beyond["ResultItems"] == []
    assert beyond["TotalNumberOfResults"] == len(papers())


@pytest.mark.parametrize("text", ["", TEXT])
def test_pages_neither_overlap_nor_leave_out(client: Any, text: str) -> None:
    members = {"AttributeFilter": ALL, "QueryText": text}
    whole = client.query(IndexId=UTF_16, PageSize=100, **members)
    parts = [
        name
        for number in range(1, 11)
        for name in [
            item["DocumentId"]
            for item in client.query(IndexId=UTF_16, PageNumber=number, **members)["ResultItems"]
        ]
    ]
    assert parts == [item["DocumentId"] for item in whole["ResultItems"]]


def test_more_than_a_hundred_on_a_page_are_a_hundred(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, AttributeFilter=ALL, PageSize=101)
    assert len(reply["ResultItems"]) == 100
    assert len(client.query(IndexId=PAPERS, AttributeFilter=ALL)["ResultItems"]) == 10


def test_browsing_has_documents_alone_without_highlights_or_confidence(client: Any) -> None:
    reply = client.query(IndexId=PAPERS, AttributeFilter=ALL)
    for item in reply["ResultItems"]:
        assert item["Type"] == "DOCUMENT"
        assert item["DocumentExcerpt"]["Highlights"] == item["DocumentTitle"]["Highlights"] == []
        assert item["ScoreAttributes"]["ScoreConfidence"] == "NOT_AVAILABLE"


def test_confidence_does_not_rise_down_the_documents(client: Any) -> None:
    order = ["VERY_HIGH", "HIGH", "MEDIUM", "LOW"]
    reply = client.query(IndexId=UTF_16, QueryText="copper kettle boils water", PageSize=100)
    buckets = [
        item["ScoreAttributes"]["ScoreConfidence"]
        for item in items(reply)
        if item["ScoreAttributes"]["ScoreConfidence"] != "NOT_AVAILABLE"
    ]
    assert len(set(buckets)) > 1
    assert buckets == sorted(buckets, key=order.index)
    for item in items(reply, "ANSWER"):
        assert item["ScoreAttributes"]["ScoreConfidence"] in order[:3]


def test_confidence_does_not_rise_where_the_order_is_not_the_models(
    loaded: Node, tmp_path: Path
) -> None:
    order = ["VERY_HIGH", "HIGH", "MEDIUM", "LOW", "NOT_AVAILABLE"]
    # The fake model's scores, 0 to 1, come out as 0.5 to 0.73; OpenSearch's own order decides.
    confidence = {"very_high": 0.65, "high": 0.6, "medium": 0.55}
    indexes = {PAPERS: {**INDEX_SETTINGS, "confidence": confidence}}
    fusion = {"method": "relative", "weight": 0.001}
    with serving_kendra(tmp_path, loaded.url, indexes, fusion=fusion) as served:
        for text, _ in list(judgments().values())[:5]:
            reply = served.client.query(
                IndexId=PAPERS, QueryText=text, QueryResultTypeFilter="DOCUMENT", PageSize=100
            )
            buckets = [item["ScoreAttributes"]["ScoreConfidence"] for item in items(reply)]
            assert buckets == sorted(buckets, key=order.index), text


def test_another_language_has_no_confidence(client: Any) -> None:
    reply = client.query(IndexId=UTF_16, QueryText="kettle ist aus Kupfer", PageSize=100)
    [item] = [each for each in items(reply) if each["DocumentId"] == "kettle-5"]
    assert item["ScoreAttributes"]["ScoreConfidence"] == "NOT_AVAILABLE"
