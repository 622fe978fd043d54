"""What can go wrong in the relay, and the JSON answer that the client then gets."""

from __future__ import annotations

import json
from http import HTTPStatus


class MalformedMessage(ValueError):
    """A message that breaks HTTP's rules, or that the relay does not accept.

    If the message is a request, `status` is the status of the answer to its sender.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class UpstreamError(Exception):
    """OpenSearch did not give a whole answer; `reason` names the cause in answers and metrics.

    `status` is the status of the relay's own answer to a client that has not yet received any part
    of OpenSearch's answer.
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
    """The node was silent for too long; the request may have run, or may still run."""

    reason = "upstream_timeout"
    status = 504


class OutOfDescriptors(UpstreamError):
    """This process may open no more files, and so no connection; nothing was sent."""

    reason = "out_of_descriptors"
    status = 503


class ResponseTooLarge(UpstreamError):
    """The answer has more bytes than the caller of `UpstreamPool.exchange` allows."""

    reason = "response_too_large"


def error_answer(
    status: int, error_type: str, reason: str, *, close: bool = False
) -> tuple[bytes, bytes]:
    """Head and body of the relay's own answer, in the shape of OpenSearch's errors.

    `close`: the connection closes after this answer.
    """
    error = {"error": {"type": error_type, "reason": reason}, "status": status}
    body = json.dumps(error).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "content-type: application/json; charset=UTF-8\r\n"
        f"content-length: {len(body)}\r\n"
    )
    head += "Connection: close\r\n\r\n" if close else "\r\n"
    return head.encode(), body
