"""A second stage re-reads the best few of the first, through the whole sidecar and a real node.

The first stage is the fake model, whose order can be read off the documents; the second is a real
cross-encoder, with random weights, so that it turns the order around for sure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch, helpers

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.fake import FakeCrossEncoder
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.nodes.node import Node
from tests.running import WORDS, Sidecar, request, running_sidecar
from tests.tiny_cross_encoder import build_cross_encoder

INDEX = "cascade"
PARTS = "copper kettle with a wooden handle and lid of blue enamel inside".split()
QUERY = " ".join(PARTS)
TAKE = 4
FIRST = {"rescore_window": 20, "deadline_ms": 30_000, "fusion": {"method": "replace"}}
BOTH = {**FIRST, "stages": [{"model": "words"}, {"model": "second", "take": TAKE}]}


def documents() -> Iterator[dict[str, Any]]:
    """Each with fewer of the query's words than the one before."""
    for number in range(len(PARTS)):
        body = " ".join(PARTS[: len(PARTS) - number])
        yield {"_index": INDEX, "_id": str(number), "title": "", "body": body, "shelf": number // 2}


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    client = OpenSearch(opensearch_3.url)
    client.indices.create(index=INDEX, body={"settings": {"number_of_shards": 1}})
    helpers.bulk(client, documents(), refresh=True)
    yield opensearch_3
    client.indices.delete(index=INDEX)
    client.close()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-cross-encoder")
    build_cross_encoder(folder, sorted(set(PARTS)))
    return folder


@contextmanager
def cascade(
    folder: Path, node: Node, second: dict[str, Any], models: Models | None = None, **plan: Any
) -> Iterator[Sidecar]:
    """A sidecar whose plan `both` has the second stage; `first` has not."""
    main = {"models": {"words": WORDS, "second": second}}
    plans = {"first": {**FIRST, **plan}, "both": {**BOTH, **plan}}
    with running_sidecar(folder, node.url, plans, {INDEX: "both"}, models, main) as running:
        yield running


def search(sidecar: Sidecar, plan: str = "both") -> tuple[list[str], str]:
    """The ids in their order, and what `X-Rescore` says."""
    body = {"query": {"match": {"body": QUERY}}, "size": 20}
    response = request(sidecar.proxy, "POST", f"/{INDEX}/_search", body, {"X-Rescore-Plan": plan})
    assert response.status == 200
    (outcome,) = response.values("X-Rescore")
    return [hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]], outcome


@pytest.mark.model
def test_it_reads_the_best_few_and_reorders_these_alone(
    node: Node, weights: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    second = {
        "kind": "cross-encoder",
        "source": str(weights),
        "backend": "sentence-transformers",
    }
    with cascade(tmp_path, node, second) as sidecar:
        first, _ = search(sidecar, "first")
        assert sidecar.metric("rescore_model_texts_total", model="second") == 0
        both, outcome = search(sidecar)
        assert sidecar.metric("rescore_model_texts_total", model="second") == TAKE
        assert outcome.startswith("applied; plan=both;")
        assert "model=words+second" in outcome

    assert len(first) == len(both) == len(PARTS)
    assert both[TAKE:] == first[TAKE:]
    bodies = {document["_id"]: document["body"] for document in documents()}
    read = CrossEncoder(str(weights)).predict([(QUERY, bodies[i]) for i in first[:TAKE]])
    expected = [first[place] for place in np.argsort(-read)]
    assert both[:TAKE] == expected != first[:TAKE]

    explained = explain(tmp_path)
    assert [hit["id"] for hit in explained] == both
    for hit in explained:
        by_words, by_second = (stage["score"] for stage in hit["model_scores"])
        assert by_words is not None
        assert (by_second is not None) == (hit["id"] in first[:TAKE])


def explain(folder: Path) -> list[dict[str, Any]]:
    command = ["explain", "--index", INDEX, "--query", QUERY, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *command, "--config", str(folder / "sidecar.yaml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    whole = json.loads(done.stdout)
    assert [stage["scored"] for stage in whole["stages"]] == [len(PARTS), TAKE]
    hits: list[dict[str, Any]] = whole["hits"]
    return hits


class _Backwards:
    """Likes best what has the fewest of the query's words."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return -FakeCrossEncoder().score_pairs(query_text, texts)


class _Broken:
    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        raise RuntimeError("out of memory")


class _Stuck:
    """Comes back when the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        self.over.wait(60)
        return np.zeros(len(texts), np.float32)


def models_with(second: Any) -> Models:
    metrics = Metrics()
    return Models(
        {
            "words": CrossEncoderScorer("words", FakeCrossEncoder(), metrics),
            "second": CrossEncoderScorer("second", second, metrics),
        }
    )


def test_it_takes_groups_and_they_stay_together(node: Node, tmp_path: Path) -> None:
    models = models_with(_Backwards())
    with cascade(tmp_path, node, WORDS, models, group_by="shelf") as sidecar:
        first, _ = search(sidecar, "first")
        both, _ = search(sidecar)

    shelves = [int(id_) // 2 for id_ in first[::2]]
    assert [int(id_) // 2 for id_ in both[::2]] == [*shelves[:TAKE][::-1], *shelves[TAKE:]]
    assert {frozenset(both[at : at + 2]) for at in range(0, len(both), 2)} == {
        frozenset(first[at : at + 2]) for at in range(0, len(first), 2)
    }


def test_when_it_fails_the_first_stages_order_stands(node: Node, tmp_path: Path) -> None:
    with cascade(tmp_path, node, WORDS, models_with(_Broken())) as sidecar:
        first, _ = search(sidecar, "first")
        both, outcome = search(sidecar)

    assert both == first
    assert outcome.startswith("partial; reason=model; plan=both;")


def test_when_it_comes_too_late_the_first_stages_order_stands(node: Node, tmp_path: Path) -> None:
    stuck = _Stuck()
    try:
        with cascade(tmp_path, node, WORDS, models_with(stuck), deadline_ms=1500) as sidecar:
            first, _ = search(sidecar, "first")
            both, outcome = search(sidecar)
            stuck.over.set()
    finally:
        stuck.over.set()

    assert both == first
    assert outcome.startswith("partial; reason=deadline; plan=both;")
