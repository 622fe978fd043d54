"""Reads and handles the body of a request within bounds, with errors that AWS clients know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web

from sidecar.api.request_body import BodyError, BodyReader
from sidecar.aws.errors import throttled
from sidecar.aws.json import AwsError, unparseable
from sidecar.event_loop.off_loop import Busy, off_loop

ON_THE_LOOP: Final = 4096
"""Bytes of a request that are parsed and checked within a millisecond."""

_T = TypeVar("_T")


async def read_body(bodies: BodyReader, request: web.Request, most: int) -> bytes:
    """The complete body; raises AwsError if it is broken or has more than `most` bytes."""
    try:
        return await bodies.read(request, most)
    except BodyError as error:
        # Messages of AWS are sentences.
        message = f"{error.message[:1].upper()}{error.message[1:]}."
        match error.cause:
            case "late":
                # SDKs retry a request after an error of this name.
                raise AwsError("RequestTimeoutException", message, 408, 408) from None
            case "crowded":
                raise throttled(message) from None
            case _:
                raise unparseable(message) from None


async def run_off_loop(size: int, work: Callable[[], _T], most: int = ON_THE_LOOP) -> _T:
    """Do the work on `size` bytes: at once for at most `most` bytes, else in a thread.

    Raises AwsError if too much work waits for a thread.
    """
    try:
        return await off_loop(size, work, most)
    except Busy:
        raise throttled("Too many requests are waiting to be read; try again later.") from None
