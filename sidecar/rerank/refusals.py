"""Why a request is refused: one word for each cause. Each API writes it in its own form."""

from __future__ import annotations

from typing import Literal

from pipelines.errors import DeadlinePassed, ModelFailed, Overloaded, RescoreError
from sidecar.document_scoring import NotReady
from sidecar.scoring_line import LineFull

Cause = Literal[
    "malformed",  # not JSON, or a member of the wrong type
    "missing",  # a required member is absent
    "invalid",  # a value that the API does not allow
    "too_many",  # more documents or tokens than allowed
    "too_large",  # more bytes than allowed
    "late",  # the body did not arrive in time
    "unauthorized",
    "rate",
    "starting",
    "overload",
    "deadline",
    "model",
    "internal",
]

RETRY_SECONDS = 2
"""When to try again after a temporary refusal: about as long as a few searches take."""


class Refusal(Exception):
    """A request that gets an error. `retry_after_s`: whole seconds until the client may retry."""

    def __init__(self, cause: Cause, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.message = message
        self.retry_after_s = retry_after_s


def refusal_of(error: RescoreError) -> Refusal:
    """The refusal for an error of the ranking core; no other place translates them."""
    match error:
        case NotReady():
            return Refusal("starting", str(error), RETRY_SECONDS)
        case LineFull():
            seconds = error.retry_after_s
            message = f"too many requests are waiting for the model; try again in {seconds} seconds"
            return Refusal("overload", message, seconds)
        case Overloaded():
            message = "too many requests are waiting for the model; try again later"
            return Refusal("overload", message, RETRY_SECONDS)
        case DeadlinePassed():
            message = "not all documents could be scored in time; send fewer, or try again"
            return Refusal("deadline", message, RETRY_SECONDS)
        case ModelFailed():
            return Refusal("model", str(error))
        case _:
            return Refusal("model", f"the documents could not be scored: {error}")
