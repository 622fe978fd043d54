"""SubmitFeedback and GetQuerySuggestions, beside Query and Retrieve."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kendra.serving import PAPERS, UTF_16, Kendra
from tests.kendra.wire import Wire, post

UNKNOWN = "99999999-2222-4333-8444-555555555555"
CLICK = {"ResultId": "r" * 73, "ClickTime": 1_704_067_200}
JUDGED = {"ResultId": "r", "RelevanceValue": "RELEVANT"}


def feedback(kendra: Kendra, **members: Any) -> Wire:
    return post(kendra, "SubmitFeedback", **{"QueryId": "q" * 36, **members})


def suggestions(kendra: Kendra, **members: Any) -> Wire:
    return post(kendra, "GetQuerySuggestions", **{"QueryText": "kett", **members})


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"QueryId": None}, "queryId"),
        ({"QueryId": ""}, "queryId"),
        ({"QueryId": "q" * 37}, "queryId"),
        ({"QueryId": "q_q"}, "queryId"),
        ({"ClickFeedbackItems": [{"ClickTime": 1}]}, "clickFeedbackItems.1.member.resultId"),
        (
            {"ClickFeedbackItems": [{**CLICK, "ResultId": ""}]},
            "clickFeedbackItems.1.member.resultId",
        ),
        (
            {"ClickFeedbackItems": [{**CLICK, "ResultId": "r" * 74}]},
            "clickFeedbackItems.1.member.resultId",
        ),
        ({"ClickFeedbackItems": [{"ResultId": "r"}]}, "clickFeedbackItems.1.member.clickTime"),
        (
            {"RelevanceFeedbackItems": [{**JUDGED, "RelevanceValue": "GOOD"}]},
            "relevanceFeedbackItems.1.member.relevanceValue",
        ),
        (
            {"RelevanceFeedbackItems": [{"ResultId": "r"}]},
            "relevanceFeedbackItems.1.member.relevanceValue",
        ),
    ],
    ids=str,
)
def test_feedback_of_another_shape_is_refused(
    kendra: Kendra, members: dict[str, Any], path: str
) -> None:
    reply = feedback(kendra, **members)
    assert (reply.status, reply.error) == (400, "ValidationException")
    assert f" at '{path}' failed to satisfy constraint: " in reply.message


def test_feedback_is_on_a_query_of_the_last_day(kendra: Kendra) -> None:
    """Its shape is right, so that it is the query that is missed."""
    for index in (PAPERS, UNKNOWN):
        reply = feedback(
            kendra, IndexId=index, ClickFeedbackItems=[CLICK], RelevanceFeedbackItems=[JUDGED]
        )
        assert (reply.status, reply.error) == (400, "ResourceNotFoundException")


def test_feedback_is_on_results_of_its_query_and_index(kendra: Kendra) -> None:
    query = post(kendra, "Query").members
    other = post(kendra, "Query").members["ResultItems"][0]["Id"]
    mine = {"QueryId": query["QueryId"]}
    shown = [{**JUDGED, "ResultId": item["Id"]} for item in query["ResultItems"]]
    assert feedback(kendra, **mine, RelevanceFeedbackItems=shown).members == {}
    foreign = feedback(kendra, **mine, RelevanceFeedbackItems=[{**JUDGED, "ResultId": other}])
    assert foreign.error == "ValidationException"
    elsewhere = feedback(kendra, **mine, IndexId=UTF_16, RelevanceFeedbackItems=shown)
    assert elsewhere.error == "ResourceNotFoundException"
    empty = feedback(kendra, **mine, ClickFeedbackItems=[], RelevanceFeedbackItems=[])
    assert empty.error == "ValidationException"
    # Retrieve's passages are results as well.
    passages = post(kendra, "Retrieve").members
    click = {**CLICK, "ResultId": passages["ResultItems"][0]["Id"]}
    reply = feedback(kendra, QueryId=passages["QueryId"], ClickFeedbackItems=[click])
    assert (reply.status, reply.members) == (200, {})


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"QueryText": ""},
        {"MaxSuggestionsCount": 1},
        {"MaxSuggestionsCount": 10},
        {"SuggestionTypes": ["QUERY", "DOCUMENT_ATTRIBUTES"]},
        {
            "AttributeSuggestionsConfig": {
                "SuggestionAttributes": ["_category"] * 100,
                "AdditionalResponseAttributes": ["Lab"],
                "AttributeFilter": {"EqualsTo": {"Key": "Lab", "Value": {"StringValue": "Tea"}}},
                "UserContext": {"UserId": "ann"},
            }
        },
    ],
    ids=str,
)
def test_there_are_no_suggestions_without_a_log_of_queries(
    kendra: Kendra, members: dict[str, Any]
) -> None:
    reply = suggestions(kendra, **members)
    assert reply.status == 200, reply.message
    assert reply.members.keys() == {"QuerySuggestionsId", "Suggestions"}
    assert reply.members["Suggestions"] == []


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"QueryText": None}, "queryText"),
        ({"QueryText": "a\u0007b"}, "queryText"),
        ({"MaxSuggestionsCount": 0}, "maxSuggestionsCount"),
        ({"MaxSuggestionsCount": 11}, "maxSuggestionsCount"),
        ({"SuggestionTypes": ["WORDS"]}, "suggestionTypes.1.member"),
        (
            {"AttributeSuggestionsConfig": {"SuggestionAttributes": []}},
            "attributeSuggestionsConfig.suggestionAttributes",
        ),
        (
            {"AttributeSuggestionsConfig": {"AdditionalResponseAttributes": ["Lab"] * 101}},
            "attributeSuggestionsConfig.additionalResponseAttributes",
        ),
    ],
    ids=str,
)
def test_a_question_for_suggestions_of_another_shape_is_refused(
    kendra: Kendra, members: dict[str, Any], path: str
) -> None:
    reply = suggestions(kendra, **members)
    assert (reply.status, reply.error) == (400, "ValidationException")
    assert f" at '{path}' failed to satisfy constraint: " in reply.message


def test_suggestions_of_an_unknown_index_are_not_found(kendra: Kendra) -> None:
    assert suggestions(kendra, IndexId=UNKNOWN).error == "ResourceNotFoundException"
