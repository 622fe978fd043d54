"""Why a request is refused: one word for each cause, which every API then says in its own form."""

from __future__ import annotations

from typing import Literal

from pipelines.errors import DeadlinePassed, ModelFailed, Overloaded, RescoreError
from sidecar.document_scoring import NotReady

Cause = Literal[
    "malformed",  # not JSON, a member of the wrong type
    "missing",  # a member that must be there
    "invalid",  # a value that the API does not allow
    "too_many",  # more documents or tokens than the limits
    "too_large",  # more bytes than the limit
    "unauthorized",
    "rate",
    "starting",
    "overload",
    "deadline",
    "model",
    "internal",
]

_AGAIN_SECONDS = 2
"""When to try again after a refusal that time heals: the length of a few searches."""


class Refusal(Exception):
    """A request that gets an error. `again_s`: when it may be tried again, in whole seconds."""

    def __init__(self, cause: Cause, message: str, again_s: int | None = None) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.message = message
        self.again_s = again_s


def refusal_of(error: RescoreError) -> Refusal:
    """The one place where the causes of the ranking core become those of the rerank APIs."""
    match error:
        case NotReady():
            return Refusal("starting", str(error), _AGAIN_SECONDS)
        case Overloaded():
            message = "too many requests are waiting for the model; try again later"
            return Refusal("overload", message, _AGAIN_SECONDS)
        case DeadlinePassed():
            message = "not all documents could be scored in time; send fewer, or try again"
            return Refusal("deadline", message, _AGAIN_SECONDS)
        case ModelFailed():
            return Refusal("model", str(error))
        case _:
            return Refusal("model", f"the documents could not be scored: {error}")
