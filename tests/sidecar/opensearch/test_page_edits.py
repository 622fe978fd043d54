"""The bytes of a hit that shows its details or its best passage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.hit_details import HitDetails, TextPlace
from pipelines.plan import Plan
from sidecar.config.limits import Limits
from sidecar.opensearch.page_edits import PageEdits, create_edits, wants_edits
from sidecar.opensearch.rescore_section import NO_SECTION, RescoreSection
from sidecar.opensearch.search_request import SearchRequest, read_search_request
from sidecar.opensearch.search_response import read_search_response, splice_response
from sidecar.opensearch_rules.request_headers import SearchHeaders

SHOWS = RescoreSection(highlight=True)
DETAILS = HitDetails(0.5, "m", 1.25, "red shoes", TextPlace("body", 3, 12), own=True)


def a_plan(**keys: Any) -> Plan:
    whole = {"document": {"title": "t", "body": ["body", "more"]}, "stages": [{"model": "m"}]}
    return Plan.model_validate({**whole, **keys})


def edits_for(
    *details: HitDetails, section: RescoreSection = SHOWS, plan: Plan | None = None, **members: Any
) -> PageEdits:
    body = {"query": {"match": {"body": "red"}}, **members}
    plan = plan or a_plan()
    headers = SearchHeaders(content_type=b"application/json")
    search_request = read_search_request(
        b"/i/_search", json.dumps(body).encode(), headers, plan, Limits()
    )
    assert isinstance(search_request, SearchRequest)
    return create_edits(details, search_request, plan, section)


@pytest.mark.parametrize(
    ("element", "edited"),
    [
        ("{}", '{"highlight":{"body":["<em>red</em> shoes"]}}'),
        ('{"a":1.0 }', '{"a":1.0,"highlight":{"body":["<em>red</em> shoes"]} }'),
        ('{"highlight":{}}', '{"highlight":{"body":["<em>red</em> shoes"]}}'),
        ('{"highlight":null}', '{"highlight":{"body":["<em>red</em> shoes"]}}'),
        (
            '{"highlight": { "x" : ["y"] },"z":"\\u00e9"}',
            '{"highlight": {"body":["<em>red</em> shoes"], "x" : ["y"] },"z":"\\u00e9"}',
        ),
        (
            '{"highlight":{"a":[1E1],"body" : [ "own", "two" ],"c":[]}}',
            '{"highlight":{"a":[1E1],"body" : ["<em>red</em> shoes"],"c":[]}}',
        ),
    ],
)
def test_only_the_highlight_changes(element: str, edited: str) -> None:
    assert edits_for(DETAILS).edit(0, "1.0", element) == edited


def test_details_of_a_hit() -> None:
    edits = edits_for(DETAILS, section=RescoreSection(explain=True))
    assert edits.edit(0, "1.50", '{"_id":"1"}') == (
        '{"_id":"1","_rescore":{"rank_before":1,"score_before":1.50,"score":0.5,"model":"m",'
        '"lexical":1.25,"passage":"red shoes","offsets":{"field":"body","start":3,"end":12}}}'
    )
    # A hit behind the window, about which nothing is known.
    assert json.loads(edits.edit(7, "null", "{}"))["_rescore"] == {
        "rank_before": 8,
        **dict.fromkeys(["score_before", "score", "model", "lexical", "passage", "offsets"]),
    }


def test_a_passage_of_another_hit_is_no_highlight() -> None:
    other = HitDetails(0.5, "m", None, "red shoes", None, own=False)
    assert edits_for(other).edit(0, "1", '{"a":1}') == '{"a":1}'


def test_the_field_of_a_passage_without_a_place() -> None:
    joined = HitDetails(0.5, "m", None, "red shoes", None, own=True)
    assert '"body":' in edits_for(joined).edit(0, "1", "{}")
    named = a_plan(highlight={"field": "best"})
    assert '"best":' in edits_for(DETAILS, plan=named).edit(0, "1", "{}")


def test_the_plans_tags_come_before_those_of_the_search() -> None:
    own = {"pre_tags": ["<i>"], "post_tags": ["</i>"], "fields": {"body": {}}}
    assert "<i>red</i> shoes" in edits_for(DETAILS, highlight=own).edit(0, "1", "{}")
    plan = a_plan(highlight={"pre_tags": "<b>"})
    assert "<b>red</i> shoes" in edits_for(DETAILS, plan=plan, highlight=own).edit(0, "1", "{}")


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ({"tags_schema": "styled"}, '<em class="hlt1">red</em> shoes'),
        ({"tags_schema": "default"}, "<em>red</em> shoes"),
        ({"tags_schema": "styled", "pre_tags": ["<i>"]}, "<i>red</em> shoes"),
        ({"fields": {"body": {"pre_tags": ["<b>"], "post_tags": ["</b>"]}}}, "<b>red</b> shoes"),
        ({"fields": [{"t": {}}, {"body": {"pre_tags": ["<b>"]}}]}, "<b>red</em> shoes"),
        ({"pre_tags": ["<i>"], "fields": {"bo*": {"pre_tags": ["<b>"]}}}, "<b>red</em> shoes"),
        (
            {"fields": {"*": {"pre_tags": ["<i>"]}, "body": {"pre_tags": ["<b>"]}}},
            "<b>red</em> shoes",
        ),
        ({"fields": {"more": {"pre_tags": ["<b>"]}}}, "<em>red</em> shoes"),
        ({"fields": {"body": 5, "x": None}}, "<em>red</em> shoes"),
        ({"fields": ["body"]}, "<em>red</em> shoes"),
    ],
)
def test_the_tags_that_the_search_has_for_the_field(own: object, shown: str) -> None:
    edited = edits_for(DETAILS, highlight=own).edit(0, "1", "{}")
    assert json.loads(edited) == {"highlight": {"body": [shown]}}


@pytest.mark.parametrize("own", [{"pre_tags": 5, "encoder": ["html"]}, [], "x", {"pre_tags": []}])
def test_a_strange_highlight_of_the_search_means_the_defaults(own: object) -> None:
    assert "<em>red</em> shoes" in edits_for(DETAILS, highlight=own).edit(0, "1", "{}")


def test_who_wants_edits() -> None:
    plan, showing = a_plan(), a_plan(highlight={})
    assert not wants_edits(plan, NO_SECTION)
    assert not wants_edits(plan, RescoreSection(explain=False, highlight=False))
    assert not wants_edits(showing, RescoreSection(highlight=False))
    assert wants_edits(showing, NO_SECTION)
    assert wants_edits(plan, RescoreSection(min_score=0))


@given(st.text(), st.booleans())
def test_every_passage_is_valid_json(passage: str, html: bool) -> None:
    details = HitDetails(0.5, "m", None, passage + "\ud800<", None, own=True)
    plan = a_plan(highlight={"encoder": "html"} if html else {})
    section = RescoreSection(explain=True)
    element = json.loads(edits_for(details, plan=plan, section=section).edit(0, "1", "{}"))
    (shown,) = element["highlight"]["body"]
    assert ("<" in shown.replace("<em>", "").replace("</em>", "")) is not html
    assert element["_rescore"]["passage"] == passage + "\ufffd<"


RESPONSE = (
    '{"hits" : {"total":3, "max_score":3.0, "hits" : [ {"_id":"a","_score":3.0},\n'
    ' {"_id":"b","_score":2.0},\t{"_id":"c","_score":1.0} ] }}'
)


def test_left_out_hits_leave_no_separator() -> None:
    low, fine = HitDetails(too_low=True), HitDetails()
    order = [(2, 3.0), (0, 2.0), (1, 1.0)]
    response = read_search_response(RESPONSE.encode())

    def page(*details: HitDetails, size: int = 3) -> str:
        edits = edits_for(*details, section=RescoreSection(min_score=1))
        return splice_response(response, order, 0, size, "fused", edits).decode()

    assert page(fine, fine, fine) == splice_response(response, order, 0, 3).decode()
    for details, left in (
        ((low, fine, fine), ["c", "b"]),
        ((fine, fine, low), ["a", "b"]),
        ((fine, low, low), ["a"]),
        ((low, low, low), []),
    ):
        body = json.loads(page(*details))
        assert [hit["_id"] for hit in body["hits"]["hits"]] == left
        assert (body["hits"]["total"], body["hits"]["max_score"]) == (3, 3.0)
    # A page is cut before hits are left out, so pages never repeat a hit.
    assert [hit["_id"] for hit in json.loads(page(fine, fine, low, size=2))["hits"]["hits"]] == [
        "a"
    ]
