"""A search is never broken: without a model there is OpenSearch's order, and no 500."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from opensearchpy import OpenSearch

from sidecar.event_loop.off_loop import OffLoop
from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.kendra.collection import INDEX
from tests.kendra.replies import ids, items, slices
from tests.kendra.serving import FAQ_SETTINGS, INDEX_SETTINGS, PAPERS, serving_kendra
from tests.kendra.wire import post
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
    section = {"model_deadline_ms": 50}
    with serving_kendra(tmp_path, loaded.url, WITH_QUESTIONS, models, section=section) as served:
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


STATUSES = ("ACTIVE", "UPDATING", "CREATING", "DELETING", "FAILED")


def test_an_index_that_is_not_active_is_refused_by_every_operation(
    loaded: Node, tmp_path: Path
) -> None:
    named = {f"{PAPERS[:-1]}{number}": status for number, status in enumerate(STATUSES)}
    indexes = {name: {**INDEX_SETTINGS, "status": status} for name, status in named.items()}
    with serving_kendra(tmp_path, loaded.url, indexes) as served:
        for name, status in named.items():
            answers = {
                operation: post(served, operation, IndexId=name, QueryText="kettle")
                for operation in ("Query", "Retrieve", "GetQuerySuggestions")
            }
            feedback = post(served, "SubmitFeedback", IndexId=name, QueryId="a")
            if status in ("ACTIVE", "UPDATING"):
                assert {answer.status for answer in answers.values()} == {200}
                assert feedback.error == "ValidationException"
            else:
                assert {answer.error for answer in answers.values()} == {"ConflictException"}
                assert {answer.status for answer in (*answers.values(), feedback)} == {400}
                assert feedback.error == "ResourceUnavailableException"


class Busy(http.server.BaseHTTPRequestHandler):
    """An OpenSearch that answers everything with the status in the index's name."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(int(self.path.split("/")[1].removeprefix("status-")))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


def test_what_opensearch_refuses_is_an_error_of_the_service(tmp_path: Path) -> None:
    expected = {
        429: ("ThrottlingException", 400),
        401: ("AccessDeniedException", 400),
        403: ("AccessDeniedException", 400),
        503: ("InternalServerException", 500),
    }
    indexes = {
        f"{PAPERS[:-3]}{status}": {**INDEX_SETTINGS, "index": f"status-{status}"}
        for status in expected
    }
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            with serving_kendra(tmp_path, url, indexes) as served:
                for status, error in expected.items():
                    for operation in ("Query", "Retrieve"):
                        answer = post(served, operation, IndexId=f"{PAPERS[:-3]}{status}")
                        assert (answer.error, answer.status) == error
                        assert answer.members["Message"] == answer.message != ""
        finally:
            server.shutdown()
            thread.join()


def test_a_full_line_off_the_event_loop_is_throttling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_kendra(tmp_path, "http://127.0.0.1:9", {PAPERS: INDEX_SETTINGS}) as served:
        monkeypatch.setattr("sidecar.event_loop.off_loop._shared", OffLoop(line=0))
        answer = post(served, "Query", IndexId=PAPERS, QueryText="a" * 900 + " b" * 4000)
        assert (answer.error, answer.status) == ("ThrottlingException", 400)
