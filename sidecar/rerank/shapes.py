"""Which API's form an answer or an error takes, by the path and what was sent to it.

`/v1/rerank` is Cohere's, Jina's and Voyage's: its answer has the members of all three, which do
not contradict one another. On `/rerank`, `texts` mean TEI and `documents` mean Infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sidecar.rerank.answer import RerankAnswer
from sidecar.rerank.cohere import write_cohere_v1, write_cohere_v2
from sidecar.rerank.infinity import write_infinity
from sidecar.rerank.jina import write_jina
from sidecar.rerank.refusals import Cause
from sidecar.rerank.tei import write_tei, write_tei_error
from sidecar.rerank.voyage import write_voyage

ErrorAnswer = tuple[int, dict[str, object]]
"""Status and body."""

_STATUSES: Mapping[Cause, int] = {
    "malformed": 400,
    "missing": 400,
    "invalid": 400,
    "too_many": 400,
    "too_large": 413,
    "unauthorized": 401,
    "rate": 429,
    "starting": 503,
    "overload": 503,
    "deadline": 504,
    "model": 500,
    "internal": 500,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How one API is answered. `api` is its name in metrics."""

    api: str
    write: Callable[[RerankAnswer], object]
    write_error: Callable[[Cause, str], ErrorAnswer]


def _write_v1(answer: RerankAnswer) -> dict[str, object]:
    return {**write_voyage(answer), **write_jina(answer), **write_cohere_v1(answer)}


def _write_error(cause: Cause, message: str) -> ErrorAnswer:
    return _error(_STATUSES[cause], cause, message)


def _write_infinity_error(cause: Cause, message: str) -> ErrorAnswer:
    status = _STATUSES[cause]
    return _error(422 if status == 400 else status, cause, message)


def _write_undecided_error(cause: Cause, message: str) -> ErrorAnswer:
    status, body = write_tei_error(cause, message)
    return status, {**body, "message": message, "detail": message}


def _error(status: int, cause: Cause, message: str) -> ErrorAnswer:
    """An error where each client looks for it: Cohere's in `message`, Jina's and Voyage's in
    `detail`, Infinity's and vLLM's in `error`."""
    error = {"message": message, "type": cause, "param": None, "code": status}
    return status, {"message": message, "detail": message, "error": error}


V1 = Shape("v1", _write_v1, _write_error)
V2 = Shape("v2", write_cohere_v2, _write_error)
TEI = Shape("tei", write_tei, write_tei_error)
INFINITY = Shape("infinity", write_infinity, _write_infinity_error)

UNDECIDED = Shape("rerank", write_infinity, _write_undecided_error)
"""`/rerank` before its body is read: errors only."""
