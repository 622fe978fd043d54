"""`/healthz`, `/readyz` and `/metrics` on the api listener."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from aiohttp import ClientError, ClientSession, web
from prometheus_client.exposition import choose_encoder

from sidecar.api.root_service import RootService
from sidecar.cluster_client import open_cluster_session
from sidecar.config.main_file import Upstream
from sidecar.metrics import Metrics
from sidecar.workers.siblings import NoSiblings, Siblings

PROBE_SECONDS = 2.0
_ALONE = NoSiblings()


class Readiness:
    """Ready means that every model is warmed up and at least one OpenSearch node answers."""

    def __init__(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        model_states: Callable[[], dict[str, str]],
        config_state: Callable[[], dict[str, object]],
        siblings: NoSiblings = _ALONE,
    ) -> None:
        """`model_states`: `ready` or `loading`, by model. `config_state`: digest and age of the
        configuration, and the last reload. `siblings`: the other workers."""
        self._upstream = upstream
        self._tls = tls
        self._model_states = model_states
        self._config_state = config_state
        self._siblings = siblings
        self._probing: asyncio.Task[dict[str, str]] | None = None

    async def report(self) -> tuple[bool, dict[str, object]]:
        """Whether everything is ready, and the state of each part in words."""
        models = self._model_states()
        # Requests that come at the same time share one probe of the nodes.
        if self._probing is None or self._probing.done():
            loop = asyncio.get_running_loop()
            self._probing = loop.create_task(self._probe(self._upstream.urls))
        nodes = await asyncio.shield(self._probing)
        ready = all(state == "ready" for state in models.values()) and "ok" in nodes.values()
        state: dict[str, object] = {"models": models, "upstream": nodes}
        if isinstance(self._siblings, Siblings):
            workers = await self._siblings.report()
            ready = ready and set(workers.values()) <= {"ready"}
            state["workers"] = workers
        state = {"ready": ready, **state}
        return ready, {**state, "config": self._config_state()}

    async def _probe(self, urls: Sequence[str]) -> dict[str, str]:
        async with (
            open_cluster_session(self._upstream, self._tls, PROBE_SECONDS) as session,
            asyncio.TaskGroup() as probes,
        ):
            states = {url: probes.create_task(self._probe_node(session, url)) for url in urls}
        return {url: state.result() for url, state in states.items()}

    async def _probe_node(self, session: ClientSession, url: str) -> str:
        try:
            async with session.get(url + "/") as answer:
                # A 401 counts as an answer: the relay needs no account of its own.
                return "ok" if answer.status < 500 else f"status {answer.status}"
        except (ClientError, TimeoutError, OSError) as error:
            return f"does not answer ({type(error).__name__})"


class HealthDoor:
    """The door of the three paths. It has no section in the configuration and is always served."""

    def __init__(
        self, readiness: Readiness, metrics: Metrics, siblings: NoSiblings = _ALONE
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._siblings = siblings

    async def start(self) -> None:
        """There is nothing to open."""

    def routes(self) -> Sequence[web.RouteDef]:
        """The three paths."""
        return (
            web.get("/healthz", self._handle_healthz),
            web.get("/readyz", self._handle_readyz),
            web.get("/metrics", self._handle_metrics),
        )

    def root_services(self) -> Sequence[RootService]:
        """None."""
        return ()

    async def close(self) -> None:
        """There is nothing to close."""

    async def _handle_healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _handle_readyz(self, _: web.Request) -> web.Response:
        ready, parts = await self._readiness.report()
        return web.json_response(parts, status=200 if ready else 503)

    async def _handle_metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        if isinstance(self._siblings, Siblings):
            everything = await self._siblings.collect()
            body = await asyncio.to_thread(encode, everything)
        else:
            body = encode(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type})
