"""The door of the page at `/ui`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from aiohttp import web

from pipelines.scoring import Scorers
from sidecar.api.doors import DoorParts
from sidecar.api.root_service import RootService
from sidecar.page.collection import PageCollection
from sidecar.page.gate import PageGate
from sidecar.page.handlers import PageHandlers
from sidecar.page.live_samples import LiveSamples
from sidecar.page.page_search import create_searches
from sidecar.page.static_files import read_static_files

_log = logging.getLogger(__name__)


class PageDoor:
    """The page's files and calls."""

    def __init__(self, handlers: PageHandlers, live: LiveSamples) -> None:
        self._handlers = handlers
        self._live = live
        self._has_started = False

    async def start(self) -> None:
        """Read the page's files, and begin to sample the metrics."""
        self._handlers.files = await asyncio.to_thread(read_static_files)
        self._live.start()
        self._has_started = True

    def routes(self) -> Sequence[web.RouteDef]:
        """`/ui` and everything below it."""
        return self._handlers.routes()

    def root_services(self) -> Sequence[RootService]:
        """None."""
        return ()

    async def close(self) -> None:
        """Sample no more."""
        if self._has_started:
            self._has_started = False
            await self._live.stop()


def build_page_door(
    parts: DoorParts,
    models: Callable[[], Scorers | None],
    collection: PageCollection | None,
) -> PageDoor | None:
    """The door, or None if the page is not served.

    It is not served without plans, or without keys on an address that other machines reach.
    """
    main = parts.config.main
    if not main.ui.enabled or not parts.config.plans:
        return None
    if main.ui.needs_loopback and not main.api_listen.is_loopback:
        _log.info("ui is not served: api_listen is not on loopback, and it has no keys")
        return None
    if main.upstream.resign is not None and not main.ui.keys:
        # Every search is signed with the sidecar's own credentials, whoever opens the page.
        _log.info("ui is not served: upstream.resign is set, and ui has no keys")
        return None
    searches = create_searches(
        parts.config, parts.upstream, models, parts.passage_cutter, parts.metrics
    )
    live = parts.kept.get(LiveSamples, None, lambda: LiveSamples(parts.metrics.registry))
    handlers = PageHandlers(
        PageGate(main.ui.keys),
        parts.bodies,
        searches,
        live,
        parts.config,
        parts.folder,
        collection,
    )
    return PageDoor(handlers, live)
