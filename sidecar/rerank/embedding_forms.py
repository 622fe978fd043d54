"""Requests and answers of the embedding APIs: OpenAI's, and TEI's `/embed` and `/similarity`.

Source: OpenAI's API reference, POST /v1/embeddings; the OpenAPI descriptions of Text Embeddings
Inference and infinity_emb. Vectors always have length 1, as OpenAI's do and TEI's by default.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sidecar.rerank.answer import fixed, write_json
from sidecar.rerank.embedder import TextVectors
from sidecar.rerank.errors import ErrorAnswer, write_error
from sidecar.rerank.refusals import Cause, Refusal
from sidecar.rerank.request import read_count, read_flag, read_model
from sidecar.rerank.tei import write_tei_error

_QUERIES: Final = frozenset({"query", "search_query", "retrieval.query"})
_PASSAGES: Final = frozenset(
    {"passage", "document", "corpus", "search_document", "retrieval.passage"}
)
"""How clients say what their texts are: Cohere and Voyage in `input_type`, TEI in `prompt_name`,
Jina in `task`."""


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to read. `dimensions` None: as many as the model has. `model` may be any name."""

    texts: tuple[str, ...]
    as_queries: bool = False
    as_base64: bool = False
    dimensions: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingForm:
    """What requests, answers and errors of one API look like. `api` is its name in metrics.

    `read` raises Refusal. `write` gives the answer's JSON.
    """

    api: str
    read: Callable[[Mapping[str, Any]], EmbeddingRequest]
    write: Callable[[EmbeddingRequest, TextVectors], str]
    write_error: Callable[[Cause, str], ErrorAnswer]


def read_openai(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Read OpenAI's body; raises Refusal `missing`, `malformed` or `invalid`."""
    coding = body.get("encoding_format")
    if coding not in (None, "float", "base64"):
        raise Refusal("invalid", "encoding_format must be float or base64")
    return EmbeddingRequest(
        texts=_read_texts(body, "input"),
        as_queries=_are_queries(body, ("input_type", "prompt_name"))
        or body.get("task") in ("query", "retrieval.query"),
        as_base64=coding == "base64",
        dimensions=read_count(body, "dimensions"),
        model=read_model(body),
    )


def read_embed(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Read the body of TEI's `/embed`; raises Refusal `missing`, `malformed` or `invalid`."""
    _check_normalized(body)
    return EmbeddingRequest(
        texts=_read_texts(body, "inputs"),
        as_queries=_are_queries(body, ("prompt_name",)),
        dimensions=read_count(body, "dimensions"),
    )


def read_similarity(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Read the body of TEI's `/similarity`: the first text is compared with all others."""
    inputs = body.get("inputs")
    if inputs is None:
        raise Refusal("missing", "inputs is required")
    if not isinstance(inputs, dict):
        raise Refusal("malformed", "inputs must be an object")
    parameters = body.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise Refusal("malformed", "parameters must be an object")
    source = inputs.get("source_sentence")
    if not isinstance(source, str):
        raise Refusal("malformed", "inputs.source_sentence must be a string")
    return EmbeddingRequest(
        texts=(*_read_texts({"source": source}, "source"), *_read_texts(inputs, "sentences")),
        as_queries=_are_queries(parameters or {}, ("prompt_name",)),
    )


def _read_texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        raise Refusal("missing", f"{name} is required")
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise Refusal("invalid", f"{name} must not be empty")
    if any(isinstance(text, (int, list)) and not isinstance(text, bool) for text in texts):
        why = "arrays of tokens are not accepted, because each model has its own vocabulary"
        raise Refusal("invalid", f"{name} must be a string or an array of strings: {why}")
    if not all(isinstance(text, str) for text in texts):
        raise Refusal("malformed", f"{name} must be a string or an array of strings")
    if "" in texts:
        raise Refusal("invalid", f"{name} must not contain an empty string")
    return tuple(texts)


def _are_queries(body: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether the texts are queries, which some models read with another prompt than passages."""
    for name in names:
        role = body.get(name)
        if role is None:
            continue
        if not isinstance(role, str) or role not in _QUERIES | _PASSAGES:
            known = ", ".join(sorted(_QUERIES | _PASSAGES))
            raise Refusal("invalid", f"{name} must be one of: {known}")
        return role in _QUERIES
    return False


def _check_normalized(body: Mapping[str, Any]) -> None:
    if body.get("normalize") is not None and not read_flag(body, "normalize"):
        raise Refusal("invalid", "normalize must be true: all vectors have length 1")


def write_openai(request: EmbeddingRequest, answer: TextVectors) -> str:
    """OpenAI's answer. `model` is the model that was used, because vectors of two cannot be
    compared."""
    write = _write_base64 if request.as_base64 else _write_numbers
    data = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{write(vector)}}}'
        for index, vector in enumerate(answer.vectors)
    )
    rest = {
        "model": answer.model,
        "usage": {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens},
    }
    return f'{{"object":"list","data":[{data}],{write_json(rest)[1:]}'


def write_embed(_: EmbeddingRequest, answer: TextVectors) -> str:
    """An array of vectors."""
    return f"[{','.join(map(_write_numbers, answer.vectors))}]"


def write_similarity(_: EmbeddingRequest, answer: TextVectors) -> str:
    """An array of cosines: of the first vector with all others."""
    first, *others = answer.vectors
    return write_json([fixed(float((first * other).sum())) for other in others])


def _write_numbers(vector: NDArray[np.float32]) -> str:
    # Nine digits are enough to get the same 32-bit number back.
    return f"[{','.join(map('%.9g'.__mod__, vector.tolist()))}]"


def _write_base64(vector: NDArray[np.float32]) -> str:
    content = vector.astype("<f4").tobytes()
    return f'"{base64.b64encode(content).decode()}"'


OPENAI: Final = EmbeddingForm("embeddings", read_openai, write_openai, write_error)
EMBED: Final = EmbeddingForm("tei-embed", read_embed, write_embed, write_tei_error)
SIMILARITY: Final = EmbeddingForm(
    "tei-similarity", read_similarity, write_similarity, write_tei_error
)

EMBEDDING_PATHS: Final[Mapping[str, EmbeddingForm]] = {
    "/v1/embeddings": OPENAI,
    "/embeddings": OPENAI,  # Infinity, llama.cpp
    "/embed": EMBED,
    "/similarity": SIMILARITY,
}
"""Every path with the form of its API."""
