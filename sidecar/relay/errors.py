"""What can go wrong in the relay, and the JSON answer an application gets then."""

from __future__ import annotations

import json
from http import HTTPStatus


class MalformedMessage(ValueError):
    """A message that breaks HTTP's rules, or one that the relay does not take.

    `status` is what its sender is answered, when the message is a request.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class UpstreamError(Exception):
    """OpenSearch gave no whole answer; `reason` names the cause in answers and in the metric.

    `status` is what a client is answered that has nothing of OpenSearch's answer yet.
    """

    reason = "upstream_error"
    status = 502


class UpstreamUnavailable(UpstreamError):
    """No node accepts a connection; nothing was sent."""

    reason = "upstream_unavailable"


class UpstreamBroken(UpstreamError):
    """The connection was lost midway, or the answer is not HTTP; the request may have run."""

    reason = "upstream_broken"


class UpstreamTimeout(UpstreamError):
    """The node was silent for too long; the request may have run, or may run still."""

    reason = "upstream_timeout"
    status = 504


class ResponseTooLarge(UpstreamError):
    """The answer has more bytes than the caller of `UpstreamPool.exchange` is ready to hold."""

    reason = "response_too_large"


def error_answer(status: int, error_type: str, reason: str) -> tuple[bytes, bytes]:
    """Head and body of an answer of the relay's own, in the shape of OpenSearch's errors."""
    error = {"error": {"type": error_type, "reason": reason}, "status": status}
    body = json.dumps(error).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "content-type: application/json; charset=UTF-8\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body
