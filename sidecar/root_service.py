"""`/` of the api listener belongs to several services; each knows its own requests by a header."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RootService:
    """A service that is called at `/`; `owns` looks at method, query and headers only."""

    name: str
    owns: Callable[[web.Request], bool]
    handle: Handler


def add_root_route(app: web.Application, services: Sequence[RootService]) -> None:
    """Let the first service that owns a request answer it.

    A base path before the service's `/` is allowed, as SDKs keep that of their endpoint URL: so
    this route is to be added after all others.
    """

    async def handle_root(request: web.Request) -> web.StreamResponse:
        for service in services:
            if service.owns(request):
                return await service.handle(request)
        raise web.HTTPNotFound(text=f"nothing is here; see /healthz, /metrics ({request.method})\n")

    app.router.add_route("*", "/{path:.*}", handle_root)
