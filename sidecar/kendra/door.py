"""The door of Amazon Kendra's search API, as the api listener sees it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.api.doors import DoorError, DoorParts, served_section
from sidecar.api.root_service import RootService
from sidecar.kendra.handlers import KendraApi
from sidecar.kendra.indexes.served_index import build_indexes
from sidecar.kendra.upstream_search import UpstreamSearch


class KendraDoor:
    """Query, Retrieve and SubmitFeedback at `/`."""

    def __init__(self, api: KendraApi) -> None:
        self._api = api

    async def start(self) -> None:
        """Compare the configured indexes with the cluster's mappings.

        Raises DoorError with a line for each mistake.
        """
        if problems := await self._api.check_mappings():
            raise DoorError("\n".join(problems))

    def routes(self) -> Sequence[web.RouteDef]:
        """None: this API has only `/`."""
        return ()

    def root_services(self) -> Sequence[RootService]:
        """Requests with the service's target, then those with a target of no other service."""
        return self._api.services

    async def close(self) -> None:
        """Nothing stays open."""


def build_kendra_door(parts: DoorParts) -> KendraDoor | None:
    """The door, or None if it is not served."""
    config = parts.config
    settings = served_section(config, "kendra", config.main.apis.kendra)
    if settings is None:
        return None
    host = urlsplit(config.main.upstream.urls[0]).netloc
    api = KendraApi(
        settings,
        build_indexes(config, settings, parts.folder),
        UpstreamSearch(parts.upstream, host, settings.deadline_ms / 1000),
        parts.models,
        parts.passage_cutter,
        parts.folder,
        parts.metrics,
        parts.bodies,
        others=parts.others,
    )
    return KendraDoor(api)
