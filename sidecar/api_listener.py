"""The api listener: health and metrics, and the services that the configuration allows.

A service that the main file does not mention is served with its defaults where that is safe and
possible, and else it is not there. One that it does mention is served, or the start is refused.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from aiohttp import web

from sidecar import config_kendra, config_kendra_ranking, config_rerank
from sidecar.config import Address, Config
from sidecar.document_scoring import DocumentScoring
from sidecar.kendra.handlers import build_kendra
from sidecar.kendra_ranking.database import Database
from sidecar.kendra_ranking.handlers import build_kendra_ranking
from sidecar.metrics import Metrics
from sidecar.relay.front import Exchanger
from sidecar.rerank.door import add_rerank_routes, build_rerank_door, rerank_root_services
from sidecar.root_service import RootService, add_root_route
from sidecar.split_documents import SplitDocuments
from sidecar.web.health import Readiness, add_health_routes

_LINE_LIMIT = 32 << 10

_log = logging.getLogger(__name__)


class BadKendraIndexes(Exception):
    """The configured Kendra indexes do not fit the cluster's; one line for each mistake."""


class ApiListener:
    """One aiohttp application on one address. Belongs to one event loop."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        readiness: Readiness,
        scoring: DocumentScoring,
        upstream: Exchanger,
        documents: SplitDocuments,
        metrics: Metrics,
    ) -> None:
        """`folder`: where relative paths of the configuration start."""
        self._config = config
        self._folder = folder
        self._readiness = readiness
        self._scoring = scoring
        self._upstream = upstream
        self._documents = documents
        self._metrics = metrics
        self._database: Database | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, address: Address, tls: ssl.SSLContext | None) -> Address:
        """Listen; returns the address with the port that the system chose for 0.

        Raises OSError when it cannot be listened on, BadStore or UsageFileError when a service
        cannot keep what it is asked to keep, and BadKendraIndexes.
        """
        # Each service reads bodies up to a limit of its own.
        app = web.Application(client_max_size=0)
        add_health_routes(app, self._readiness, self._metrics)
        # Tencent's old signatures know no header of their own, so theirs comes last.
        services = [
            *await self._open_kendra(),
            *await self._open_kendra_ranking(),
            *self._add_rerank(app),
        ]
        add_root_route(app, services)
        # RunRerank's GET form carries its documents in the request line.
        self._runner = web.AppRunner(app, access_log=None, max_line_size=_LINE_LIMIT)
        await self._runner.setup()
        await web.TCPSite(self._runner, *address, ssl_context=tls).start()
        return Address(address.host, self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Let requests in flight finish, and close what the services keep."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._database is not None:
            await asyncio.to_thread(self._database.close)

    def _add_rerank(self, app: web.Application) -> list[RootService]:
        settings, plans = self._config.main.apis.rerank, self._config.plans
        if settings is None or not plans:
            return []
        if self._must_stay_hidden("rerank", config_rerank.needs_loopback(settings)):
            return []
        bi_encoders = frozenset(
            name for name, model in self._config.main.models.items() if model.kind == "bi-encoder"
        )
        door = build_rerank_door(
            settings, plans, bi_encoders, self._scoring, self._metrics, self._folder
        )
        add_rerank_routes(app, door)
        return rerank_root_services(door)

    async def _open_kendra(self) -> list[RootService]:
        settings = self._config.main.apis.kendra
        if settings is None:
            return []
        if self._must_stay_hidden("kendra", config_kendra.needs_loopback(settings)):
            return []
        door = build_kendra(
            self._config,
            settings,
            self._upstream,
            self._scoring.models,
            self._documents,
            self._folder,
            self._metrics,
        )
        if problems := await door.check_mappings():
            raise BadKendraIndexes("\n".join(problems))
        return [door.service]

    async def _open_kendra_ranking(self) -> list[RootService]:
        settings, plans = self._config.main.apis.kendra_ranking, self._config.plans
        if settings is None or not plans:
            return []
        # The shipped plan's name is only a default, so its absence is no mistake.
        plan = plans.get(settings.plan) or plans.get("fused") or plans[min(plans)]
        if self._must_stay_hidden("kendra_ranking", config_kendra_ranking.needs_loopback(settings)):
            return []
        door, self._database = build_kendra_ranking(
            settings, plan, self._scoring, self._folder, self._metrics
        )
        if self._config.main.apis.asks_for("kendra_ranking"):
            await asyncio.to_thread(self._database.open)
        await door.start()
        return [door.service]

    def _must_stay_hidden(self, name: str, open_to_all: bool) -> bool:
        """Whether a service without credentials would be seen beyond this machine."""
        if not open_to_all or self._config.main.api.is_loopback:
            return False
        _log.info("apis.%s is not served: api is not on loopback, and it has no keys", name)
        return True
