"""`/healthz`, `/readyz` and `/metrics` on the api listener."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout, encode_basic_auth, web
from prometheus_client.exposition import choose_encoder

from sidecar.config import Upstream
from sidecar.metrics import Metrics

PROBE_SECONDS = 2.0


class Readiness:
    """Ready means: every model has answered its warm-up, and a node of OpenSearch answers."""

    def __init__(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        model_states: Callable[[], dict[str, str]],
    ) -> None:
        self._upstream = upstream
        self._tls = tls
        self._model_states = model_states

    async def report(self) -> tuple[bool, dict[str, object]]:
        """Whether all is ready, and the state of each part in words."""
        models = self._model_states()
        nodes = await self._probe(self._upstream.urls)
        ready = all(state == "ready" for state in models.values()) and "ok" in nodes.values()
        return ready, {"ready": ready, "models": models, "upstream": nodes}

    async def _probe(self, urls: Sequence[str]) -> dict[str, str]:
        account = self._upstream
        fields = (
            {"Authorization": encode_basic_auth(account.username, account.password)}
            if account.username is not None and account.password is not None
            else {}
        )
        async with (
            ClientSession(
                timeout=ClientTimeout(total=PROBE_SECONDS), headers=fields, trust_env=False
            ) as session,
            asyncio.TaskGroup() as probes,
        ):
            asked = {url: probes.create_task(self._ask(session, url)) for url in urls}
        return {url: answer.result() for url, answer in asked.items()}

    async def _ask(self, session: ClientSession, url: str) -> str:
        try:
            async with session.get(url + "/", ssl=self._tls or True) as answer:
                # A 401 is an answer: the sidecar needs no account to relay.
                return "ok" if answer.status < 500 else f"status {answer.status}"
        except (ClientError, TimeoutError, OSError) as error:
            return f"does not answer ({type(error).__name__})"


def add_health_routes(app: web.Application, readiness: Readiness, metrics: Metrics) -> None:
    """Add the three paths to the api listener's application."""

    async def handle_healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def handle_readyz(_: web.Request) -> web.Response:
        ready, parts = await readiness.report()
        return web.json_response(parts, status=200 if ready else 503)

    async def handle_metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

    app.router.add_get("/healthz", handle_healthz)
    app.router.add_get("/readyz", handle_readyz)
    app.router.add_get("/metrics", handle_metrics)
