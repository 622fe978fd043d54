"""What one configuration makes, and how it is closed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.adoption.step_back import StepBacks
from sidecar.adoption.ubi_queries import UbiQueries
from sidecar.api.listener import ServedDoors
from sidecar.config.main_file import Config, find_bi_encoders, find_students
from sidecar.expiring_cache import OtherCaches
from sidecar.kendra_plugin.settings_front import PluginSettingsFront
from sidecar.metrics import Metrics
from sidecar.models.scorers import Models
from sidecar.models.sources import list_files
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.default_pipelines import DefaultPipelines
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.window_cache import WindowCache
from sidecar.relay.counts import Counts
from sidecar.relay.serving import RequestCount, Serving
from sidecar.relay.tls import build_listener_context, build_upstream_context
from sidecar.relay.upstream_connection import TimeLimits
from sidecar.relay.upstream_pool import UpstreamPool
from sidecar.reloading.adoption_parts import AdoptionParts, build_shadows
from sidecar.reloading.effective_config import EffectiveConfig, describe_config
from sidecar.resigning.signer import Signer


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """A configuration with what it names on disk. `model_keys` are equal for the same models."""

    config: Config
    effective: EffectiveConfig
    upstream_tls: ssl.SSLContext | None
    listen_tls: ssl.SSLContext | None
    api_tls: ssl.SSLContext | None
    model_keys: dict[str, object]


def check_config(config: Config, folder: Path) -> CheckedConfig:
    """Read the files that a configuration names. Blocks; raises BadTlsFile."""
    main = config.main
    return CheckedConfig(
        config,
        describe_config(config, folder),
        build_upstream_context(main.upstream, folder),
        build_listener_context(main.listen_tls, folder),
        build_listener_context(main.api_tls, folder),
        {name: _model_key(name, config, folder) for name in main.models},
    )


def _model_key(name: str, config: Config, folder: Path) -> object:
    models = config.main.models
    model = models[name]
    # Bi-encoders share the memory for vectors in equal parts.
    bi_encoders = find_bi_encoders(models)
    sharing = len(bi_encoders) if name in bi_encoders else 0
    return model, list_files(model, folder), sharing, name in find_students(config.plans)


@dataclass(slots=True, eq=False)
class GenerationModels:
    """The models of a generation; None until they are loaded, as in the first one's beginning."""

    current: Models | None

    def close(self, others: Sequence[Models]) -> None:
        """Close and free what `others` do not use. Blocks: an engine frees in about 0.1 s."""
        if self.current is not None:
            self.current.close(others)
            self.current = None


@dataclass(frozen=True, slots=True, eq=False)
class GenerationParts:
    """What the front and the doors of a generation are built from."""

    checked: CheckedConfig
    models: GenerationModels
    pool: UpstreamPool
    lessons: IndexLessons
    default_pipelines: DefaultPipelines
    windows: WindowCache | None
    adoption: AdoptionParts

    def model_states(self) -> dict[str, str]:
        """`ready` or `loading`, by model."""
        state = "ready" if self.models.current else "loading"
        return dict.fromkeys(self.checked.config.main.models, state)

    def generation(
        self, serving: Serving, plugin_front: PluginSettingsFront | None, served: ServedDoors
    ) -> Generation:
        """The generation with the front and the doors that were built from these parts."""
        return Generation(self, time.time(), plugin_front, serving, served)


def build_parts(
    checked: CheckedConfig,
    models: GenerationModels,
    old: Generation | None,
    callers: Callers,
    counts: Counts,
    metrics: Metrics,
    folder: Path,
    signer: Signer | None,
    clock: Callable[[], float],
    others: OtherCaches,
) -> GenerationParts:
    """The parts for a configuration.

    Connections, and what was learnt of the cluster, are taken over from the `old` generation if the
    cluster is the same; cached windows if also plans, routes and models are; queries that wait to
    be written if also the account and `ubi` are; the state of a plan that has stepped back if also
    the plan and its models are. `clock` is monotonic, in seconds; plans step back and return by it,
    and what is known of default pipelines expires by it.
    `others`: the other workers' caches.
    """
    adoption = AdoptionParts(
        build_shadows(checked.config, folder, callers, metrics),
        _find_queries(checked, old, metrics, signer),
        _build_step_backs(checked, old, metrics, clock),
    )
    same_cluster = old is not None and _cluster(old.checked) == _cluster(checked)
    if old is not None and same_cluster:
        pool, lessons, defaults = old.pool, old.parts.lessons, old.parts.default_pipelines
        if _window_settings(old.checked) == _window_settings(checked):
            windows = old.windows
            return GenerationParts(checked, models, pool, lessons, defaults, windows, adoption)
    else:
        pool = _build_pool(checked, counts)
        lessons = IndexLessons(callers, metrics)
        defaults = DefaultPipelines(callers, metrics, clock)
    windows = _build_windows(checked, callers, metrics, others)
    return GenerationParts(checked, models, pool, lessons, defaults, windows, adoption)


def _find_queries(
    checked: CheckedConfig, old: Generation | None, metrics: Metrics, signer: Signer | None
) -> UbiQueries | None:
    main = checked.config.main
    if main.ubi is None:
        return None
    if old is not None and _cluster(old.checked) == _cluster(checked):
        former = old.checked.config.main
        if (former.ubi, former.upstream) == (main.ubi, main.upstream):
            return old.parts.adoption.ubi_queries
    return UbiQueries(main.ubi, main.upstream, checked.upstream_tls, metrics, signer)


def _build_step_backs(
    checked: CheckedConfig,
    old: Generation | None,
    metrics: Metrics,
    clock: Callable[[], float],
) -> StepBacks:
    plans = checked.config.plans
    if old is None:
        return StepBacks(plans, metrics, clock)
    former = old.parts.adoption.step_backs
    if _cluster(old.checked) != _cluster(checked):
        return StepBacks(plans, metrics, clock, former)
    same = {
        name
        for name, plan in plans.items()
        if old.checked.config.plans.get(name) == plan
        and all(
            old.checked.model_keys.get(stage.model) == checked.model_keys.get(stage.model)
            for stage in plan.stages
        )
    }
    return StepBacks(plans, metrics, clock, former, same)


def _build_pool(checked: CheckedConfig, counts: Counts) -> UpstreamPool:
    upstream = checked.config.main.upstream
    return UpstreamPool(
        upstream.urls,
        counts,
        ssl_context=checked.upstream_tls,
        limits=TimeLimits(
            connect=upstream.connect_timeout_ms / 1000,
            read=upstream.read_timeout_ms / 1000 or None,
            idle=upstream.idle_timeout_ms / 1000 or None,
        ),
    )


def _build_windows(
    checked: CheckedConfig, callers: Callers, metrics: Metrics, others: OtherCaches
) -> WindowCache | None:
    main = checked.config.main
    if not main.window_cache_s and not main.window_order_s:
        return None
    return WindowCache(
        main.window_cache_s,
        main.window_order_s,
        main.window_cache_mb << 20,
        metrics,
        callers,
        others,
    )


def _cluster(checked: CheckedConfig) -> object:
    """What connections to the cluster depend on."""
    upstream = checked.config.main.upstream
    return (
        *(upstream.urls, upstream.tls, checked.effective.values.get("upstream.tls.ca_file")),
        *(upstream.connect_timeout_ms, upstream.read_timeout_ms, upstream.idle_timeout_ms),
    )


def _window_settings(checked: CheckedConfig) -> object:
    """What cached windows depend on, beside the cluster."""
    main = checked.config.main
    return (
        *(checked.config.plans, main.routes, checked.model_keys, main.upstream.pipelines),
        *(main.window_cache_s, main.window_order_s, main.window_cache_mb),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Everything that serves the requests of one configuration. Belongs to one event loop."""

    parts: GenerationParts
    loaded_at: float
    """In seconds since 1970."""

    plugin_front: PluginSettingsFront | None
    serving: Serving
    served: ServedDoors

    @property
    def checked(self) -> CheckedConfig:
        """The configuration."""
        return self.parts.checked

    @property
    def pool(self) -> UpstreamPool:
        """The connections to the cluster."""
        return self.parts.pool

    @property
    def models(self) -> GenerationModels:
        """The models."""
        return self.parts.models

    @property
    def windows(self) -> WindowCache | None:
        """The cached windows."""
        return self.parts.windows

    @property
    def requests(self) -> RequestCount:
        """The requests of both listeners that have begun with this generation."""
        return self.serving.requests

    async def retire(self, living: Collection[Generation]) -> None:
        """Wait for the last request, then close what no generation of `living` uses.

        `living` is read after the last request.
        """
        # Parts of a generation refer to one another, and of the first one, which `gc.freeze` has
        # frozen, the garbage collector frees nothing. So what is large is let go of one by one.
        await self.requests.wait_until_none()
        await self.parts.adoption.retire(
            other.parts.adoption for other in living if other is not self
        )
        if self.plugin_front is not None:
            await self.plugin_front.finish()
        await self.served.close()
        if all(other.pool is not self.pool for other in living if other is not self):
            await self.parts.default_pipelines.close()
            self.pool.close()
        if self.windows is not None and all(
            other.windows is not self.windows for other in living if other is not self
        ):
            self.windows.drop()
        if self.models.current is not None:
            others = [
                other.models.current
                for other in living
                if other is not self and other.models.current is not None
            ]
            await asyncio.to_thread(self.models.close, others)
