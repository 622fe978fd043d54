"""Voyage's rerank API: answers.

Source: Voyage AI's API reference, POST /v1/rerank.
"""

from __future__ import annotations

from sidecar.rerank.answer import RerankAnswer


def write_voyage(answer: RerankAnswer) -> dict[str, object]:
    """The members of an answer; the list is called `data`, documents in it are strings."""
    return {
        "object": "list",
        "data": answer.results(answer.as_text),
        "model": answer.model,
        "usage": {"total_tokens": answer.tokens},
    }
