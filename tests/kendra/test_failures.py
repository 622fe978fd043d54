"""A search is never broken: without a model there is OpenSearch's order, and no 500."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from opensearchpy import OpenSearch

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.scorers import CrossEncoderScorer, Models
from tests.kendra.collection import INDEX
from tests.kendra.replies import ids, items, slices
from tests.kendra.serving import FAQ_SETTINGS, INDEX_SETTINGS, PAPERS, serving_kendra
from tests.nodes.node import Node

TEXT = "copper kettle boils water"
WITH_QUESTIONS = {PAPERS: {**INDEX_SETTINGS, "faq": FAQ_SETTINGS}}


class Broken:
    """A model that fails at every text."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        raise RuntimeError("out of memory")


class Stuck:
    """A model that is not done before `done` is set."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        self.done.wait(60)
        raise RuntimeError("too late")


def opensearch_order(url: str) -> list[str]:
    client = OpenSearch(url)
    query = {
        "multi_match": {
            "query": TEXT,
            "fields": ["heading", "content", "meta.category.text"],
        }
    }
    answer = client.search(index=INDEX, body={"query": query, "size": 100, "_source": False})
    client.close()
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def check_without_model(client: Any, url: str) -> None:
    reply = client.query(
        IndexId=PAPERS,
        QueryText=TEXT,
        PageSize=100,
        Facets=[{"DocumentAttributeKey": "_category"}],
    )
    assert [item["Type"] for item in reply["ResultItems"]] == ["DOCUMENT"] * len(
        reply["ResultItems"]
    )
    assert ids(reply) == opensearch_order(url)
    for item in items(reply):
        assert item["ScoreAttributes"]["ScoreConfidence"] == "NOT_AVAILABLE"
    # All that does not need a model is there.
    assert reply["FacetResults"][0]["DocumentAttributeValueCountPairs"]
    assert "kettle" in slices(items(reply)[0]["DocumentExcerpt"])
    found = client.retrieve(IndexId=PAPERS, QueryText=TEXT, PageSize=100)["ResultItems"]
    named = list(dict.fromkeys(item["DocumentId"] for item in found))
    assert named == ids(reply)
    assert {item["ScoreAttributes"]["ScoreConfidence"] for item in found} == {"NOT_AVAILABLE"}


def test_a_model_that_fails_leaves_opensearchs_order(loaded: Node, tmp_path: Path) -> None:
    models = Models({"words": CrossEncoderScorer("words", Broken(), Metrics())})
    with serving_kendra(tmp_path, loaded.url, WITH_QUESTIONS, models) as served:
        check_without_model(served.client, loaded.url)


def test_a_model_that_is_late_leaves_opensearchs_order(loaded: Node, tmp_path: Path) -> None:
    stuck = Stuck()
    models = Models({"words": CrossEncoderScorer("words", stuck, Metrics())})
    with serving_kendra(tmp_path, loaded.url, WITH_QUESTIONS, models, deadline_ms=50) as served:
        try:
            check_without_model(served.client, loaded.url)
        finally:
            stuck.done.set()


def test_a_plan_that_is_switched_off_leaves_opensearchs_order(loaded: Node, tmp_path: Path) -> None:
    with serving_kendra(tmp_path, loaded.url, WITH_QUESTIONS, enabled=False) as served:
        reply = served.client.query(IndexId=PAPERS, QueryText=TEXT, PageSize=100)
        assert ids(reply) == opensearch_order(loaded.url)


@pytest.mark.parametrize("operation", ["query", "retrieve"])
def test_an_opensearch_that_is_down_is_an_internal_error(tmp_path: Path, operation: str) -> None:
    with (
        serving_kendra(tmp_path, "http://127.0.0.1:1", WITH_QUESTIONS) as served,
        pytest.raises(ClientError) as caught,
    ):
        getattr(served.client, operation)(IndexId=PAPERS, QueryText=TEXT)
    response = caught.value.response
    assert response["Error"]["Code"] == "InternalServerException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "127.0.0.1" not in response["Error"]["Message"]


def test_an_index_that_is_gone_is_not_found(loaded: Node, tmp_path: Path) -> None:
    opensearch = OpenSearch(loaded.url)
    opensearch.indices.put_alias(index=INDEX, name="papers-for-a-while")
    soon_gone = {PAPERS: {**INDEX_SETTINGS, "index": "papers-for-a-while"}}
    with serving_kendra(tmp_path, loaded.url, soon_gone) as served:
        assert ids(served.client.query(IndexId=PAPERS, QueryText=TEXT))
        opensearch.indices.delete_alias(index=INDEX, name="papers-for-a-while")
        with pytest.raises(ClientError) as caught:
            served.client.query(IndexId=PAPERS, QueryText=TEXT)
    opensearch.close()
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert "papers" not in caught.value.response["Error"]["Message"]


def test_an_index_that_is_being_deleted_is_a_conflict(loaded: Node, tmp_path: Path) -> None:
    deleting = {PAPERS: {**INDEX_SETTINGS, "status": "DELETING"}}
    with (
        serving_kendra(tmp_path, loaded.url, deleting) as served,
        pytest.raises(ClientError) as caught,
    ):
        served.client.query(IndexId=PAPERS, QueryText=TEXT)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
