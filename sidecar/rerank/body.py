"""Reads a request's body, and handles large ones in a thread, with the refusals of these APIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from aiohttp import web

from sidecar.api.request_body import BodyCause, BodyError, BodyReader
from sidecar.event_loop.off_loop import ON_THE_LOOP, Busy, off_loop
from sidecar.rerank.refusals import RETRY_SECONDS, Cause, Refusal

_CAUSES: Final[Mapping[BodyCause, Cause]] = {
    "too_large": "too_large",
    "broken": "malformed",
    "coding": "malformed",
    "late": "late",
    "crowded": "overload",
}

_T = TypeVar("_T")


async def receive_body(bodies: BodyReader, request: web.Request, limit: int) -> bytes:
    """The complete, decoded body of at most `limit` bytes; raises Refusal."""
    try:
        return await bodies.read(request, limit)
    except BodyError as error:
        retry_after_s = RETRY_SECONDS if error.cause == "crowded" else None
        raise Refusal(_CAUSES[error.cause], error.message, retry_after_s) from None


async def run_off_loop(size: int, work: Callable[[], _T], most: int = ON_THE_LOOP) -> _T:
    """Run `work` on `size` bytes: at once for at most `most` bytes, else in a thread.

    Raises Refusal `overload` if too much work waits for a thread.
    """
    try:
        return await off_loop(size, work, most)
    except Busy:
        message = "too many requests are waiting to be read; try again later"
        raise Refusal("overload", message, RETRY_SECONDS) from None
