"""Cohere's rerank API, v1 and v2: answers.

Source: Cohere's API reference, POST /v1/rerank and /v2/rerank.
"""

from __future__ import annotations

from math import ceil

from sidecar.rerank.answer import RerankAnswer

_UNIT_DOCUMENTS = 100
"""Documents that Cohere bills together with their query as one search unit."""


def write_cohere_v1(answer: RerankAnswer) -> dict[str, object]:
    """The members of a v1 answer; documents are returned as objects with all their fields."""
    return {
        "id": answer.identifier,
        "results": answer.results(answer.as_object),
        "meta": _meta(answer, "1"),
    }


def write_cohere_v2(answer: RerankAnswer) -> dict[str, object]:
    """The members of a v2 answer. Cohere's v2 returns no documents; clients that ask for them, such
    as programs for v1 or vLLM, get them as in v1."""
    return {
        "id": answer.identifier,
        "results": answer.results(answer.as_object),
        "meta": _meta(answer, "2"),
    }


def _meta(answer: RerankAnswer, version: str) -> dict[str, object]:
    units = ceil(len(answer.logits) / _UNIT_DOCUMENTS)
    return {
        "api_version": {"version": version},
        "billed_units": {"search_units": units},
        # SiliconFlow's answers have the tokens here; RAGFlow and LiteLLM read them.
        "tokens": {"input_tokens": answer.tokens, "output_tokens": 0},
    }
