"""Hugging Face Text Embeddings Inference, POST /rerank: requests and answers.

Source: TEI's OpenAPI description. Every text is scored in full, in passages, so `truncate` and
`truncation_direction` have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.rerank.answer import RerankAnswer
from sidecar.rerank.refusals import Cause
from sidecar.rerank.request import RerankRequest, read_documents, read_flag, read_query

_ERRORS: Mapping[Cause, tuple[int, str]] = {
    "malformed": (422, "validation"),
    "missing": (422, "validation"),
    "invalid": (422, "validation"),
    "too_many": (413, "validation"),
    "too_large": (413, "validation"),
    "late": (408, "validation"),
    "unauthorized": (401, "unauthorized"),
    "rate": (429, "overloaded"),
    "starting": (503, "unhealthy"),
    "overload": (429, "overloaded"),
    "deadline": (424, "backend"),
    "model": (424, "backend"),
    "internal": (500, "backend"),
}


def is_tei(body: Mapping[str, Any]) -> bool:
    """Whether a body sent to `/rerank` is TEI's: its documents are called `texts`.

    Dify's OpenAI-API-compatible plugin may call them so too, and reads another answer. It always
    sends `return_documents`, which TEI calls `return_text`.
    """
    return "texts" in body and "documents" not in body and "return_documents" not in body


def read_tei(body: Mapping[str, Any]) -> RerankRequest:
    """Read TEI's body; raises Refusal `missing`, `malformed` or `invalid`."""
    query = read_query(body)
    texts = read_documents(body, "texts", str)
    return RerankRequest(
        query=query,
        documents=texts,
        originals=texts,
        return_documents=read_flag(body, "return_text"),
        raw_scores=read_flag(body, "raw_scores"),
    )


def write_tei(answer: RerankAnswer) -> list[dict[str, object]]:
    """The answer: an array, best first."""
    ranks: list[dict[str, object]] = []
    for index in answer.indices:
        entry: dict[str, object] = {"index": index, "score": answer.score(index)}
        if answer.request.return_documents:
            entry["text"] = answer.as_text(index)
        ranks.append(entry)
    return ranks


def write_tei_error(cause: Cause, message: str) -> tuple[int, dict[str, object]]:
    """HTTP status and body of an error."""
    status, kind = _ERRORS[cause]
    return status, {"error": message, "error_type": kind}
