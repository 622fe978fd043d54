"""Exchanges in the shapes of the services' interfaces, on a real socket, and refused answers."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.remote.service_client import CallFailed, ServiceClient
from sidecar.models.remote.wires import Wire, find_address, read_tensors
from tests.sidecar.models.remote.service import running_service

# Text Embeddings Inference, README ("Re-rankers", "Embeddings").
TEI_RERANK = [{"index": 0, "score": 0.9987}, {"index": 1, "score": -4.07}]
TEI_EMBED = [[0.6, 0.8], [0.0, 2.0]]
# OpenVINO Model Server, ovms_docs_rest_api_rerank and ovms_docs_rest_api_embeddings.
OVMS_RERANK = {
    "results": [
        {"index": 0, "relevance_score": 0.3886180520057678},
        {"index": 1, "relevance_score": 0.0055549247190356255},
    ]
}
OVMS_EMBEDDINGS = {
    "object": "list",
    "data": [
        {
            "object": "embedding",
            "embedding": [-0.03440694510936737, -0.02553200162947178],
            "index": 0,
        },
        {
            "object": "embedding",
            "embedding": [0.02722850814461708, -0.017527244985103607],
            "index": 1,
        },
    ],
    "usage": {"prompt_tokens": 6, "total_tokens": 6},
}
# vLLM, "OpenAI-Compatible Server", "Re-rank API": the best first, with the texts.
VLLM_RERANK = {
    "id": "rerank-fae51b2b664d4ed38f5969b612edff77",
    "model": "BAAI/bge-reranker-base",
    "usage": {"total_tokens": 56},
    "results": [
        {"index": 1, "document": {"text": "Paris."}, "relevance_score": 0.99853515625},
        {"index": 0, "document": {"text": "Brasilia."}, "relevance_score": 0.0005860328674316406},
    ],
}
# Open Inference Protocol, inference_rest.md.
KSERVE_METADATA = {
    "name": "far",
    "versions": ["1"],
    "platform": "openvino",
    "inputs": [
        {"name": "query", "datatype": "BYTES", "shape": [-1]},
        {"name": "passage", "datatype": "BYTES", "shape": [-1, 1]},
    ],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 1]}],
}
KSERVE_INFER = {
    "model_name": "far",
    "model_version": "1",
    "outputs": [{"name": "logits", "shape": [2, 1], "datatype": "FP32", "data": [1.5, -2.5]}],
}
TEXTS = ["one", "two"]
PAIRS = read_tensors(KSERVE_METADATA, "cross-encoder")


def send(wire: Wire, kind: str, path: str, answer: object) -> tuple[str, Any, Any]:
    """Make one call; returns the path, the body that was sent, and the numbers that were read."""
    with running_service(lambda *_: answer) as service:
        address = find_address(service.url + path, wire.api, kind, wire.model)
        with closing(ServiceClient("m", address, None, None, 60, Metrics())) as client:
            if kind == "bi-encoder":
                numbers = client.try_once(
                    wire.write_texts(TEXTS), 10_000, lambda said: wire.read_vectors(said, 2)
                )
            else:
                body = wire.write_pairs("q", TEXTS)
                numbers = client.try_once(body, 10_000, lambda said: wire.read_scores(said, 2))
    [(path, body, _)] = service.calls
    return path, body, numbers


def test_tei() -> None:
    path, body, scores = send(Wire("tei", "far", True), "cross-encoder", "", TEI_RERANK)
    assert path == "/rerank"
    assert body == {
        "query": "q",
        "texts": TEXTS,
        "raw_scores": True,
        "return_text": False,
        "truncate": True,
    }
    assert scores.tolist() == [0.9987, -4.07]
    path, body, vectors = send(Wire("tei", "far"), "bi-encoder", "/", TEI_EMBED)
    assert (path, body) == ("/embed", {"inputs": TEXTS, "normalize": True, "truncate": True})
    assert vectors == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))


def test_openvino_model_server_and_vllm() -> None:
    path, body, scores = send(Wire("cohere", "far"), "cross-encoder", "/v3/rerank", OVMS_RERANK)
    assert path == "/v3/rerank"
    assert body == {
        "model": "far",
        "query": "q",
        "documents": TEXTS,
        "top_n": 2,
        "return_documents": False,
    }
    assert scores.tolist() == [0.3886180520057678, 0.0055549247190356255]
    wire = Wire("openai-embeddings", "far")
    path, body, vectors = send(wire, "bi-encoder", "/v3/embeddings", OVMS_EMBEDDINGS)
    assert path == "/v3/embeddings"
    assert body == {"model": "far", "input": TEXTS, "encoding_format": "float"}
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1])
    path, _, scores = send(Wire("cohere", "far"), "cross-encoder", "", VLLM_RERANK)
    assert path == "/v1/rerank"
    assert scores.tolist() == [0.0005860328674316406, 0.99853515625]


def test_kserve() -> None:
    wire = Wire("kserve-v2", "far", tensors=PAIRS)
    path, body, scores = send(wire, "cross-encoder", "", KSERVE_INFER)
    assert path == "/v2/models/far/infer"
    assert body == {
        "inputs": [
            {"name": "query", "shape": [2], "datatype": "BYTES", "data": ["q", "q"]},
            {"name": "passage", "shape": [2, 1], "datatype": "BYTES", "data": TEXTS},
        ],
        "outputs": [{"name": "logits"}],
    }
    assert scores.tolist() == [1.5, -2.5]


def change(answer: Any, edit: Callable[[Any], object]) -> Any:
    copy = json.loads(json.dumps(answer))
    edit(copy)
    return copy


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (Wire("cohere", "far"), {}),
        (Wire("cohere", "far"), []),
        (Wire("cohere", "far"), {"results": OVMS_RERANK["results"][:1]}),
        (Wire("cohere", "far"), {"results": OVMS_RERANK["results"] * 2}),
        (Wire("cohere", "far"), change(OVMS_RERANK, lambda a: a["results"][0].update(index=2))),
        (Wire("cohere", "far"), change(OVMS_RERANK, lambda a: a["results"][0].update(index=True))),
        (Wire("cohere", "far"), change(OVMS_RERANK, lambda a: a["results"][0].pop("index"))),
        (Wire("tei", "far"), change(TEI_RERANK, lambda a: a[0].update(score="0.5"))),
        (Wire("tei", "far"), change(TEI_RERANK, lambda a: a[0].update(score=None))),
        (Wire("tei", "far"), change(TEI_RERANK, lambda a: a[0].update(score=[1.0]))),
        (Wire("tei", "far"), b'[{"index": 0, "score": NaN}, {"index": 1, "score": 1}]'),
        (Wire("tei", "far"), b'[{"index": 0, "score": 1e999}, {"index": 1, "score": 1}]'),
        (Wire("tei", "far"), b"[" * 100_000),
        (Wire("tei", "far"), b'[{"index": 0, "score": ' + b"1" * 5000 + b"}]"),
        (Wire("tei", "far"), b"\xff\xfe"),
        (Wire("tei", "far"), b" " * 20_000),
        (
            Wire("kserve-v2", "far", tensors=PAIRS),
            change(KSERVE_INFER, lambda a: a["outputs"][0].update(shape=[1, 2])),
        ),
        (
            Wire("kserve-v2", "far", tensors=PAIRS),
            change(KSERVE_INFER, lambda a: a["outputs"][0].update(data=[1.5])),
        ),
        (
            Wire("kserve-v2", "far", tensors=PAIRS),
            change(KSERVE_INFER, lambda a: a["outputs"][0].update(name="other")),
        ),
    ],
)
def test_scores_that_are_refused(wire: Wire, answer: object) -> None:
    with pytest.raises(CallFailed) as caught:
        send(wire, "cross-encoder", "", answer)
    assert caught.value.outcome == "answer"


@pytest.mark.parametrize(
    "answer",
    [[[1.0]], [[1.0], [1.0, 2.0]], [1.0, 2.0], [[], []], [["1"], ["2"]], [[[1.0]], [[2.0]]]],
)
def test_vectors_that_are_refused(answer: object) -> None:
    with pytest.raises(CallFailed) as caught:
        send(Wire("tei", "far"), "bi-encoder", "", answer)
    assert caught.value.outcome == "answer"
