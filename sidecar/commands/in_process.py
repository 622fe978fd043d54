"""Starts the configured sidecar on free ports inside a command, and opens the way to both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import BasicAuth, ClientSession, ClientTimeout, TCPConnector

from pipelines.plan import Plan
from sidecar.app import Application, StartError
from sidecar.commands.terminal import Refused
from sidecar.config import Address, Apis, Config, Model, Route, Upstream
from sidecar.evaluation.searching import SearchFailed
from sidecar.metrics import Metrics
from sidecar.models.loading import ModelLoadError, load_models
from sidecar.models.scorers import Models
from sidecar.opensearch.answer_rescoring import OnRescored
from sidecar.opensearch.routes import find_plan
from sidecar.relay.tls import build_upstream_context

_GRACE_SECONDS = 1.0
_PATIENCE_MS = 60_000
# A search that takes longer is no search any more.
_TIMEOUT_SECONDS = 120.0
_FREE_PORT = Address("127.0.0.1", 0)


def choose_plan(config: Config, index: str, plan_name: str | None) -> str:
    """The plan by its name, or that of the index's route. Raises Refused."""
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
    """Turn what can go wrong at the start, and in a search, into the error of wrong usage."""
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

    `metrics`: where they count. `keep_vectors=False`: without passage vectors of earlier times,
    and nothing is left for later ones.
    """
    main = config.main
    return load_models(
        _models_of(config, plan),
        folder,
        metrics or Metrics(),
        cache=folder / main.cache if main.cache else None,
        passage_store_mb=main.passage_store_mb,
        keep_vectors=keep_vectors,
    )


def _models_of(config: Config, plan: Plan) -> dict[str, Model]:
    used = {stage.model for stage in plan.stages}
    return {name: model for name, model in config.main.models.items() if name in used}


def warm_up_plan(plan_name: str) -> str:
    """The name of the same plan without haste, in a sidecar that a command has started."""
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
) -> AsyncIterator[str]:
    """Run the proxy with its models loaded; gives its URL.

    Searches of `index` get `plan`, enabled whatever it says, and only its models are loaded.
    `models`: these instead, which are closed at the end.
    There is a second plan, `warm_up_plan`, which has time to read what was never read before.
    Everything else about the proxy is as configured. Raises StartError and ModelLoadError.
    """
    main = config.main.model_copy(
        update={
            "listen": _FREE_PORT,
            "listen_tls": None,
            "api": _FREE_PORT,
            "api_tls": None,
            # Services keep files of their own, which belong to the sidecar that serves them.
            "apis": Apis(**dict.fromkeys(Apis.model_fields)),
            "kendra_plugin_settings": None,
            "models": _models_of(config, plan),
            "routes": tuple(Route(index=name, plan=plan_name) for name in index.split(",")),
        }
    )
    enabled = plan.model_copy(update={"enabled": True})
    patient = enabled.model_copy(update={"deadline_ms": _PATIENCE_MS})
    plans = {plan_name: enabled, warm_up_plan(plan_name): patient}
    app = Application(Config(main, plans), folder, models, on_rescored)
    try:
        await app.start()
        await app.load_models()
        yield f"http://{app.proxy_address}"
    finally:
        await app.stop(_GRACE_SECONDS)


@asynccontextmanager
async def open_session(
    upstream: Upstream,
    folder: Path,
    plan_header: str | None = None,
) -> AsyncIterator[ClientSession]:
    """A client for the cluster, and for a proxy before it, on the sidecar's own account.

    `plan_header` names the plan that its searches ask for.
    """
    account = (
        BasicAuth(upstream.username, upstream.password or "", encoding="utf-8")
        if upstream.username is not None
        else None
    )
    context = build_upstream_context(upstream, folder)
    async with ClientSession(
        auth=account,
        connector=TCPConnector(ssl=context if context is not None else True),
        timeout=ClientTimeout(total=_TIMEOUT_SECONDS),
        headers={} if plan_header is None else {"X-Rescore-Plan": plan_header},
    ) as session:
        yield session
