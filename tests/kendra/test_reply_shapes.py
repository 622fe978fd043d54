"""Every member that a reply has is one of the service's model, of its type, length and pattern."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kendra.collection import papers
from tests.kendra.replies import ALL
from tests.kendra.serving import PAPERS, UTF_16, Kendra
from tests.kendra.wire import post
from tests.service_models import check_reply, service_model

# Kendra itself has these without a character where there is none to have.
MAY_BE_EMPTY = {"DocumentURI", "Text"}

ITEM = (
    *("Id", "Type", "Format", "AdditionalAttributes", "DocumentId", "DocumentTitle.Text"),
    *("DocumentTitle.Highlights.BeginOffset", "DocumentTitle.Highlights.EndOffset"),
    *("DocumentExcerpt.Text", "DocumentExcerpt.Highlights.BeginOffset", "DocumentURI"),
    *("DocumentExcerpt.Highlights.EndOffset", "DocumentExcerpt.Highlights.TopAnswer"),
    *("DocumentExcerpt.Highlights.Type", "DocumentAttributes.Key", "FeedbackToken"),
    *("DocumentAttributes.Value.StringValue", "DocumentAttributes.Value.StringListValue"),
    *("DocumentAttributes.Value.LongValue", "ScoreAttributes.ScoreConfidence"),
)
ADDITIONAL = (
    *("AdditionalAttributes.Key", "AdditionalAttributes.ValueType"),
    "AdditionalAttributes.Value.TextWithHighlightsValue.Text",
    "AdditionalAttributes.Value.TextWithHighlightsValue.Highlights",
)
COUNTS = "DocumentAttributeValueCountPairs"
FACET = (
    *("DocumentAttributeKey", "DocumentAttributeValueType", f"{COUNTS}.Count"),
    *(f"{COUNTS}.DocumentAttributeValue.{name}Value" for name in ("String", "Long", "Date")),
    *(f"{COUNTS}.FacetResults.{COUNTS}.Count", f"{COUNTS}.FacetResults.DocumentAttributeKey"),
)
EXPANDED = (
    *("Id", "DocumentId", "DocumentTitle.Text", "DocumentExcerpt.Text", "DocumentURI"),
    *("DocumentAttributes.Key", "DocumentAttributes.Value.StringValue"),
)
FACETS: list[dict[str, Any]] = [
    {"DocumentAttributeKey": "_category", "Facets": [{"DocumentAttributeKey": "Lab"}]},
    *({"DocumentAttributeKey": name} for name in ("_authors", "_created_at", "_view_count")),
]
QUERIES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "every kind of result": (
        {"QueryText": "How do I descale a copper kettle?", "PageSize": 100},
        {
            "QueryId",
            "TotalNumberOfResults",
            *(f"ResultItems.{name}" for name in (*ITEM, *ADDITIONAL)),
        },
    ),
    "answers": (
        {"QueryText": "copper kettle boils water quickly", "QueryResultTypeFilter": "ANSWER"},
        {f"ResultItems.{name}" for name in (*ITEM, *ADDITIONAL)},
    ),
    "a browse of everything": (
        {"QueryText": "", "AttributeFilter": ALL, "PageSize": 100},
        {"ResultItems.DocumentExcerpt.Highlights", "ResultItems.ScoreAttributes.ScoreConfidence"},
    ),
    "facets": ({"Facets": FACETS}, {f"FacetResults.{name}" for name in FACET}),
    "dates": (
        {"RequestedDocumentAttributes": ["_created_at"]},
        {"ResultItems.DocumentAttributes.Value.DateValue"},
    ),
    "groups": (
        {"CollapseConfiguration": {"DocumentAttributeKey": "Lab", "Expand": True}},
        {
            "ResultItems.CollapsedResultDetail.DocumentAttribute.Value",
            "ResultItems.CollapsedResultDetail.DocumentAttribute.Value.StringValue",
            *(f"ResultItems.CollapsedResultDetail.ExpandedResults.{name}" for name in EXPANDED),
        },
    ),
    "groups by number": (
        {"CollapseConfiguration": {"DocumentAttributeKey": "_view_count"}},
        {"ResultItems.CollapsedResultDetail.DocumentAttribute.Value.LongValue"},
    ),
    "a warning": ({"QueryText": "kettle AND ("}, {"Warnings.Code", "Warnings.Message"}),
    "a correction": (
        {
            "QueryText": "kettel boilss",
            "SpellCorrectionConfiguration": {"IncludeQuerySpellCheckSuggestions": True},
        },
        {
            "SpellCorrectedQueries.SuggestedQueryText",
            *(
                f"SpellCorrectedQueries.Corrections.{name}"
                for name in ("BeginOffset", "EndOffset", "Term", "CorrectedTerm")
            ),
        },
    ),
    "featured results": (
        {"QueryText": "best kettle"},
        {
            f"FeaturedResultsItems.{name}"
            for name in ITEM
            if name not in ("Format", "ScoreAttributes.ScoreConfidence")
        },
    ),
    "nothing found": ({"QueryText": "xqzvwkjh"}, {"ResultItems", "FacetResults"}),
}


def check(kendra: Kendra, operation: str, members: dict[str, Any], expected: set[str]) -> Any:
    reply = post(kendra, operation, **members)
    assert (reply.status, reply.content_type) == (200, "application/x-amz-json-1.1")
    model = service_model("kendra").operation_model(operation).output_shape
    seen = check_reply(model, reply.members, MAY_BE_EMPTY)
    assert seen >= expected, expected - seen
    return reply.members


@pytest.mark.parametrize("what", QUERIES)
def test_a_reply_to_query_is_as_the_model_has_it(kendra: Kendra, what: str) -> None:
    members, expected = QUERIES[what]
    reply = check(kendra, "Query", members, expected)
    for item in (*reply["ResultItems"], *reply["FeaturedResultsItems"]):
        assert len(item["Id"]) == 73
        for name in ("DocumentTitle", "DocumentExcerpt"):
            check_highlights(item[name])
    if what == "every kind of result":
        kinds = [item["Type"] for item in reply["ResultItems"]]
        assert set(kinds) == {"ANSWER", "QUESTION_ANSWER", "DOCUMENT"}


def check_highlights(text: dict[str, Any]) -> None:
    """Half-open, sorted, apart, and within the text."""
    upto = 0
    for highlight in text.get("Highlights", ()):
        assert upto <= highlight["BeginOffset"] < highlight["EndOffset"]
        upto = highlight["EndOffset"]
    assert upto <= len(text["Text"])


def test_a_reply_to_retrieve_is_as_the_model_has_it(kendra: Kendra) -> None:
    members = {"QueryText": "expression of genes in cells", "PageSize": 100}
    item = {
        *("Id", "DocumentId", "DocumentTitle", "Content", "DocumentURI", "DocumentAttributes.Key"),
        *("DocumentAttributes.Value.StringValue", "ScoreAttributes.ScoreConfidence"),
    }
    reply = check(
        kendra, "Retrieve", members, {"QueryId", *(f"ResultItems.{each}" for each in item)}
    )
    assert set(reply) == {"QueryId", "ResultItems"}
    assert set(reply["ResultItems"][0]) == {name.partition(".")[0] for name in item}


def test_replies_of_the_neighbours_are_as_the_model_has_them(kendra: Kendra) -> None:
    suggestions = check(
        kendra, "GetQuerySuggestions", {"QueryText": "kett"}, {"QuerySuggestionsId"}
    )
    assert suggestions["Suggestions"] == []
    query = post(kendra, "Query").members
    click = {"ResultId": query["ResultItems"][0]["Id"], "ClickTime": 1_704_067_200}
    reply = post(kendra, "SubmitFeedback", QueryId=query["QueryId"], ClickFeedbackItems=[click])
    assert (reply.status, reply.members) == (200, {})


def test_dates_are_whole_seconds_both_ways(kendra: Kendra) -> None:
    [paper] = [each for each in papers() if each.id == "kettle-1"]
    assert paper.created is not None
    seconds = int(paper.created.timestamp())
    found = post(
        kendra,
        "Query",
        IndexId=UTF_16,
        AttributeFilter={"EqualsTo": {"Key": "_created_at", "Value": {"DateValue": seconds + 0.9}}},
        RequestedDocumentAttributes=["_created_at"],
        QueryResultTypeFilter="DOCUMENT",
    ).members["ResultItems"]
    assert [item["DocumentId"] for item in found] == ["kettle-1"]
    assert found[0]["DocumentAttributes"] == [
        {"Key": "_created_at", "Value": {"DateValue": seconds}}
    ]


def test_the_total_spans_all_kinds_and_facets_count_documents(kendra: Kendra) -> None:
    reply = post(
        kendra,
        "Query",
        IndexId=PAPERS,
        QueryText="How do I descale a copper kettle?",
        PageSize=100,
        Facets=[{"DocumentAttributeKey": "_category", "MaxResults": 100}],
    ).members
    kinds = [item["Type"] for item in reply["ResultItems"]]
    [facet] = reply["FacetResults"]
    counted = sum(pair["Count"] for pair in facet[COUNTS])
    assert counted == kinds.count("DOCUMENT") < len(kinds) == reply["TotalNumberOfResults"]
