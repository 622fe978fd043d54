"""vLLM's rerank API on `/rerank`: its requests and answers.

Source: vLLM's OpenAI-compatible server, `RerankRequest` and `RerankResponse`. LiteLLM's
`hosted_vllm` provider calls only this path, and reads `document.text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.rerank.answer import RerankAnswer
from sidecar.rerank.jina import write_jina


def is_vllm(body: Mapping[str, Any]) -> bool:
    """Whether a body with `documents` is vLLM's rather than Infinity's.

    Clients of vLLM name a model. So do clients of Infinity, but they always send its own member
    `raw_scores` too.
    """
    return isinstance(body.get("model"), str) and "raw_scores" not in body


def write_vllm(answer: RerankAnswer) -> dict[str, object]:
    """The members of an answer; documents are returned as objects with `text`."""
    return {"id": f"rerank-{answer.identifier}", **write_jina(answer)}
