"""The JSON of each API: what a call sends, and strict checks of what comes back.

An answer must have exactly one vector or score for each text, and only finite numbers. Everything
else raises BadScores, whose message never has text of the answer.

Sources:
- TEI: `POST /embed` and `POST /rerank`, https://huggingface.github.io/text-embeddings-inference
- OpenAI: `POST /v1/embeddings`; also Infinity, vLLM, LiteLLM, and OpenVINO Model Server at
  `/v3/embeddings` (https://docs.openvino.ai/2025/model-server/ovms_docs_rest_api_embeddings.html)
- Cohere: `POST /v1/rerank`; also vLLM, LiteLLM, Infinity at `/rerank`, and OpenVINO Model Server at
  `/v3/rerank` (https://docs.openvino.ai/2025/model-server/ovms_docs_rest_api_rerank.html)
- KServe: `GET /v2/models/NAME` and `POST /v2/models/NAME/infer` of the Open Inference Protocol,
  https://github.com/kserve/open-inference-protocol (`specification/protocol/inference_rest.md`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from pipelines.errors import BadScores
from sidecar.config.models import RemoteApi
from sidecar.models.backends.base import FloatArray

_PATHS: Mapping[tuple[RemoteApi, str], str] = {
    ("cohere", "cross-encoder"): "/v1/rerank",
    ("tei", "cross-encoder"): "/rerank",
    ("tei", "bi-encoder"): "/embed",
    ("openai-embeddings", "bi-encoder"): "/v1/embeddings",
}
_FLOATS = ("FP16", "FP32", "FP64")
MOST_DIMENSIONS = 65_536


def find_address(url: str, api: RemoteApi, kind: str, model: str) -> str:
    """The address of the calls: `url` itself if it has a path, else with the API's usual path."""
    if urlsplit(url).path not in ("", "/"):
        return url
    path = _PATHS.get((api, kind)) or f"/v2/models/{quote(model, safe='')}/infer"
    return url.rstrip("/") + path


@dataclass(frozen=True, slots=True)
class TensorNames:
    """The tensors of a KServe model: the names of its text inputs, and of its output."""

    inputs: tuple[str, ...]
    ranks: tuple[int, ...]
    """Number of dimensions of each input."""

    output: str


def read_tensors(answer: Any, kind: str) -> TensorNames:
    """The tensors in a model's metadata. A cross-encoder has two inputs: query text, then passage.

    Raises BadScores if the model has others.
    """
    inputs = [
        one for one in _list(_member(answer, "inputs")) if _member(one, "datatype") == "BYTES"
    ]
    outputs = [
        one for one in _list(_member(answer, "outputs")) if _member(one, "datatype") in _FLOATS
    ]
    count = 1 if kind == "bi-encoder" else 2
    if len(inputs) != count or not outputs:
        raise BadScores(
            f"the model needs {count} BYTES inputs and an output of floats for kind: {kind}; it "
            f"has {len(inputs)} and {len(outputs)}"
        )
    return TensorNames(
        tuple(_text(_member(one, "name")) for one in inputs),
        tuple(len(_list(_member(one, "shape"))) for one in inputs),
        _text(_member(outputs[0], "name")),
    )


@dataclass(frozen=True, slots=True)
class Wire:
    """One API, for one model. `tensors` only for `kserve-v2`."""

    api: RemoteApi
    model: str
    raw_scores: bool = True
    """Whether scores are logits; TEI lets the client choose."""

    tensors: TensorNames | None = None

    def write_texts(self, texts: Sequence[str]) -> dict[str, Any]:
        """The body that asks for the texts' vectors."""
        if self.api == "tei":
            return {"inputs": list(texts), "normalize": True, "truncate": True}
        if self.api == "openai-embeddings":
            return {"model": self.model, "input": list(texts), "encoding_format": "float"}
        return self._infer([list(texts)])

    def read_vectors(self, answer: Any, count: int) -> FloatArray:
        """The vectors of `count` texts, each of length 1; zero vectors stay zero."""
        if self.api == "tei":
            vectors = _numbers(_list(answer), count)
        elif self.api == "openai-embeddings":
            rows = _in_order(_member(answer, "data"), count, "embedding")
            vectors = _numbers(rows, count)
        else:
            vectors = self._read_output(answer, count)
        if vectors.ndim != 2 or not 0 < vectors.shape[1] <= MOST_DIMENSIONS:
            raise BadScores(f"the vectors have the shape {vectors.shape}")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        unit: FloatArray = (vectors / lengths).astype(np.float32)
        return unit

    def write_pairs(self, query_text: str, texts: Sequence[str]) -> dict[str, Any]:
        """The body that asks for the texts' scores."""
        if self.api == "tei":
            return {
                "query": query_text,
                "texts": list(texts),
                "raw_scores": self.raw_scores,
                "return_text": False,
                "truncate": True,
            }
        if self.api == "cohere":
            return {
                "model": self.model,
                "query": query_text,
                "documents": list(texts),
                "top_n": len(texts),
                "return_documents": False,
            }
        return self._infer([[query_text] * len(texts), list(texts)])

    def read_scores(self, answer: Any, count: int) -> FloatArray:
        """The scores of `count` texts, in their order, as logits. Shape (count,)."""
        if self.api == "tei":
            scores = _numbers(_in_order(answer, count, "score"), count)
        elif self.api == "cohere":
            rows = _in_order(_member(answer, "results"), count, "relevance_score")
            scores = _numbers(rows, count)
        else:
            scores = self._read_output(answer, count)
        if scores.size != count:
            raise BadScores(f"{scores.size} scores for {count} texts")
        ordered: FloatArray = scores.reshape(count)
        return ordered

    def _infer(self, inputs: Sequence[Sequence[str]]) -> dict[str, Any]:
        assert self.tensors is not None  # `kserve-v2` begins with the model's metadata
        return {
            "inputs": [
                {
                    "name": name,
                    "shape": [len(data)] + [1] * (rank - 1),
                    "datatype": "BYTES",
                    "data": list(data),
                }
                for name, rank, data in zip(
                    self.tensors.inputs, self.tensors.ranks, inputs, strict=True
                )
            ],
            "outputs": [{"name": self.tensors.output}],
        }

    def _read_output(self, answer: Any, count: int) -> FloatArray:
        assert self.tensors is not None
        name = self.tensors.output
        outputs = [one for one in _list(_member(answer, "outputs")) if _member(one, "name") == name]
        if len(outputs) != 1 or _member(outputs[0], "datatype") not in _FLOATS:
            raise BadScores("the answer has not exactly one output of floats by the model's name")
        shape = _list(_member(outputs[0], "shape"))
        if not 1 <= len(shape) <= 4 or not all(type(one) is int and one > 0 for one in shape):
            raise BadScores("the output has no shape")
        if shape[0] != count or prod(shape) > count * MOST_DIMENSIONS:
            raise BadScores(f"the output has the shape {shape} for {count} texts")
        # The protocol allows the data both flat and nested.
        numbers = _numbers(_list(_member(outputs[0], "data")), None)
        if numbers.size != prod(shape):
            raise BadScores(f"the output has {numbers.size} numbers for the shape {shape}")
        output: FloatArray = numbers.reshape(shape)
        return output


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise BadScores(f"the answer has no {name!r} where it belongs")
    return value[name]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadScores("the answer has no list where one belongs")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadScores("the answer has no name where one belongs")
    return value


def _in_order(rows: Any, count: int, name: str) -> list[Any]:
    """The member `name` of each row, ordered by `index`, which has each place exactly once."""
    by_index: dict[int, Any] = {}
    for row in _list(rows):
        index = _member(row, "index")
        if type(index) is not int or not 0 <= index < count or index in by_index:
            raise BadScores(f"an index is wrong or there twice ({count} texts)")
        by_index[index] = _member(row, name)
    if len(by_index) != count:
        raise BadScores(f"{len(by_index)} results for {count} texts")
    return [by_index[index] for index in range(count)]


def _numbers(values: list[Any], count: int | None) -> Any:
    """The numbers as an array; raises BadScores unless all are finite and all rows equally long."""
    if count is not None and len(values) != count:
        raise BadScores(f"{len(values)} results for {count} texts")
    try:
        array = np.array(values)
    except ValueError:
        raise BadScores("rows of the answer differ in length") from None
    if array.dtype.kind not in "iuf":
        raise BadScores("the answer has something else where numbers belong")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise BadScores("the answer has a number that is not finite")
    return array
