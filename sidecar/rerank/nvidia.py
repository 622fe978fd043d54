"""NVIDIA's ranking API: requests and answers.

Source: the OpenAPI description of the NeMo Retriever reranking microservice, POST /v1/ranking.
RAGFlow's NVIDIA driver and LangChain's `NVIDIARerank` read `rankings[].index` and `.logit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.rerank.answer import RerankAnswer
from sidecar.rerank.request import RerankRequest, read_request


def is_nvidia(body: Mapping[str, Any]) -> bool:
    """Whether a body is NVIDIA's: its documents are called `passages`."""
    return "passages" in body and "documents" not in body and "texts" not in body


def read_nvidia(body: Mapping[str, Any]) -> RerankRequest:
    """Read NVIDIA's body, whose answer always has logits; raises Refusal."""
    return read_request({**body, "raw_scores": True, "return_documents": False}, "passages")


def write_nvidia(answer: RerankAnswer) -> dict[str, object]:
    """The members of an answer; the list is called `rankings`, best first."""
    return {
        "rankings": [{"index": index, "logit": answer.score(index)} for index in answer.indices],
        "usage": {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens},
    }
