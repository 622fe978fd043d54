"""Reads a request's body up to a limit, and works on big ones in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from sidecar.rerank.refusals import Refusal

_ON_THE_LOOP = 16 << 10
"""Bytes that are read or written as JSON in less than a millisecond; more goes to a thread."""

T = TypeVar("T")


async def receive_body(request: web.Request, limit: int) -> bytes:
    """The whole body, decompressed; raises Refusal `too_large` as soon as that is known."""
    refusal = Refusal("too_large", f"the body has more than {limit} bytes")
    if (request.content_length or 0) > limit:
        raise refusal
    parts = []
    size = 0
    try:
        async for part in request.content.iter_any():
            size += len(part)
            if size > limit:
                raise refusal
            parts.append(part)
    except web.RequestPayloadError as error:
        raise Refusal("malformed", f"the body cannot be read: {error}") from None
    return b"".join(parts)


async def beside_the_loop(size: int, work: Callable[[], T]) -> T:
    """Run `work` at once if `size` bytes are quickly done with, else in a thread."""
    return work() if size <= _ON_THE_LOOP else await asyncio.to_thread(work)
