"""Builds what a generation serves the proxy listener with: its fronts and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidecar.kendra_plugin.settings_file import PluginSettingsFile
from sidecar.kendra_plugin.settings_front import PluginSettingsFront
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import OnRescored
from sidecar.opensearch.front import SearchFront
from sidecar.opensearch.known_sources import KnownSources
from sidecar.opensearch.node_addresses import NodeAddressFront
from sidecar.opensearch.search_reports import SearchReports
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.client_limits import ClientLimits
from sidecar.relay.counts import Counts
from sidecar.relay.front import Exchanger, Front
from sidecar.relay.serving import Serving
from sidecar.reloading.generation import GenerationParts
from sidecar.resigning.credentials import Refreshed, find_client_secrets
from sidecar.resigning.front import ResigningFront
from sidecar.resigning.own_calls import SigningExchanger
from sidecar.resigning.signer import Signer
from sidecar.tracing.timed_exchanger import TimedExchanger
from sidecar.tracing.tracers import Tracer


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What all generations share. `folder`: where relative paths of the configuration start."""

    folder: Path
    metrics: Metrics
    counts: Counts
    tracer: Tracer
    passage_cutter: PassageCutter
    known_sources: KnownSources
    signer: Signer | None
    plugin_settings: PluginSettingsFile | None
    on_rescored: OnRescored | None

    def signed(self, new: GenerationParts) -> Exchanger:
        """The pool, for exchanges that the sidecar signs if it signs anew."""
        return new.pool if self.signer is None else SigningExchanger(new.pool, self.signer)

    def exchanger(self, new: GenerationParts) -> Exchanger:
        """The same, and each exchange is a step of its request."""
        return TimedExchanger(self.signed(new))


def build_serving(
    new: GenerationParts, shared: SharedParts
) -> tuple[Serving, PluginSettingsFront | None]:
    """What new requests are served with; also the Kendra plugin's front, if there is one.

    Raises BadCredentials if the keys of clients cannot be read.
    """
    main = new.checked.config.main
    front, plugin_front = _build_fronts(new, shared)
    resign = main.upstream.resign
    limits = ClientLimits(
        body_bytes=resign.body_mb << 20 if resign else main.limits.search_bytes,
        unfinished_bytes=main.limits.unfinished_mb << 20,
        idle=main.idle_timeout_ms / 1000 or None,
        head=main.limits.header_timeout_ms / 1000 or None,
        body=main.limits.body_timeout_ms / 1000 or None,
        per_address=main.limits.connections_per_address,
    )
    serving = Serving(
        front, new.pool, limits, main.upstream.forwarded_for, only_replaced=resign is not None
    )
    return serving, plugin_front


def _build_fronts(
    new: GenerationParts, shared: SharedParts
) -> tuple[Front, PluginSettingsFront | None]:
    """The fronts; each passes on what it does not take, and the search front is the last."""
    main = new.checked.config.main
    signed = shared.signed(new)
    front: Front = _build_search_front(new, shared)
    plugin_front = None
    if shared.plugin_settings is not None:
        front = plugin_front = PluginSettingsFront(
            front, signed, shared.plugin_settings, main.limits
        )
    front = NodeAddressFront(front, signed, shared.metrics, main.rewrite_publish_address)
    resign = main.upstream.resign
    if resign is not None and shared.signer is not None:
        secrets = Refreshed(find_client_secrets(resign, shared.folder))
        front = ResigningFront(front, resign, secrets, shared.signer, shared.counts)
    return front, plugin_front


def _build_search_front(new: GenerationParts, shared: SharedParts) -> SearchFront:
    models, main = new.models, new.checked.config.main
    return SearchFront(
        new.checked.config,
        shared.exchanger(new),
        lambda: models.current,
        shared.passage_cutter,
        shared.metrics,
        new.lessons,
        SearchReports(
            shared.metrics, shared.tracer, main.log, main.listen, main.limits.index_names
        ),
        new.adoption.step_backs,
        shared.plugin_settings,
        shared.on_rescored,
        new.windows,
        new.adoption.shadows,
        new.adoption.ubi_queries,
        known_sources=shared.known_sources,
        default_pipelines=new.default_pipelines,
    )
