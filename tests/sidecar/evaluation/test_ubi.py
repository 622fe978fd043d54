from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pipelines.hits import Hit
from sidecar.evaluation import ubi
from sidecar.evaluation.impressions import Impression
from sidecar.evaluation.ubi import Pair, read_ubi
from sidecar.warming.index_reading import DocumentPage, IndexUnreadable


@dataclass
class Stored:
    """An index of these documents, one a page."""

    sources: Sequence[dict[str, Any]]

    def read_page(self, number: int, size: int) -> DocumentPage:
        hits = [Hit(0, 0.0, source) for source in self.sources[number : number + 1]]
        following = number + 1
        return DocumentPage(hits, following if following < len(self.sources) else None)


def search(query_id: str, *shown: str, **more: Any) -> dict[str, Any]:
    return {"query_id": query_id, "query_response_hit_ids": list(shown), **more}


def click(query_id: str, document: str | None = None, ordinal: int | None = None) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if document is not None:
        attributes["object"] = {"object_id": document}
    if ordinal is not None:
        attributes["position"] = {"ordinal": ordinal}
    return {"query_id": query_id, "action_name": "click", "event_attributes": attributes}


def test_clicks_find_the_page_that_showed_their_hit() -> None:
    queries = [
        search("q", "a", "b", user_query="red  shoes", client_id="me"),
        search("q", "c", "d", user_query="red shoes", client_id="me"),
        search("r", "a", "b"),
    ]
    events = [click("q", "d"), click("q", "b"), click("r", ordinal=2), click("q", "b")]
    first, second, third = read_ubi(Stored(queries), Stored(events)).searches
    assert (first.clicked, second.clicked, third.clicked) == ({1}, {1}, {1})
    records = read_ubi(Stored(queries), Stored(events))
    assert list(records.impressions()) == [
        Impression("red shoes", ("a", "b"), frozenset({1})),
        Impression("red shoes", ("c", "d"), frozenset({1})),
    ]
    assert third.client != second.client == "me"


def test_clicks_that_belong_to_nothing_are_counted() -> None:
    events = [
        click("q", "z"),
        click("other", "a"),
        click("q"),
        click("q", ordinal=3),
        {**click("q", "a"), "action_name": "view"},
        {"action_name": "click", "event_attributes": "odd"},
    ]
    records = read_ubi(Stored([search("q", "a", "b")]), Stored(events))
    assert (records.clicks, records.lost_clicks) == (5, 5)
    assert not records.searches[0].clicked


def test_what_the_sidecar_says_of_an_order_is_read() -> None:
    teams = {
        "rescore_plan": "fused",
        "rescore_interleave": {"a": "fused", "b": "best"},
        "rescore_teams": "ab",
    }
    queries = [
        search("q", "a", "b", query_attributes=teams),
        search("r", "a", query_attributes={"rescore_plan": "off"}),
        search("s", "a", query_attributes={"rescore_interleave": {"a": 1, "b": "x"}}),
        {"query_id": "t", "query_response_hit_ids": [7]},
        {"query_response_hit_ids": ["a"]},
    ]
    one, two, three = read_ubi(Stored(queries), Stored([{}])).searches
    assert (one.pair, one.teams, one.plan) == (Pair("fused", "best"), "ab", "fused")
    assert (two.pair, two.plan) == (None, "off")
    assert (three.pair, three.plan) == (None, None)


def test_more_than_can_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ubi, "MOST_EVENTS", 2)
    with pytest.raises(IndexUnreadable, match="more than 2 events"):
        read_ubi(Stored([search("q", "a")]), Stored([click("q", "a")] * 3))
