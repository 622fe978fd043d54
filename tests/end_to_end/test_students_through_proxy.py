"""A search whose passages cannot be read in time has the order that the student expects."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from opensearchpy import OpenSearch, helpers

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_store import PassageStore, round_vectors
from sidecar.models.scorers import BiEncoderScorer, Models
from sidecar.models.students.teacher import Teacher
from sidecar.models.students.teaching import Lessons, teach
from tests.nodes.node import Node
from tests.running import request, running_sidecar

INDEX = "students"
WORDS = "copper kettle with a wooden handle and lid of blue enamel".split()
QUERY = " ".join(WORDS)
PLAN = {
    "rescore_window": 20,
    "deadline_ms": 2000,
    "fusion": {"method": "additive"},
    "student": "auto",
}
BODIES = [" ".join(WORDS[n:]) + " spoon" * (3 * n) for n in range(len(WORDS))]


class _Stuck(FakeBiEncoder):
    """Reads query texts at once, and passages after the test; a word is a piece."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        assert self.over.wait(60)
        return self.embed_queries(texts)

    def read_pieces(self, texts: Sequence[str]) -> list[Pieces]:
        numbers = [[crc32(word.encode()) >> 16 for word in text.split()] for text in texts]
        return [np.array(one, np.uint32) for one in numbers]


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    with OpenSearch(opensearch_3.url) as client:
        client.indices.create(index=INDEX, body={"settings": {"number_of_shards": 1}})
        documents = (
            {"_index": INDEX, "_id": str(n), "title": "", "body": body}
            for n, body in enumerate(BODIES)
        )
        helpers.bulk(client, documents, refresh=True)
        yield opensearch_3
        client.indices.delete(index=INDEX)


def test_the_student_orders_what_the_deadline_leaves_unread(node: Node, tmp_path: Path) -> None:
    backend = _Stuck()
    metrics = Metrics()
    teacher = Teacher("words", "fake", 256, backend.read_pieces, 2**20, metrics)
    # It expects the opposite of the words: the less of the query a passage has, the nearer it is.
    vectors = backend.embed_queries(BODIES)
    nearest_first = np.argsort(vectors @ backend.embed_queries([QUERY])[0])
    swapped = np.empty_like(vectors)
    swapped[nearest_first] = vectors[nearest_first[::-1]]
    lessons = Lessons(
        backend.read_pieces(BODIES), *round_vectors(swapped), np.zeros(len(BODIES), np.bool_)
    )
    teacher.estimator.use(teach("fake", lessons, passes=60))
    scorer = BiEncoderScorer("words", backend, PassageStore(256, 2**20), metrics, teacher=teacher)
    body = {"query": {"match": {"body": QUERY}}, "size": len(BODIES)}
    models = Models({"words": scorer})
    plans = {"words": {**PLAN, "stages": [{"model": "words", "weight": 100}]}}
    try:
        with running_sidecar(tmp_path, node.url, plans, {INDEX: "words"}, models) as sidecar:
            fields = {"X-Rescore-Plan": "words"}
            response = request(sidecar.proxy, "POST", f"/{INDEX}/_search", body, fields)
            backend.over.set()
    finally:
        backend.over.set()
    (outcome,) = response.values("X-Rescore")
    assert outcome.startswith("partial; reason=deadline; plan=words;")
    assert f"student={len(BODIES)}" in outcome
    with OpenSearch(node.url) as client:
        direct = client.search(index=INDEX, body=body)["hits"]["hits"]
    expected = [hit["_id"] for hit in direct]
    ranked = [hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]]
    assert sorted(ranked) == sorted(expected)
    assert ranked != expected
    assert ranked[0] == str(nearest_first[0])
