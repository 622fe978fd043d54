"""Jina's rerank API: answers.

Source: Jina AI's API reference, POST /v1/rerank.
"""

from __future__ import annotations

from sidecar.rerank.answer import RerankAnswer


def write_jina(answer: RerankAnswer) -> dict[str, object]:
    """The members of an answer; documents are returned as objects with `text`."""
    return {
        "model": answer.model,
        "object": "list",
        "usage": {"total_tokens": answer.tokens, "prompt_tokens": answer.tokens},
        "results": answer.results(answer.as_object),
    }
