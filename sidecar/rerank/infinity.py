"""Infinity's rerank API: answers.

Source: the OpenAPI description of infinity_emb, POST /rerank.
"""

from __future__ import annotations

from sidecar.rerank.answer import RerankAnswer


def write_infinity(answer: RerankAnswer) -> dict[str, object]:
    """The members of an answer; documents are returned as strings."""
    return {
        "object": "rerank",
        "id": f"infinity-{answer.identifier}",
        "model": answer.model,
        "created": answer.created,
        "results": answer.results(answer.as_text),
        "usage": {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens},
    }
