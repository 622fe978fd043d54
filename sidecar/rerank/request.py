"""Reads the body that the JSON rerank APIs share; each member's name says whose it is.

Cohere, Jina, Voyage and Infinity differ in what they answer, hardly in what they are sent, and
some share a path: so one reader understands the members of all. TEI's is in `tei.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sidecar.rerank.refusals import Refusal
from sidecar.rerank.token_counts import cut_tokens


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """What a caller wants ranked.

    `documents` is what is scored, one text each; `given` what was sent for it, a string or an
    object. `top_n` None: all. `raw_scores`: logits instead of numbers from 0 to 1.
    """

    query: str
    documents: tuple[str, ...]
    given: tuple[str | Mapping[str, Any], ...]
    top_n: int | None = None
    return_documents: bool = False
    raw_scores: bool = False
    model: str | None = None


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object in UTF-8; raises Refusal `malformed`."""
    try:
        text = body.decode("utf-8-sig")
        data = json.loads(text, parse_constant=_refuse_number, parse_float=_read_number)
    except (ValueError, RecursionError):
        raise Refusal("malformed", "the body is not valid JSON in UTF-8") from None
    if not isinstance(data, dict):
        raise Refusal("malformed", "the body must be a JSON object")
    return data


def _refuse_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _read_number(literal: str) -> float:
    # A number that is sent back must still be JSON.
    number = float(literal)
    return number if isfinite(number) else _refuse_number(literal)


def read_request(body: Mapping[str, Any]) -> RerankRequest:
    """Read a body with `documents`; unknown members are ignored, a null one counts as absent.

    Raises Refusal `missing`, `malformed` or `invalid`.
    """
    query = read_query(body)
    given = read_documents(body, "documents", (str, dict))
    texts = _read_texts(given, _read_rank_fields(body))
    limit = _read_count(body, "max_tokens_per_doc")
    if limit is not None:
        texts = [cut_tokens(text, limit) for text in texts]
    counts = [n for n in (_read_count(body, "top_n"), _read_count(body, "top_k")) if n is not None]
    return RerankRequest(
        query=query,
        documents=tuple(texts),
        given=given,
        top_n=min(counts, default=None),
        return_documents=read_flag(body, "return_documents"),
        raw_scores=read_flag(body, "raw_scores"),
        model=_read_model(body),
    )


def read_query(body: Mapping[str, Any]) -> str:
    """The member `query`: a string that is not blank."""
    query = body.get("query")
    if query is None:
        raise Refusal("missing", "query is required")
    if not isinstance(query, str):
        raise Refusal("malformed", "query must be a string")
    if not query.strip():
        raise Refusal("invalid", "query must not be blank")
    return query


def read_documents(
    body: Mapping[str, Any], name: str, kinds: type | tuple[type, ...]
) -> tuple[Any, ...]:
    """The array of documents under `name`, not empty, each of one of these types."""
    given = body.get(name)
    if given is None:
        raise Refusal("missing", f"{name} is required")
    if not isinstance(given, list):
        raise Refusal("malformed", f"{name} must be an array")
    if not given:
        raise Refusal("invalid", f"{name} must not be empty")
    wrong = next((i for i, document in enumerate(given) if not isinstance(document, kinds)), None)
    if wrong is not None:
        allowed = "a string" if kinds is str else "a string or an object"
        raise Refusal("malformed", f"{name}[{wrong}] must be {allowed}")
    return tuple(given)


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    """A boolean member, false when absent."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Refusal("malformed", f"{name} must be true or false")
    return value


def _read_count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal("malformed", f"{name} must be a whole number")
    if value < 1:
        raise Refusal("invalid", f"{name} must be at least 1")
    return value


def _read_model(body: Mapping[str, Any]) -> str | None:
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise Refusal("malformed", "model must be a string")
    return model


def _read_rank_fields(body: Mapping[str, Any]) -> Sequence[str]:
    fields = body.get("rank_fields")
    if fields is None:
        return ("text",)
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise Refusal("malformed", "rank_fields must be an array of strings")
    if not fields:
        raise Refusal("invalid", "rank_fields must not be empty")
    return fields


def _read_texts(given: Sequence[str | Mapping[str, Any]], fields: Sequence[str]) -> list[str]:
    """The texts to score: an object gives its rank fields in their order, a line each."""
    texts = []
    for position, document in enumerate(given):
        if isinstance(document, str):
            texts.append(document)
            continue
        if any(isinstance(value, (dict, list)) for value in document.values()):
            raise Refusal("malformed", f"documents[{position}] must be a flat object")
        values = [document[field] for field in fields if document.get(field) is not None]
        if not values:
            names = " or ".join(fields)
            raise Refusal("invalid", f"documents[{position}] has no {names} to rank by")
        texts.append("\n".join(map(str, values)))
    return texts
