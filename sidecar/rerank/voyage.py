"""Voyage's rerank API: the answer's form.

Source: Voyage AI's API reference, POST /v1/rerank.
"""

from __future__ import annotations

from sidecar.rerank.answer import RerankAnswer


def write_voyage(answer: RerankAnswer) -> dict[str, object]:
    """The members of an answer; the list is named `data`, a document in it is a string."""
    return {
        "object": "list",
        "data": answer.results(answer.as_text),
        "model": answer.model,
        "usage": {"total_tokens": answer.tokens},
    }
