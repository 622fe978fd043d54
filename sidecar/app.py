"""Creates all parts, opens and closes them in order. The only file that knows every part."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sidecar.api.call_traces import trace_calls
from sidecar.api.doors import Door, DoorError, DoorParts, KeptParts
from sidecar.api.listener import ApiListener, start_doors
from sidecar.config.main_file import Address, Config, find_students
from sidecar.document_scoring import DocumentScoring
from sidecar.event_loop.loop_watch import FLOOR_S, LoopWatch, Stall, StallLog
from sidecar.event_loop.off_loop import share_the_interpreter
from sidecar.fronts import SharedParts, build_serving
from sidecar.kendra_plugin.settings_file import BadSettingsFile, PluginSettingsFile
from sidecar.metrics import Metrics
from sidecar.models.loading import ModelLoadError, load_models
from sidecar.models.preloading import NONE_PRELOADED, Preloaded
from sidecar.models.scorers import Models
from sidecar.opensearch.answer_rescoring import OnRescored
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.known_sources import KnownSources
from sidecar.page.collection import PageCollection
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.counts import Counts
from sidecar.relay.listener import Listener
from sidecar.relay.tls import BadTlsFile
from sidecar.reloading.differences import find_changes
from sidecar.reloading.generation import (
    CheckedConfig,
    Generation,
    GenerationModels,
    GenerationParts,
    build_parts,
    check_config,
)
from sidecar.reloading.reloader import ReloadRefused
from sidecar.resigning.credentials import BadCredentials
from sidecar.resigning.signer import build_signer
from sidecar.scoring_line import ScoringLine
from sidecar.served_doors import build_doors
from sidecar.tracing.tracers import start_tracing
from sidecar.workers.sharing import WorkerPart, inherit_listening
from sidecar.workers.siblings import find_siblings

_log = logging.getLogger(__name__)

# Of `split_documents_mb`, a quarter is for the sources that documents are read from.
_SOURCES_SHARE = 4

_RETIRING_S = 5.0
"""How long `stop` waits for what former configurations have open."""


class StartError(Exception):
    """The sidecar cannot start; the message says what to change."""


class CannotListen(StartError):
    """The address is in use or not local; `key` is the setting that names it."""

    def __init__(self, key: str, address: Address, error: OSError) -> None:
        # asyncio wraps the system's message into its own, which repeats the address.
        reason = os.strerror(error.errno) if error.errno else str(error)
        self.key = key
        self.place = f"cannot listen on {address}: {reason}"
        super().__init__(f"{self.place}; change {key} in the configuration")


class Application:
    """Both listeners and everything behind them. Belongs to one event loop.

    `folder`: where relative paths of the configuration start. `models`: loaded models, which are
    used instead of the configured ones. `on_rescored` is called after every rescoring.
    `collection` is offered to the page. `clock` is monotonic, in seconds; plans step back and
    return by it. `worker`: its part, if this process is one of several, which share `preloaded`.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        models: Models | None = None,
        on_rescored: OnRescored | None = None,
        collection: PageCollection | None = None,
        clock: Callable[[], float] = time.monotonic,
        worker: WorkerPart | None = None,
        preloaded: Preloaded = NONE_PRELOADED,
    ) -> None:
        self.metrics = Metrics()
        self.last_reload: Callable[[], object] = lambda: None
        """How the last reload ended, for `/readyz`."""

        self._folder = folder
        self._models = GenerationModels(models)
        self._on_rescored = on_rescored
        self._collection = collection
        self._clock = clock
        self._stopping = threading.Event()
        main = config.main
        try:
            self._checked = check_config(config, folder)
            file = main.kendra_plugin_settings_file
            self._plugin_settings = PluginSettingsFile(folder / file) if file else None
            self._signer = build_signer(main.upstream, folder)
        except (BadTlsFile, BadSettingsFile, BadCredentials) as error:
            raise StartError(str(error)) from None
        self._listener: Listener | None = None
        self._first: GenerationParts | None = None  # until its doors have started
        self._living: list[Generation] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._kept = KeptParts()
        self._callers = Callers()
        self._stall_log = StallLog()
        self._loop_watch = LoopWatch(self._report_stall)
        self.proxy_address = main.listen
        self.api_address = main.api_listen
        self._worker = worker
        self._preloaded = preloaded
        self._siblings = find_siblings(worker, self.metrics.registry, self._are_ready)
        self._tracer = start_tracing(os.environ, self.metrics, main.upstream.urls)

    @property
    def config(self) -> Config:
        """The configuration that new requests get."""
        return self._checked.config

    def is_idle(self) -> bool:
        """Whether no request of either listener is being answered."""
        return all(generation.requests.is_idle for generation in self._living)

    async def start(self) -> None:
        """Open both listeners; searches pass unrescored until `load_models` is done.

        Raises StartError if an address cannot be listened on or a door cannot start.
        """
        share_the_interpreter()
        main = self.config.main
        self._counts = Counts(self.metrics)
        proxy, api = inherit_listening(self._worker)
        split_bytes = main.split_documents_mb << 20
        source_bytes = split_bytes // _SOURCES_SHARE
        self._passage_cutter = PassageCutter(split_bytes - source_bytes)
        self._scoring_line = ScoringLine(self.metrics)
        self._api = ApiListener(
            main.limits, self.metrics, trace_calls(self._tracer, main.api_listen)
        )
        parts = self._first = self._build_parts(self._checked, self._models, None)
        self._shared = SharedParts(
            self._folder,
            self.metrics,
            self._counts,
            self._tracer,
            self._passage_cutter,
            KnownSources(source_bytes),
            self._signer,
            self._plugin_settings,
            self._on_rescored,
        )
        try:
            serving, plugin_front = build_serving(parts, self._shared)
        except BadCredentials as error:
            raise StartError(str(error)) from None
        self._listener = Listener(serving, self._counts)
        try:
            port = await self._listener.start(*main.listen, self._checked.listen_tls, proxy)
        except OSError as error:
            raise CannotListen("listen", main.listen, error) from None
        self.proxy_address = Address(main.listen.host, port)
        try:
            served = await start_doors(self._build_doors(parts), serving.requests)
            self._living = [parts.generation(serving, plugin_front, served)]
            self._first = None
            self.api_address = await self._api.listen(
                served, main.api_listen, self._checked.api_tls, api
            )
        except OSError as error:
            raise CannotListen("api_listen", main.api_listen, error) from None
        except DoorError as error:
            raise StartError(str(error)) from None
        await self._siblings.start()
        self._show_config()
        self._living[-1].parts.adoption.step_backs.show()
        loop = asyncio.get_running_loop()
        self.metrics.loop_tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        self._loop_watch.start()

    async def load_models(self, report: Callable[[str], None] = _log.info) -> None:
        """Load and warm up the models in a thread; after that, searches are rescored.

        `report` gets each step of preparing a model; it is called in that thread.

        Raises ModelLoadError if a model cannot be used.
        """
        if self._models.current is None:
            self._models.current = await self._load(self._checked, None, None, report)

    async def reload(self, config: Config) -> list[str]:
        """Replace the configuration between two requests; returns a line for each change.

        Requests that have begun keep the old one. Models that have not changed stay loaded. Raises
        ReloadRefused, and then nothing has changed. Only after `load_models`; one at a time.
        """
        old = self._living[-1]
        try:
            checked = await asyncio.to_thread(check_config, config, self._folder)
        except BadTlsFile as error:
            raise ReloadRefused([str(error)]) from None
        changes = find_changes(old.checked.effective, checked.effective)
        if refused := [str(change) for change in changes if change.needs_restart]:
            raise ReloadRefused(refused)
        if not changes:
            return []
        models = GenerationModels(await self._reload_models(old, checked))
        parts = self._build_parts(checked, models, old)
        served = None
        try:
            serving, plugin_front = build_serving(parts, self._shared)
            served = await start_doors(self._build_doors(parts), serving.requests)
        except (BadCredentials, DoorError) as error:
            raise ReloadRefused(str(error).splitlines()) from None
        finally:
            if served is None:
                await self._discard(parts, old)
        self._replace(old, parts.generation(serving, plugin_front, served))
        return [str(change) for change in changes]

    def _replace(self, old: Generation, new: Generation) -> None:
        """From now on, requests begin with the new generation. Nothing here waits."""
        if old.windows is not None and new.windows is not None and old.windows is not new.windows:
            old.windows.succeed(new.windows)
        self._checked, self._models = new.checked, new.models
        self._living.append(new)
        assert self._listener is not None  # a reload is only after a start
        self._listener.replace_serving(new.serving, new.checked.listen_tls)
        self._api.replace_doors(new.served, new.checked.config.main.limits, new.checked.api_tls)
        self._tracer.replace_nodes(self.config.main.upstream.urls)
        self._show_config()
        self._living[-1].parts.adoption.step_backs.show()
        for url in set(old.checked.config.main.upstream.urls) - set(self.config.main.upstream.urls):
            self._counts.node_removed(url)
        for name in old.checked.model_keys.keys() - new.checked.model_keys.keys():
            self.metrics.forget_model(name)
        for name in find_students(old.checked.config.plans) - find_students(self.config.plans):
            self.metrics.forget_student(name)
        retiring = asyncio.get_running_loop().create_task(self._retire(old))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, old: Generation) -> None:
        await old.retire(self._living)
        self._living.remove(old)

    async def _reload_models(self, old: Generation, checked: CheckedConfig) -> Models:
        loaded = old.models.current
        assert loaded is not None  # the first generation is complete
        same = {
            name
            for name, key in checked.model_keys.items()
            if name in loaded and old.checked.model_keys.get(name) == key
        }
        if same == checked.model_keys.keys() == old.checked.model_keys.keys():
            return loaded
        try:
            return await self._load(checked, loaded.only(same), loaded, _log.info)
        except ModelLoadError as error:
            loaded.show_sizes()
            raise ReloadRefused([str(error)]) from None

    async def _load(
        self,
        checked: CheckedConfig,
        kept: Models | None,
        former: Models | None,
        report: Callable[[str], None],
    ) -> Models:
        main = checked.config.main
        return await asyncio.to_thread(
            load_models,
            main.models,
            self._folder,
            self.metrics,
            cache=main.passage_store.folder_in(self._folder),
            passage_store_mb=main.passage_store.memory_mb,
            shared_store=main.passage_store,
            students=find_students(checked.config.plans),
            report=report,
            stopping=self._stopping,
            kept=kept,
            former=former,
            teaches=self._worker is None or not self._worker.number,
            preloaded=self._preloaded,
        )

    async def _discard(self, parts: GenerationParts, old: Generation) -> None:
        """Close what a reload has made in vain."""
        if parts.pool is not old.pool:
            parts.pool.close()
            old.pool.watch(self._counts)
        await parts.adoption.retire([old.parts.adoption])
        assert parts.models.current is not None
        assert old.models.current is not None
        await asyncio.to_thread(parts.models.current.close, [old.models.current])
        old.models.current.show_sizes()

    async def stop(self, grace_s: float) -> None:
        """Give requests in flight `grace_s` seconds to finish, then close everything."""
        self._stopping.set()
        for generation in tuple(self._living):
            await generation.parts.adoption.drop_shadows()
        if self._listener is not None:
            await self._listener.stop(grace_s)
        for generation in tuple(self._living):
            await generation.parts.adoption.close()
            await generation.parts.default_pipelines.close()
            if generation.plugin_front is not None:
                await generation.plugin_front.stop()
        await self._api.stop()
        # No request is left, so former generations end now.
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=_RETIRING_S)
        if self._first is not None:  # a start that failed
            await self._first.adoption.close()
            self._first.pool.close()
        for generation in self._living:
            generation.pool.close()
        await asyncio.to_thread(self._passage_cutter.close)
        for models in {self._models, *(generation.models for generation in self._living)}:
            if models.current is not None:
                await asyncio.to_thread(models.current.close)
        self._siblings.stop()
        self._loop_watch.stop()
        await self._tracer.close()

    def _build_parts(
        self, checked: CheckedConfig, models: GenerationModels, old: Generation | None
    ) -> GenerationParts:
        """What a generation is built from; of the old one's, what the new configuration leaves."""
        return build_parts(
            checked,
            models,
            old,
            self._callers,
            self._counts,
            self.metrics,
            self._folder,
            self._signer,
            self._clock,
            self._siblings,
        )

    def _build_doors(self, new: GenerationParts) -> list[Door]:
        models = new.models
        parts = DoorParts(
            new.checked.config,
            self._folder,
            lambda: models.current,
            DocumentScoring(lambda: models.current, self._scoring_line),
            self._shared.exchanger(new),
            self._passage_cutter,
            self.metrics,
            self._api.bodies,
            self._siblings,
            self._kept,
        )
        return build_doors(parts, new, self._config_state, self._siblings, self._collection)

    async def _are_ready(self) -> bool:
        return self._living[-1].models.current is not None

    def _show_config(self) -> None:
        current = self._living[-1]
        self.metrics.config_info.clear()
        self.metrics.config_info.labels(current.checked.effective.digest).set(1)
        self.metrics.config_loaded.set(current.loaded_at)

    def _config_state(self) -> dict[str, object]:
        """The current configuration, for `/readyz`."""
        current = self._living[-1]
        return {
            "digest": current.checked.effective.digest,
            "age_s": round(time.time() - current.loaded_at, 3),
            "last_reload": self.last_reload(),
        }

    def _report_stall(self, stall: Stall) -> None:
        for kind, seconds in (("computing", stall.computing), ("waiting", stall.waiting)):
            if seconds >= FLOOR_S:
                self.metrics.loop_stalls.labels(kind).observe(seconds)
        self._stall_log.write(stall)
