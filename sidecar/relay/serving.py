"""What a request is served with. A request takes it when it begins, and keeps it until it ends.

When the configuration is replaced, the listener gets another `Serving`. Requests that have begun
keep theirs, so none is served by parts of two configurations.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from sidecar.relay.client_limits import ClientLimits
from sidecar.relay.counts import Counts
from sidecar.relay.front import Forward, Front, Request, Take
from sidecar.relay.heads import RequestHead
from sidecar.relay.upstream_pool import UpstreamPool

_log: Final = logging.getLogger("sidecar.relay")

_DEFAULT_LIMITS: Final = ClientLimits()


class RequestCount:
    """How many requests use something that may be closed after them. Belongs to one event loop."""

    __slots__ = ("_count", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return not self._count

    def enter(self) -> None:
        """A request begins."""
        self._count += 1

    def leave(self) -> None:
        """A request that has begun ends."""
        self._count -= 1
        if not self._count and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait_until_none(self) -> None:
        """Wait until no request is left. Only one task may wait, and no request may begin then."""
        if self._count:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """The front, the pool and the settings of the proxy listener.

    `forwarded_for`: whether the relay sends the clients' addresses to the nodes. `only_replaced`:
    the relay forwards nothing but what the front puts in a request's place; if the front fails, the
    client gets an error. `requests` counts the requests that have begun with it and have not ended.
    """

    front: Front
    pool: UpstreamPool
    limits: ClientLimits = _DEFAULT_LIMITS
    forwarded_for: bool = False
    only_replaced: bool = False
    requests: RequestCount = field(default_factory=RequestCount)

    def find_take(self, head: RequestHead, counts: Counts) -> Take | None:
        """What the front does with a request; None to forward it. A failing front forwards it."""
        try:
            take = self.front.takes(head)
        except Exception:
            _log.exception("the front failed; the request is forwarded unchanged")
            counts.failed("front")
            take = None
        return _take_nothing if take is None and self.only_replaced else take


async def _take_nothing(request: Request) -> Forward:
    return Forward()
