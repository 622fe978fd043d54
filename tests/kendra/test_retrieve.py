"""Retrieve with boto3, and LangChain's retriever unchanged on top of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from langchain_aws.retrievers import AmazonKendraRetriever

from tests.kendra.collection import papers
from tests.kendra.serving import PAPERS, UTF_16

TEXT = "expression of genes in cells"
WORD = re.compile(r"\w+")


def retrieve(client: Any, **members: Any) -> list[dict[str, Any]]:
    given = {"IndexId": PAPERS, "QueryText": TEXT, **members}
    reply = client.retrieve(**given)
    assert set(reply) == {"QueryId", "ResultItems", "ResponseMetadata"}
    found: list[dict[str, Any]] = reply["ResultItems"]
    return found


def test_a_passage_has_every_member_in_plain_strings(client: Any) -> None:
    [item, *_] = retrieve(client, QueryText="copper kettle")
    assert set(item) == {
        *("Id", "DocumentId", "DocumentTitle", "Content", "DocumentURI", "DocumentAttributes"),
        "ScoreAttributes",
    }
    assert item["DocumentId"] == "kettle-1"
    assert item["DocumentTitle"] == "Copper kettles"
    assert item["Content"] == ("A copper kettle boils water quickly. " * 3).strip()
    assert item["DocumentURI"] == "https://papers.example/kettle-1"
    assert item["ScoreAttributes"]["ScoreConfidence"] in ("VERY_HIGH", "HIGH", "MEDIUM", "LOW")
    assert len(item["Id"]) <= 73


def test_passages_are_exact_substrings_of_at_most_200_token_words(client: Any) -> None:
    bodies = {paper.id: paper.body for paper in papers()}
    found = retrieve(client, PageSize=100)
    assert len(found) > 60
    longest = 0
    for item in found:
        assert item["Content"] in bodies[item["DocumentId"]]
        longest = max(longest, len(WORD.findall(item["Content"])))
    assert 100 < longest <= 200


def test_passages_are_ranked_together_and_several_may_be_of_one_document(client: Any) -> None:
    reviews = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "review"}}}
    text = "protein kinase signalling in mice"
    found = retrieve(client, QueryText=text, AttributeFilter=reviews, PageSize=100)
    named = [item["DocumentId"] for item in found]
    assert 1 < len(set(named)) < len(named) <= 100
    # The second passage of a document stands on its own merit, not behind the first.
    apart = [
        index
        for index, name in enumerate(named)
        if name in named[:index] and named[index - 1] != name
    ]
    assert apart


def test_a_long_document_gives_all_its_good_passages(client: Any) -> None:
    bodies = {paper.id: paper.body for paper in papers()}
    reviews = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "review"}}}
    text = "protein kinase signalling in mice"
    found = retrieve(client, QueryText=text, AttributeFilter=reviews, PageSize=100)
    for name, body in bodies.items():
        if not name.startswith("review-"):
            continue
        passages = [item["Content"] for item in found if item["DocumentId"] == name]
        # The plan reads three passages of a document to order the documents.
        assert len(passages) > 3
        ranges = sorted((body.index(each), body.index(each) + len(each)) for each in passages)
        assert all(end <= begin for (_, end), (begin, _) in zip(ranges, ranges[1:], strict=False))
        assert sum(len(each.split()) for each in passages) > 0.8 * len(body.split())


def test_no_passage_repeats_another(client: Any) -> None:
    contents = [item["Content"] for item in retrieve(client, PageSize=100)]
    assert len(set(contents)) == len(contents)


def test_pages_of_passages_neither_overlap_nor_leave_out(client: Any) -> None:
    whole = [item["Content"] for item in retrieve(client, PageSize=100)]
    parts = [
        item["Content"]
        for number in range(1, 12)
        for item in retrieve(client, PageNumber=number, PageSize=10)
    ]
    assert parts == whole
    assert len(retrieve(client)) == 10
    assert retrieve(client, PageNumber=50) == []


def test_only_english_has_a_confidence(client: Any) -> None:
    found = retrieve(client, QueryText="kettle ist aus Kupfer", PageSize=100)
    buckets = {item["DocumentId"]: item["ScoreAttributes"]["ScoreConfidence"] for item in found}
    assert buckets["kettle-5"] == "NOT_AVAILABLE"
    assert buckets["kettle-1"] != "NOT_AVAILABLE"


def test_questions_are_no_passages(client: Any) -> None:
    found = retrieve(client, QueryText="How do I descale a kettle?", PageSize=100)
    assert not {item["DocumentId"] for item in found} & {f"faq-{n}" for n in range(1, 7)}


def test_the_filter_holds_for_passages(client: Any) -> None:
    music = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "music"}}}
    found = retrieve(client, QueryText="kettle", AttributeFilter=music, PageSize=100)
    assert {item["DocumentId"] for item in found} == {"kettle-4"}


def langchain(client: Any, **settings: Any) -> AmazonKendraRetriever:
    return AmazonKendraRetriever(
        **{"index_id": PAPERS, "client": client, "min_score_confidence": None, **settings}
    )


def test_langchains_retriever_gives_documents(client: Any) -> None:
    documents = langchain(client, top_k=3).invoke("copper kettle")
    assert len(documents) == 3
    first = documents[0]
    assert first.page_content.startswith("Document Title: Copper kettles")
    assert "A copper kettle boils water quickly." in first.page_content
    assert first.metadata["document_id"] == "kettle-1"
    assert first.metadata["source"] == "https://papers.example/kettle-1"
    assert first.metadata["document_attributes"]["_category"] == "household"
    assert first.metadata["score"] in ("VERY_HIGH", "HIGH", "MEDIUM", "LOW")


@pytest.mark.parametrize("least", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_langchain_filters_by_confidence(client: Any, least: float) -> None:
    values = {"NOT_AVAILABLE": 0.0, "LOW": 0.25, "MEDIUM": 0.5, "HIGH": 0.75, "VERY_HIGH": 1.0}
    everything = langchain(client, top_k=50).invoke("copper kettle boils water")
    scores = [values[document.metadata["score"]] for document in everything]
    assert len(set(scores)) > 1
    chosen = langchain(client, top_k=50, min_score_confidence=least).invoke(
        "copper kettle boils water"
    )
    assert len(chosen) == sum(score >= least for score in scores)


def test_langchain_hands_on_filter_and_user(client: Any) -> None:
    household = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "mallorys"}}}
    for user, expected in (("ann", ["secret-1"]), ("bob", [])):
        found = langchain(
            client, top_k=10, attribute_filter=household, user_context={"UserId": user}
        ).invoke("kettle")
        assert [document.metadata["document_id"] for document in found] == expected


def test_langchain_asks_query_when_nothing_is_retrieved(client: Any) -> None:
    """Its other path reads items of another shape; an answer of none must not stop it."""
    assert langchain(client).invoke("xqzvwkjh") == []
    # A browse has items, which LangChain's model of a Query must accept as they are.
    from langchain_aws.retrievers.kendra import QueryResult

    reply = client.query(IndexId=UTF_16, QueryText="How do I descale a copper kettle?")
    parsed = QueryResult.model_validate(reply)
    assert len(parsed.ResultItems) == len(reply["ResultItems"]) > 0
    reply = client.query(IndexId=PAPERS, QueryText="How do I descale a copper kettle?")
    parsed = QueryResult.model_validate(reply)
    assert {item.Type for item in parsed.ResultItems} >= {"QUESTION_ANSWER", "DOCUMENT"}
    assert all(item.to_doc().page_content for item in parsed.ResultItems)
