"""Why a request of the page is refused: a cause for the page's code, a sentence for the user."""

from __future__ import annotations

from typing import Literal

Cause = Literal[
    "key",  # the page's own key is missing or wrong
    "account",  # OpenSearch refuses the user's account
    "forbidden",  # the request does not come from the page
    "request",  # the request is not what the page sends
    "opensearch",  # OpenSearch answered with an error, or not at all
    "busy",
    "internal",
]

_STATUS: dict[Cause, int] = {
    "key": 401,
    "account": 403,
    "forbidden": 403,
    "request": 400,
    "opensearch": 502,
    "busy": 503,
    "internal": 500,
}


class PageRefusal(Exception):
    """A refused request; the message is for the user."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return _STATUS[self.cause]
