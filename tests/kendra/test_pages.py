"""Pages of one question while the model has not read the documents yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from tests.cold_models import cold_models
from tests.kendra.replies import ALL
from tests.kendra.serving import FAQ_SETTINGS, INDEX_SETTINGS, PAPERS, Kendra, serving_kendra
from tests.nodes.node import Node

TEXT = "protein expression in mice"
PAGES = 10
PLAN: dict[str, Any] = {
    "rescore_window": 100,
    "passages": {"words": 40, "overlap": 1, "per_group": 3},
}
FIELDS = {"title": "heading", "body": "content"}

Result = tuple[str, str, str]
"""What a result shows: its document, its text and its confidence."""


FUSED = {"method": "relative", "weight": 5, "lexical": 0.3}
REPLACED = {"method": "replace"}


@pytest.fixture(params=[(0, FUSED), (7, REPLACED), (60, FUSED), (250, REPLACED)], ids=str)
def served(loaded: Node, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kendra]:
    """A sidecar whose model reads so many new texts per call."""
    reach, fusion = request.param
    indexes = {PAPERS: {**INDEX_SETTINGS, "faq": FAQ_SETTINGS}}
    with serving_kendra(
        tmp_path, loaded.url, indexes, cold_models(reach), fusion=fusion, **PLAN
    ) as running:
        yield running


def query_pages(client: Any, size: int = 10, **members: Any) -> list[list[Result]]:
    return [
        [
            (
                f"{item['Type']} {item['DocumentId']}",
                item["DocumentExcerpt"]["Text"],
                item["ScoreAttributes"]["ScoreConfidence"],
            )
            for item in client.query(
                IndexId=PAPERS, QueryText=TEXT, PageSize=size, PageNumber=number, **members
            )["ResultItems"]
        ]
        for number in range(1, PAGES * 10 // size + 1)
    ]


def retrieve_pages(client: Any, size: int = 10, **members: Any) -> list[list[Result]]:
    return [
        [
            (item["DocumentId"], item["Content"], item["ScoreAttributes"]["ScoreConfidence"])
            for item in client.retrieve(
                IndexId=PAPERS, QueryText=TEXT, PageSize=size, PageNumber=number, **members
            )["ResultItems"]
        ]
        for number in range(1, PAGES * 10 // size + 1)
    ]


@pytest.mark.parametrize("read", [query_pages, retrieve_pages])
def test_ten_pages_are_one_order_while_the_model_learns(
    served: Kendra, read: Callable[..., list[list[Result]]]
) -> None:
    pages = read(served.client)
    results = [result[:2] for page in pages for result in page]
    assert len(results) == len(set(results)) == 100
    # All or nothing on a page, and rated pages come before unread ones.
    rated = []
    for page in pages:
        [is_rated] = {confidence != "NOT_AVAILABLE" for _, _, confidence in page}
        rated.append(is_rated)
    assert rated == sorted(rated, reverse=True)


def test_the_first_page_has_confidence_although_the_deadline_passes(
    loaded: Node, tmp_path: Path
) -> None:
    with serving_kendra(
        tmp_path, loaded.url, {PAPERS: INDEX_SETTINGS}, cold_models(30), **PLAN
    ) as served:
        for read in (query_pages, retrieve_pages):
            first, *_, last = read(served.client)
            assert "NOT_AVAILABLE" not in {confidence for _, _, confidence in first}
            assert {confidence for _, _, confidence in last} == {"NOT_AVAILABLE"}
            served.client.query(IndexId=PAPERS, QueryText=TEXT)


def test_pages_of_two_sizes_and_of_one_result_agree(loaded: Node, tmp_path: Path) -> None:
    with serving_kendra(
        tmp_path, loaded.url, {PAPERS: INDEX_SETTINGS}, cold_models(9), **PLAN
    ) as served:
        client = served.client
        members = {"IndexId": PAPERS, "QueryText": TEXT}
        facets = [{"DocumentAttributeKey": "_category"}]
        first = client.query(**members, PageSize=5, Facets=facets)["ResultItems"]
        second = client.query(**members, PageSize=5, PageNumber=2)["ResultItems"]
        # Three results of the second page again, one by one.
        alone = [
            client.query(**members, PageSize=1, PageNumber=number)["ResultItems"][0]
            for number in (6, 7, 8)
        ]
        names = [(item["Type"], item["DocumentId"]) for item in [*first, *second]]
        assert len(set(names)) == 10
        assert [(item["Type"], item["DocumentId"]) for item in alone] == names[5:8]


def test_the_first_page_starts_anew(loaded: Node, tmp_path: Path) -> None:
    with serving_kendra(
        tmp_path, loaded.url, {PAPERS: INDEX_SETTINGS}, cold_models(9), rescore_window=100
    ) as served:

        def unrated() -> int:
            pages = retrieve_pages(served.client, size=50)
            return sum(c == "NOT_AVAILABLE" for page in pages for _, _, c in page)

        counts = [unrated() for _ in range(15)]
        assert counts[0] == 100
        assert counts[-1] == 0


def test_callers_users_filters_and_operations_do_not_share_an_order(
    loaded: Node, tmp_path: Path
) -> None:
    """A shared order would show what somebody else's first page had read by then."""
    with serving_kendra(
        tmp_path, loaded.url, {PAPERS: INDEX_SETTINGS}, cold_models(40), rescore_window=100
    ) as served:
        client = served.client

        def second(**members: Any) -> str:
            [item] = client.query(
                IndexId=PAPERS, QueryText=TEXT, PageSize=1, PageNumber=50, **members
            )["ResultItems"]
            return str(item["ScoreAttributes"]["ScoreConfidence"])

        client.query(IndexId=PAPERS, QueryText=TEXT, QueryResultTypeFilter="DOCUMENT")
        for _ in range(5):
            client.retrieve(IndexId=PAPERS, QueryText=TEXT)
        one = {"QueryResultTypeFilter": "DOCUMENT"}
        assert second(**one) == "NOT_AVAILABLE"
        others: list[dict[str, Any]] = [
            {**one, "UserContext": {"UserId": "ann"}},
            {**one, "UserContext": {"UserId": "bob"}},
            {**one, "UserContext": {"Groups": ["staff"]}},
            {**one, "AttributeFilter": ALL},
            {**one, "VisitorId": "somebody"},
        ]
        for members in others:
            assert second(**members) != "NOT_AVAILABLE"
        assert second(**one) == "NOT_AVAILABLE"


def test_an_order_that_has_expired_is_computed_from_what_is_known(
    loaded: Node, tmp_path: Path
) -> None:
    section = {"window_order_s": 0}
    with serving_kendra(
        tmp_path,
        loaded.url,
        {PAPERS: INDEX_SETTINGS},
        cold_models(1000),
        section=section,
        rescore_window=100,
    ) as served:
        for read in (query_pages, retrieve_pages):
            pages = read(served.client)
            results = [result[:2] for page in pages for result in page]
            assert len(results) == len(set(results)) == 100
            assert read(served.client) == pages


def test_documents_that_come_or_change_do_not_move_those_of_the_first_pages(
    loaded: Node, tmp_path: Path
) -> None:
    opensearch = OpenSearch(loaded.url)
    settings = {"index": "changing", "plan": "words", "fields": FIELDS}
    # No two of them look alike, as Retrieve leaves out what repeats a better passage.
    names = [" ".join(f"{letter}{n}" for letter in "abcdefgh") for n in range(40)]
    bodies = [f"{'protein ' * (n % 4)}expression {name}" for n, name in enumerate(names)]
    actions = (
        {"_index": "changing", "_id": f"{n}", "heading": "A paper", "content": body}
        for n, body in enumerate(bodies)
    )
    helpers.bulk(opensearch, actions, refresh=True)
    try:
        with serving_kendra(
            tmp_path, loaded.url, {PAPERS: settings}, cold_models(15), rescore_window=100
        ) as served:
            for known, operation in (40, served.client.query), (45, served.client.retrieve):

                def page(number: int, operation: Any = operation) -> list[str]:
                    reply = operation(
                        IndexId=PAPERS, QueryText="protein expression", PageNumber=number
                    )
                    kind = "DOCUMENT"
                    return [
                        item["DocumentId"]
                        for item in reply["ResultItems"]
                        if item.get("Type", kind) == kind
                    ]

                read = page(1)
                for n in range(known, known + 5):
                    document = {"heading": f"New {n}", "content": f"protein expression new{n}"}
                    opensearch.index(index="changing", id=f"{n}", body=document)
                changed = {"heading": "A paper", "content": f"protein expression since {known}"}
                opensearch.index(index="changing", id=read[0], body=changed, refresh=True)
                read += page(2) + page(3) + page(4) + page(5)
                assert len(read) == len(set(read))
                # The documents that the first page did not know follow.
                assert sorted(read[:known], key=int) == [f"{n}" for n in range(known)]
    finally:
        opensearch.indices.delete(index="changing")
        opensearch.close()
