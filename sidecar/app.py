"""Wires everything and opens and closes it in order; the one file that knows all parts."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from sidecar.api_listener import ApiListener, BadKendraIndexes
from sidecar.config import Address, Config
from sidecar.document_scoring import DocumentScoring
from sidecar.kendra_ranking.database import BadStore
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.opensearch.answer_rescoring import OnRescored
from sidecar.opensearch.front import SearchFront
from sidecar.opensearch.node_addresses import NodeAddressFront
from sidecar.opensearch.plugin_settings_file import BadSettingsFile, PluginSettingsFile
from sidecar.opensearch.plugin_settings_front import PluginSettingsFront
from sidecar.opensearch.window_cache import WindowCache
from sidecar.relay.counts import Counts
from sidecar.relay.front import Front
from sidecar.relay.listener import Listener
from sidecar.relay.tls import BadTlsFile, build_listener_context, build_upstream_context
from sidecar.relay.upstream_connection import TimeLimits
from sidecar.relay.upstream_pool import UpstreamPool
from sidecar.rerank.usage import UsageFileError
from sidecar.split_documents import SplitDocuments
from sidecar.web.health import Readiness

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The sidecar cannot start; the message says what to change."""


class CannotListen(StartError):
    """An address is taken or not this machine's; `key` is the configuration's for it."""

    def __init__(self, key: str, address: Address, error: OSError) -> None:
        # asyncio wraps the system's words into its own, which repeat the address.
        reason = os.strerror(error.errno) if error.errno else str(error)
        self.key = key
        self.place = f"cannot listen on {address}: {reason}"
        super().__init__(f"{self.place}; change {key} in the configuration")


class Application:
    """Both listeners and what stands behind them. Belongs to one event loop.

    `folder`: where relative paths of the configuration start. `models`: loaded ones to use
    instead of loading the configuration's. `on_rescored`: is told of every rescoring.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        models: Models | None = None,
        on_rescored: OnRescored | None = None,
    ) -> None:
        self.metrics = Metrics()
        self._config = config
        self._folder = folder
        self._models = models
        self._on_rescored = on_rescored
        self._stopping = threading.Event()
        main = config.main
        try:
            self._upstream_tls = build_upstream_context(main.upstream, folder)
            self._listen_tls = build_listener_context(main.listen_tls, folder)
            self._api_tls = build_listener_context(main.api_tls, folder)
            kept = main.kendra_plugin_settings
            self._plugin_settings = PluginSettingsFile(folder / kept) if kept else None
        except (BadTlsFile, BadSettingsFile) as error:
            raise StartError(str(error)) from None
        self._plugin_settings_front: PluginSettingsFront | None = None
        self.proxy_address = main.listen
        self.api_address = main.api

    async def start(self) -> None:
        """Open both listeners; searches pass unrescored until `load_models` is done.

        Raises StartError when an address cannot be listened on.
        """
        main = self._config.main
        counts = Counts(self.metrics)
        self._documents = SplitDocuments(main.split_documents_mb << 20)
        self._pool = UpstreamPool(
            main.upstream.urls,
            counts,
            ssl_context=self._upstream_tls,
            limits=TimeLimits(
                connect=main.upstream.connect_timeout_ms / 1000,
                read=main.upstream.read_timeout_ms / 1000 or None,
                idle=main.upstream.idle_timeout_ms / 1000 or None,
            ),
        )
        windows = None
        if main.window_cache_s:
            windows = WindowCache(main.window_cache_s, main.window_cache_mb << 20, self.metrics)
        front: Front = SearchFront(
            self._config,
            self._pool,
            lambda: self._models,
            self._documents,
            self.metrics,
            self._plugin_settings,
            self._on_rescored,
            windows,
        )
        if self._plugin_settings is not None:
            front = self._plugin_settings_front = PluginSettingsFront(
                front, self._pool, self._plugin_settings
            )
        self._listener = Listener(
            NodeAddressFront(front, self._pool, self.metrics, main.rewrite_publish_address),
            self._pool,
            counts,
            idle_timeout=main.idle_timeout_ms / 1000 or None,
            forwarded_for=main.upstream.forwarded_for,
        )
        self._api = ApiListener(
            self._config,
            self._folder,
            Readiness(main.upstream, self._upstream_tls, self._model_states),
            DocumentScoring(lambda: self._models),
            self._pool,
            self._documents,
            self.metrics,
        )
        try:
            port = await self._listener.start(*main.listen, self._listen_tls)
        except OSError as error:
            raise CannotListen("listen", main.listen, error) from None
        self.proxy_address = Address(main.listen.host, port)
        try:
            self.api_address = await self._api.start(main.api, self._api_tls)
        except OSError as error:
            raise CannotListen("api", main.api, error) from None
        except BadStore as error:
            raise StartError(f"apis.kendra_ranking.store: {error}") from None
        except UsageFileError as error:
            raise StartError(f"apis.rerank.usage: {error}") from None
        except BadKendraIndexes as error:
            raise StartError(str(error)) from None

    async def load_models(self, report: Callable[[str], None] = _log.info) -> None:
        """Load and warm the models in a thread; from then on searches are rescored.

        `report` is told the steps of preparing a model, in that thread.

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
                report=report,
                stopping=self._stopping,
            )

    async def stop(self, grace_s: float) -> None:
        """Let requests in flight finish for `grace_s` seconds, then close everything."""
        self._stopping.set()
        await self._listener.stop(grace_s)
        if self._plugin_settings_front is not None:
            await self._plugin_settings_front.stop()
        await self._api.stop()
        self._pool.close()
        await asyncio.to_thread(self._documents.close)
        if self._models is not None:
            await asyncio.to_thread(self._models.close)

    def _model_states(self) -> dict[str, str]:
        state = "ready" if self._models else "loading"
        return dict.fromkeys(self._config.main.models, state)
