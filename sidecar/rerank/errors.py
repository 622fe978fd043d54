"""HTTP statuses and bodies of errors, for all of these APIs but TEI's and Tencent's."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.rerank.refusals import Cause

ErrorAnswer = tuple[int, dict[str, object]]
"""HTTP status and body."""

_STATUSES: Mapping[Cause, int] = {
    "malformed": 400,
    "missing": 400,
    "invalid": 400,
    "too_many": 400,
    "too_large": 413,
    "late": 408,
    "unauthorized": 401,
    "rate": 429,
    "starting": 503,
    "overload": 503,
    "deadline": 504,
    "model": 500,
    "internal": 500,
}


def write_error(cause: Cause, message: str) -> ErrorAnswer:
    """An error of Cohere, Jina, Voyage, vLLM, NVIDIA and OpenAI."""
    return _error(_STATUSES[cause], cause, message)


def write_infinity_error(cause: Cause, message: str) -> ErrorAnswer:
    """An error of Infinity, which says 422 where the others say 400."""
    status = _STATUSES[cause]
    return _error(422 if status == 400 else status, cause, message)


def _error(status: int, cause: Cause, message: str) -> ErrorAnswer:
    """An error with the message where each client looks for it: Cohere's in `message`, Jina's,
    Voyage's and NVIDIA's in `detail`, Infinity's, vLLM's and OpenAI's in `error`."""
    error = {"message": message, "type": cause, "param": None, "code": status}
    return status, {"message": message, "detail": message, "error": error}
