"""Reads the requests of the JSON rerank APIs, except TEI's, which `tei.py` reads.

The answers of Cohere, Jina, Voyage, vLLM and Infinity differ, but their requests hardly do, and
some of them share a path. So one reader understands the members of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from sidecar.api.json_bodies import MOST_VALUES, TooManyValues, parse_json
from sidecar.document_scoring import is_blank
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.token_counts import cut_tokens

_MOST_LEVELS = 64
"""Objects and arrays within each other in a document; the answer repeats them, by recursion."""

_FLAGS: Final = {"true": True, "false": False}
_DIGITS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents to rank for a query.

    `documents` are the texts to score. `originals` are the same documents as the client sent them,
    strings or objects. `top_n` None: all. `raw_scores`: logits instead of numbers from 0 to 1.
    """

    query: str
    documents: tuple[str, ...]
    originals: tuple[str | Mapping[str, Any], ...]
    top_n: int | None = None
    return_documents: bool = False
    raw_scores: bool = False
    model: str | None = None


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object in UTF-8; raises Refusal `malformed`."""
    try:
        data = parse_json(body, MOST_VALUES, _read_number)
    except TooManyValues:
        raise Refusal("malformed", f"the body has more than {MOST_VALUES} values") from None
    except (ValueError, RecursionError):
        raise Refusal("malformed", "the body is not valid JSON in UTF-8") from None
    if not isinstance(data, dict):
        raise Refusal("malformed", "the body must be a JSON object")
    return data


def _read_number(literal: str) -> float:
    # Answers repeat numbers, and JSON has no infinity.
    number = float(literal)
    if not isfinite(number):
        raise ValueError(f"{literal[:20]} is too large for a JSON number")
    return number


def read_request(body: Mapping[str, Any], name: str | None = None) -> RerankRequest:
    """Read a body with documents. Unknown members are ignored; null means absent.

    `name` is the member with the documents. None: `documents`, or `texts` if that is absent,
    because Dify lets its user choose one of the two. Raises Refusal `missing`, `malformed` or
    `invalid`.
    """
    query = read_query(body)
    if name is None:
        name = "texts" if body.get("documents") is None and "texts" in body else "documents"
    originals, texts = read_rank_texts(
        read_documents(body, name, (str, dict)), name, _read_rank_fields(body)
    )
    limit = read_count(body, "max_tokens_per_doc", zero=False)
    if limit is not None:
        texts = [cut_tokens(text, limit) for text in texts]
    counts = [n for n in (read_count(body, "top_n"), read_count(body, "top_k")) if n is not None]
    return RerankRequest(
        query=query,
        documents=tuple(texts),
        originals=originals,
        top_n=min(counts, default=None),
        return_documents=read_flag(body, "return_documents"),
        raw_scores=read_flag(body, "raw_scores"),
        model=read_model(body),
    )


def check_count(count: int, most: int, things: str = "documents") -> None:
    """Raise Refusal `too_many` if a request has more than `most` documents."""
    if count > most:
        raise Refusal("too_many", f"{count} {things}, at most {most} are allowed")


def read_query(body: Mapping[str, Any]) -> str:
    """The member `query`, a text that is not blank; raises Refusal.

    NVIDIA's clients send `{"text": "..."}`, clients of multimodal models `{"content": [...]}`.
    """
    query = body.get("query")
    if query is None:
        raise Refusal("missing", "query is required")
    if isinstance(query, dict):
        query = _read_common_text(query, "query")
    if not isinstance(query, str):
        raise Refusal("malformed", "query must be a string")
    if is_blank(query):
        raise Refusal("invalid", "query must not be blank")
    return query


def read_documents(
    body: Mapping[str, Any], name: str, kinds: type | tuple[type, ...]
) -> tuple[Any, ...]:
    """The documents in the member `name`, a non-empty array of these types; raises Refusal."""
    documents = body.get(name)
    if documents is None:
        raise Refusal("missing", f"{name} is required")
    if not isinstance(documents, list):
        raise Refusal("malformed", f"{name} must be an array")
    if not documents:
        raise Refusal("invalid", f"{name} must not be empty")
    wrong = next((i for i, item in enumerate(documents) if not isinstance(item, kinds)), None)
    if wrong is not None:
        allowed = "a string" if kinds is str else "a string or an object"
        raise Refusal("malformed", f"{name}[{wrong}] must be {allowed}")
    return tuple(documents)


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    """A boolean member, false if absent; raises Refusal.

    RAGFlow's Xinference driver sends booleans as strings.
    """
    value = body.get(name)
    if value is None:
        return False
    if isinstance(value, str):
        value = _FLAGS.get(value.lower())
    if not isinstance(value, bool):
        raise Refusal("malformed", f"{name} must be true or false")
    return value


def read_count(body: Mapping[str, Any], name: str, *, zero: bool = True) -> int | None:
    """A member that counts something, None if absent; raises Refusal.

    With `zero`, 0 means the same as absent: it is vLLM's default, and Dify sends it. Whole numbers
    may be written as `3.0`, as languages without integers do, or as a string of digits.
    """
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal("malformed", f"{name} must be a whole number")
    if value == 0 and zero:
        return None
    if value < 1:
        raise Refusal("invalid", f"{name} must be at least {0 if zero else 1}")
    return value


def read_model(body: Mapping[str, Any]) -> str | None:
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise Refusal("malformed", "model must be a string")
    return model


def _read_rank_fields(body: Mapping[str, Any]) -> Sequence[str] | None:
    fields = body.get("rank_fields")
    if fields is None:
        return None
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise Refusal("malformed", "rank_fields must be an array of strings")
    if not fields:
        raise Refusal("invalid", "rank_fields must not be empty")
    return fields


def read_rank_texts(
    documents: Sequence[str | Mapping[str, Any]], name: str, fields: Sequence[str] | None
) -> tuple[tuple[str | Mapping[str, Any], ...], list[str]]:
    """The documents as answers return them, and the texts to score.

    An object's text is its `fields` in their order, a line each. None: `text`, or what other
    clients write instead; such an object is returned with a `text` too, because clients read that.
    `name` is the member that the documents are from. Raises Refusal.
    """
    originals: list[str | Mapping[str, Any]] = []
    texts = []
    for position, document in enumerate(documents):
        original = document
        if isinstance(document, str):
            text = document
        else:
            place = f"{name}[{position}]"
            if _is_deeper(document, _MOST_LEVELS):
                why = f"{place} has more than {_MOST_LEVELS} levels of objects and arrays"
                raise Refusal("malformed", why)
            if fields is not None:
                text = _join_fields(document, place, fields)
            elif document.get("text") is not None:
                text = _join_fields(document, place, ("text",))
            else:
                text = _read_common_text(document, place)
                original = {**document, "text": text}
        originals.append(original)
        texts.append(text)
    return tuple(originals), texts


def _join_fields(document: Mapping[str, Any], place: str, fields: Sequence[str]) -> str:
    values = [document[field] for field in fields if document.get(field) is not None]
    if any(isinstance(value, (dict, list)) for value in values):
        raise Refusal("malformed", f"{place} must have plain values in {' and '.join(fields)}")
    if not values:
        raise Refusal("invalid", f"{place} has no {' or '.join(fields)} to rank by")
    return "\n".join(map(str, values))


def _read_common_text(document: Mapping[str, Any], place: str) -> str:
    """The text of an object: `text`, LangChain's `page_content`, or `content`.

    Dify sends `content` as vLLM's multimodal requests have it, as a list of parts of the form
    `{"type": "text", "text": "..."}`.
    """
    names = ("text", "page_content", "content")
    name = next((name for name in names if document.get(name) is not None), "text")
    content = document.get(name)
    if content is None:
        raise Refusal("invalid", f"{place} has no text to rank by")
    if name != "content" or not isinstance(content, list):
        return _join_fields(document, place, (name,))
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    if not texts or len(texts) < len(parts):
        raise Refusal("invalid", f"{place} must have only parts with text in content")
    return "\n".join(texts)


def _is_deeper(value: object, most: int) -> bool:
    """Whether objects and arrays are nested more than `most` deep."""
    level = [value]
    for _ in range(most):
        level = [item for container in level for item in _containers(container)]
        if not level:
            return False
    return True


def _containers(value: object) -> list[object]:
    """The objects and arrays directly in an object or array."""
    if isinstance(value, dict):
        items: Iterable[object] = value.values()
    else:
        items = value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, (dict, list))]
