"""Wires everything and opens and closes it in order; the one file that knows all parts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from pipelines.scoring import Scorer
from sidecar.config import Address, Config
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.opensearch.front import SearchFront
from sidecar.relay.counts import Counts
from sidecar.relay.listener import Listener
from sidecar.relay.upstream_pool import UpstreamPool
from sidecar.relay.upstream_tls import build_ssl_context
from sidecar.web.health import Readiness, add_health_routes


class StartError(Exception):
    """The sidecar cannot start; the message says what to change."""


class Application:
    """Both listeners and what stands behind them. Belongs to one event loop.

    `folder`: where relative paths of the configuration start. `models`: loaded ones to use
    instead of loading the configuration's.
    """

    def __init__(self, config: Config, folder: Path, models: Models | None = None) -> None:
        self.metrics = Metrics()
        self._config = config
        self._folder = folder
        self._models = models
        upstream = config.main.upstream
        https = any(url.startswith("https:") for url in upstream.urls)
        ca = str(folder / upstream.tls.ca) if upstream.tls.ca else None
        try:
            self._tls = build_ssl_context(ca, upstream.tls.verify) if https else None
        except ValueError as error:
            raise StartError(str(error)) from None
        self.proxy_address = config.main.listen
        self.api_address = config.main.api

    async def start(self) -> None:
        """Open both listeners; searches pass unrescored until `load_models` is done.

        Raises StartError when an address cannot be listened on.
        """
        main = self._config.main
        counts = Counts(self.metrics)
        self._pool = UpstreamPool(
            main.upstream.urls,
            counts,
            ssl_context=self._tls,
            connect_timeout_s=main.upstream.connect_timeout_ms / 1000,
        )
        front = SearchFront(self._config, self._pool, self._scorer, self.metrics)
        self._listener = Listener(front, self._pool, counts)
        api = web.Application()
        add_health_routes(
            api, Readiness(main.upstream, self._tls, self._model_states), self.metrics
        )
        self._api = web.AppRunner(api, access_log=None)
        await self._api.setup()
        try:
            port = await self._listener.start(*main.listen)
        except OSError as error:
            raise StartError(_cannot_listen("listen", main.listen, error)) from None
        self.proxy_address = Address(main.listen.host, port)
        try:
            site = web.TCPSite(self._api, *main.api)
            await site.start()
        except OSError as error:
            raise StartError(_cannot_listen("api", main.api, error)) from None
        self.api_address = Address(main.api.host, self._api.addresses[0][1])

    async def load_models(self) -> None:
        """Load and warm the models in a thread; from then on searches are rescored.

        Raises ModelLoadError when one cannot be used.
        """
        if self._models is None:
            main = self._config.main
            self._models = await asyncio.to_thread(
                load_models,
                main.models,
                self._folder,
                self.metrics,
                cache=self._folder / main.cache if main.cache else None,
                passage_store_mb=main.passage_store_mb,
            )

    async def stop(self, grace_s: float) -> None:
        """Let requests in flight finish for `grace_s` seconds, then close everything."""
        await self._listener.stop(grace_s)
        self._pool.close()
        await self._api.cleanup()
        if self._models is not None:
            await asyncio.to_thread(self._models.close)

    def _scorer(self) -> Callable[[float], Scorer] | None:
        return self._models.scorer if self._models else None

    def _model_states(self) -> dict[str, str]:
        state = "ready" if self._models else "loading"
        return dict.fromkeys(self._config.main.models, state)


def _cannot_listen(key: str, address: Address, error: OSError) -> str:
    # asyncio wraps the system's words into its own, which repeat the address.
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot listen on {address}: {reason}; change {key} in the configuration"
