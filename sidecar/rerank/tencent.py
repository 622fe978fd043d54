"""Tencent Cloud LKEAP RunRerank, version 2024-05-22: requests and answers.

Source: Tencent Cloud's API reference for RunRerank, and its official Python and Go SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sidecar.config.rerank import TencentRunRerank
from sidecar.document_scoring import is_blank
from sidecar.rerank.answer import fixed
from sidecar.rerank.refusals import Cause, Refusal

ACTION = "RunRerank"
VERSION = "2024-05-22"
REGION = "ap-jakarta"
MODEL = "lke-reranker-base"

_MEMBERS = frozenset(("Query", "Docs", "Model"))
_DOCUMENT = re.compile(r"Docs\.(0|[1-9]\d{0,4})")
_MAX_PARAMETERS = 2048

_CODES: Mapping[Cause, str] = {
    "malformed": "InvalidParameter",
    "missing": "MissingParameter",
    "invalid": "InvalidParameterValue",
    "too_many": "InvalidParameterValue",
    "too_large": "RequestSizeLimitExceeded",
    "late": "FailedOperation",
    "unauthorized": "AuthFailure.SignatureFailure",
    "rate": "RequestLimitExceeded",
    "starting": "FailedOperation",
    "overload": "FailedOperation",
    "deadline": "FailedOperation",
    "model": "FailedOperation.EngineServerError",
    "internal": "InternalError",
}


class TencentError(Exception):
    """An error that only this API has; `code` is the API's name for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class RunRerank:
    """Documents to score for a query."""

    query: str
    documents: tuple[str, ...]


def parse_form(text: str) -> dict[str, str]:
    """Parse a query string or a form body; if a name is repeated, its last value counts.

    Raises Refusal `malformed`.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise Refusal("malformed", "the parameters cannot be read") from None
    return dict(pairs)


def gather_documents(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Turn flat parameters into the members of the JSON form: `Docs.0`, `Docs.1` become `Docs`.

    Raises Refusal `malformed` if a number is missing in between.
    """
    members: dict[str, Any] = {}
    documents: dict[int, str] = {}
    for name, value in parameters.items():
        match = _DOCUMENT.fullmatch(name)
        if match:
            documents[int(match[1])] = value
        else:
            members[name] = value
    if documents:
        if max(documents) != len(documents) - 1:
            raise Refusal("malformed", "Docs must be numbered Docs.0, Docs.1 and so on")
        members["Docs"] = [documents[number] for number in range(len(documents))]
    return members


def read_run_rerank(members: Mapping[str, Any], settings: TencentRunRerank) -> RunRerank:
    """Read and check the members. Null means absent; unknown members are ignored unless the
    settings are strict. Raises Refusal or TencentError."""
    unknown = sorted(set(members) - _MEMBERS)
    if unknown and settings.strict:
        raise TencentError("UnknownParameter", f"The parameter {unknown[0]} is not recognized.")
    query, documents, model = (members.get(name) for name in ("Query", "Docs", "Model"))
    for name, value in (("Query", query), ("Docs", documents)):
        if value is None:
            raise Refusal("missing", f"The required parameter {name} is missing.")
    if not isinstance(query, str):
        raise Refusal("malformed", "Query must be a string.")
    if not isinstance(documents, list) or not all(isinstance(text, str) for text in documents):
        raise Refusal("malformed", "Docs must be an array of strings.")
    if model is not None and not isinstance(model, str):
        raise Refusal("malformed", "Model must be a string.")
    if is_blank(query):
        raise Refusal("invalid", "Query must not be blank.")
    if not 1 <= len(documents) <= settings.max_documents:
        raise Refusal(
            "invalid", f"Docs must have 1 to {settings.max_documents} items, not {len(documents)}."
        )
    if model not in (None, MODEL):
        raise Refusal("invalid", f"Model must be {MODEL}.")
    characters = len(query) + sum(map(len, documents))
    if settings.max_characters and characters > settings.max_characters:
        raise Refusal(
            "invalid",
            f"Query and Docs have {characters} characters, at most {settings.max_characters} "
            "are allowed.",
        )
    return RunRerank(query, tuple(documents))


def write_run_rerank(logits: Sequence[float], tokens: int, request_id: str) -> dict[str, object]:
    """The answer: a logit for each document, in the order of the request."""
    return _response(
        request_id,
        {"ScoreList": [fixed(logit) for logit in logits], "Usage": {"TotalTokens": tokens}},
    )


def write_error(error: Refusal | TencentError, request_id: str) -> dict[str, object]:
    """The answer to a request that fails."""
    code = error.code if isinstance(error, TencentError) else _CODES[error.cause]
    return _response(request_id, {"Error": {"Code": code, "Message": error.message}})


def _response(request_id: str, members: Mapping[str, object]) -> dict[str, object]:
    return {"Response": {**members, "RequestId": request_id}}
