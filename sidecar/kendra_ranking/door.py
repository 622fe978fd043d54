"""The door of Amazon Kendra Intelligent Ranking, as the api listener sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from sidecar.api.doors import DoorError, DoorParts, choose_plan, served_section
from sidecar.api.root_service import RootService
from sidecar.kendra_ranking.database import BadStore, Database
from sidecar.kendra_ranking.handlers import KendraRankingApi


class KendraRankingDoor:
    """Rescore and the rescore execution plans, in three wire formats."""

    def __init__(self, api: KendraRankingApi, database: Database, *, opens_database: bool) -> None:
        """`opens_database`: at the start, rather than with the first request."""
        self._api = api
        self._database = database
        self._opens_database = opens_database

    async def start(self) -> None:
        """Open the database if the main file asks for the door; raises DoorError."""
        try:
            if self._opens_database:
                await asyncio.to_thread(self._database.open)
            await self._api.start()
        except BadStore as error:
            raise DoorError(f"apis.kendra_ranking.store_file: {error}") from None

    def routes(self) -> Sequence[web.RouteDef]:
        """None: clients may put a base path before this API's own paths."""
        return ()

    def root_services(self) -> Sequence[RootService]:
        """Requests in any of the three wire formats."""
        return (self._api.service,)

    async def close(self) -> None:
        """Close the database."""
        await asyncio.to_thread(self._database.close)


def build_kendra_ranking_door(parts: DoorParts) -> KendraRankingDoor | None:
    """The door, or None if it is not served."""
    apis, plans = parts.config.main.apis, parts.config.plans
    settings = served_section(parts.config, "kendra_ranking", apis.kendra_ranking)
    if settings is None:
        return None
    # The default of `plan` names a shipped plan, which need not exist.
    plan = plans[choose_plan(plans, settings.plan if settings.plan in plans else None)]
    database = Database(parts.folder / settings.store_file)
    api = KendraRankingApi(settings, plan, parts.scoring, database, parts.metrics, parts.bodies)
    return KendraRankingDoor(api, database, opens_database=apis.asks_for("kendra_ranking"))
