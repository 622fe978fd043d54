"""Runs the configured sidecar inside a command, on free ports, and opens search sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import ClientSession

from pipelines.plan import Plan
from sidecar.app import Application, StartError
from sidecar.cluster_client import open_cluster_session
from sidecar.commands.terminal import Refused
from sidecar.config.main_file import Address, Apis, Config, Model, Upstream
from sidecar.config.page import Ui
from sidecar.config.resigning import ResignClients
from sidecar.config.routes import Route
from sidecar.evaluation.searching import SearchFailed
from sidecar.metrics import Metrics
from sidecar.models.loading import ModelLoadError, load_models
from sidecar.models.scorers import Models
from sidecar.opensearch.answer_rescoring import OnRescored
from sidecar.opensearch.routes import find_plan
from sidecar.page.collection import PageCollection
from sidecar.relay.tls import build_upstream_context
from sidecar.resigning.signer import build_signer

_GRACE_SECONDS = 1.0
_PATIENCE_MS = 60_000
# A search that takes longer is given up.
_TIMEOUT_SECONDS = 120.0
_FREE_PORT = Address("127.0.0.1", 0)


def choose_plan(config: Config, index: str, plan_name: str | None) -> str:
    """The name of the plan: `plan_name`, or that of the index's route. Raises Refused."""
    if plan_name is not None:
        if plan_name not in config.plans:
            known = ", ".join(sorted(config.plans)) or "none"
            raise Refused(f"--plan {plan_name}: there is no such plan (there are: {known})")
        return plan_name
    routed = find_plan(index.split(","), config.main.routes)
    if routed is None:
        raise Refused(f"--index {index}: no route leads to a plan; name one with --plan")
    return routed


@contextmanager
def refusals() -> Iterator[None]:
    """Turn errors of the start and of searches into Refused."""
    try:
        yield
    except (StartError, ModelLoadError, SearchFailed) as error:
        raise Refused(str(error)) from None


def load_plan_models(
    config: Config,
    folder: Path,
    plan: Plan,
    metrics: Metrics | None = None,
    keep_vectors: bool = True,
) -> Models:
    """The models of a plan's stages. Raises ModelLoadError; blocks.

    `keep_vectors=False`: stored passage vectors are neither used nor written.
    """
    main = config.main
    return load_models(
        _models_of(config, plan),
        folder,
        metrics or Metrics(),
        cache=main.passage_store.folder_in(folder),
        passage_store_mb=main.passage_store.memory_mb,
        shared_store=main.passage_store,
        keep_vectors=keep_vectors,
    )


def _models_of(config: Config, plan: Plan) -> dict[str, Model]:
    used = {stage.model for stage in plan.stages}
    return {name: model for name, model in config.main.models.items() if name in used}


def warm_up_plan(plan_name: str) -> str:
    """The name of the same plan with a long deadline, in a sidecar that a command has started."""
    return f"{plan_name}-warm-up"


@asynccontextmanager
async def configured_sidecar(
    config: Config,
    folder: Path,
    index: str,
    plan_name: str,
    plan: Plan,
    *,
    models: Models | None = None,
    on_rescored: OnRescored | None = None,
    collection: PageCollection | None = None,
    on_page: Callable[[Address], object] = lambda _: None,
) -> AsyncIterator[str]:
    """Run the proxy with its models loaded; yields its URL.

    Searches of `index` get `plan`, even if it is not enabled, and only its models are loaded.
    `models` replaces them; they are closed at the end. `on_page` gets the address at which the page
    is served, with `collection`. A second plan, `warm_up_plan`, has a long
    deadline, so that models can read every passage. Everything else is as configured. Raises
    StartError and ModelLoadError.
    """
    main = config.main.model_copy(
        update={
            "listen": _FREE_PORT,
            "listen_tls": None,
            "api_listen": _FREE_PORT,
            "api_tls": None,
            # The files of these services belong to the sidecar that serves them.
            "apis": Apis(**dict.fromkeys(Apis.model_fields)),
            "ui": Ui(),
            "kendra_plugin_settings_file": None,
            "models": _models_of(config, plan),
            "routes": tuple(Route(index=name, plan=plan_name) for name in index.split(",")),
            "upstream": _accept_loopback(config.main.upstream),
        }
    )
    enabled = plan.model_copy(update={"enabled": True})
    patient = enabled.model_copy(update={"deadline_ms": _PATIENCE_MS})
    plans = {plan_name: enabled, warm_up_plan(plan_name): patient}
    app = Application(Config(main, plans), folder, models, on_rescored, collection)
    try:
        await app.start()
        await app.load_models()
        on_page(app.api_address)
        yield f"http://{app.proxy_address}"
    finally:
        await app.stop(_GRACE_SECONDS)


def _accept_loopback(upstream: Upstream) -> Upstream:
    """The upstream for a proxy of this process, which only the command itself calls."""
    if upstream.resign is None:
        return upstream
    clients = ResignClients(accept="loopback")
    resign = upstream.resign.model_copy(update={"clients": clients})
    return upstream.model_copy(update={"resign": resign})


@asynccontextmanager
async def open_session(
    upstream: Upstream,
    folder: Path,
    plan_header: str | None = None,
) -> AsyncIterator[ClientSession]:
    """A client with the sidecar's own account, for the cluster or for a proxy in front of it.

    `plan_header` is the plan named in the header of its searches.
    """
    tls = build_upstream_context(upstream, folder)
    headers = {} if plan_header is None else {"X-Rescore-Plan": plan_header}
    signer = build_signer(upstream, folder)
    async with open_cluster_session(upstream, tls, _TIMEOUT_SECONDS, headers, signer) as session:
        yield session
