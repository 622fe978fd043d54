"""Cohere's rerank API, v1 and v2: the answer's form.

Source: Cohere's API reference, POST /v1/rerank and /v2/rerank.
"""

from __future__ import annotations

from math import ceil

from sidecar.rerank.answer import RerankAnswer

_UNIT_DOCUMENTS = 100
"""Cohere bills a query with up to so many documents as one search unit."""


def write_cohere_v1(answer: RerankAnswer) -> dict[str, object]:
    """The members of a v1 answer; documents come back as objects, with all their fields."""
    return {
        "id": answer.identifier,
        "results": answer.results(answer.as_object),
        "meta": _meta(answer, "1"),
    }


def write_cohere_v2(answer: RerankAnswer) -> dict[str, object]:
    """The members of a v2 answer. That API sends no documents back; who asks for them, as
    programs written for v1 or vLLM do, gets them as in v1."""
    return {
        "id": answer.identifier,
        "results": answer.results(answer.as_object),
        "meta": _meta(answer, "2"),
    }


def _meta(answer: RerankAnswer, version: str) -> dict[str, object]:
    units = ceil(len(answer.logits) / _UNIT_DOCUMENTS)
    return {"api_version": {"version": version}, "billed_units": {"search_units": units}}
