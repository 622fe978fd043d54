"""A request against an index's schema: what is refused, and the search body."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.kendra import KendraIndex
from sidecar.kendra.asking.request import (
    KendraRequest,
    read_query,
    read_retrieve,
    write_search_body,
)
from sidecar.kendra.indexes.user_context import Caller
from tests.sidecar.kendra.example_index import make_index, refused, serve_index

RED = {"EqualsTo": {"Key": "Team", "Value": {"StringValue": "red"}}}
BY_TEAM = {"DocumentAttributeKey": "Team", "SortOrder": "ASC"}
INDEX = make_index()
WINDOW = 30


def read(index: KendraIndex = INDEX, caller: Caller | None = None, **members: Any) -> KendraRequest:
    return read_query(members, index, caller)


def body(index: KendraIndex = INDEX, caller: Caller | None = None, **members: Any) -> Any:
    return write_search_body(read(index, caller, **members), serve_index(index, WINDOW))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"QueryText": " \n"},
        {"AttributeFilter": {}},
        {"Facets": []},
        {"SortingConfiguration": BY_TEAM},
        {"CollapseConfiguration": {"DocumentAttributeKey": "Team"}},
        {"RequestedDocumentAttributes": ["Team"]},
    ],
    ids=str,
)
def test_browsing_needs_a_filter_or_facets(members: dict[str, Any]) -> None:
    with refused("Give a QueryText, or an AttributeFilter or Facets to browse."):
        read(**members)


@pytest.mark.parametrize(
    "members", [{"AttributeFilter": RED}, {"Facets": [{"DocumentAttributeKey": "Team"}]}], ids=str
)
def test_browsing_matches_everything_and_may_be_sorted(members: dict[str, Any]) -> None:
    request = read(**members, SortingConfiguration=BY_TEAM)
    assert (request.query, request.words) == ({"match_all": {}}, "")
    assert write_search_body(request, serve_index(INDEX))["sort"][-1] == "_score"


@pytest.mark.parametrize("text", ["", " \t\n"])
def test_retrieve_needs_a_text(text: str) -> None:
    with refused("QueryText must not be empty or blank."):
        read_retrieve({"QueryText": text, "AttributeFilter": RED}, INDEX, None)


def test_a_text_has_a_thousand_characters_unless_more_are_accepted() -> None:
    assert read(QueryText="x" * 1000).words == "x" * 1000
    with refused("QueryText has 1001 characters; 1000 are allowed."):
        read(QueryText="x" * 1001)
    assert read(make_index(max_query_characters=1001), QueryText="x" * 1001).words


def test_the_model_reads_words_without_operators_and_clauses() -> None:
    assert read(QueryText="copper AND (kettle OR pot) _category:HR").words == "copper kettle pot"


def test_all_matches_are_counted() -> None:
    assert body(QueryText="a")["track_total_hits"] is True


@pytest.mark.parametrize(
    ("members", "size"),
    [
        ({}, WINDOW),
        ({"PageSize": 15}, WINDOW),
        # Hits beyond the window keep OpenSearch's order, up to the last result that paging reaches.
        ({"PageSize": 16}, 100),
        ({"PageNumber": 2}, 100),
        ({"CollapseConfiguration": {"DocumentAttributeKey": "Team"}}, 100),
        ({"QueryResultTypeFilter": "QUESTION_ANSWER"}, 0),
    ],
    ids=str,
)
def test_no_more_hits_are_fetched_than_a_page_needs(members: dict[str, Any], size: int) -> None:
    assert body(QueryText="a", **members)["size"] == size


def test_a_sorted_search_matches_the_same_documents() -> None:
    written = body(QueryText="any of these", SortingConfiguration=BY_TEAM)
    assert written["query"] == body(QueryText="any of these")["query"]
    assert "sort" in written


def test_boosts_take_part_in_choosing_the_window() -> None:
    relevance = {"relevance": {"importance": 5, "rank_order": "ASCENDING"}}
    tuned = make_index({"_view_count": {"type": "LONG", "field": "views", **relevance}})
    written = body(tuned, QueryText="a")
    assert written["query"]["function_score"]["boost_mode"] == "multiply"
    assert written["size"] == 100


def test_the_callers_filter_is_added_to_the_others() -> None:
    filters = body(caller=Caller("ann"), QueryText="a", AttributeFilter=RED)["query"]["bool"]
    team, visible = filters["filter"]
    assert team == {"term": {"team": "red"}}
    assert {"term": {"_acl_user_allow": "ann"}} in visible["bool"]["filter"][0]["bool"]["should"]


def test_user_context_and_a_filter_on_users_both_apply() -> None:
    named = {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "bob"}}}
    request = read(caller=Caller("ann"), QueryText="a", AttributeFilter=named)
    assert request.visible is not None
    one, other = request.visible["bool"]["filter"]
    assert {"term": {"_acl_user_deny": "ann"}} in one["bool"]["must_not"]
    assert {"term": {"_acl_user_deny": "bob"}} in other["bool"]["must_not"]


def test_pages_of_one_request_ask_the_same_copies() -> None:
    one = read(QueryText="a", PageNumber=1)
    assert one.preference == read(QueryText="a", PageNumber=2).preference
    assert one.preference != read(QueryText="b").preference
    assert one.preference != read(QueryText="a", AttributeFilter=RED).preference
    assert one.preference != read(QueryText="a", caller=Caller("ann")).preference


LANGUAGE = {"_language_code": {"type": "STRING"}}


def test_a_language_is_filtered_where_the_index_says_so_and_the_request_does_not() -> None:
    english = {"term": {"_language_code": "en"}}
    german = {"EqualsTo": {"Key": "_language_code", "Value": {"StringValue": "de"}}}
    filtered = make_index(LANGUAGE, filter_language=True)
    assert read(filtered, QueryText="a").filters == (english,)
    assert read(make_index(LANGUAGE), QueryText="a").filters == ()
    chosen = read(filtered, QueryText="a", AttributeFilter=german).filters
    assert chosen == ({"term": {"_language_code": "de"}},)


def test_attributes_are_the_displayable_ones_or_the_requested_ones() -> None:
    index = make_index({"Hidden": {"type": "STRING", "displayable": False}})
    assert read(index, QueryText="a").shown_attributes == (
        *("Author", "Secret", "Tags", "Team", "_category", "_excerpt_page_number", "_view_count"),
    )
    names = ["_created_at", "Team", "Hidden"]
    assert read(index, QueryText="a", RequestedDocumentAttributes=names).shown_attributes == (
        *("Team", "_created_at"),
    )
    with refused(
        "RequestedDocumentAttributes names the attribute No, which the index does not have."
    ):
        read(index, QueryText="a", RequestedDocumentAttributes=["No"])
