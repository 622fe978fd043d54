"""Services that share the path `/`: each recognizes its own requests, usually by a header."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RootService:
    """A service at `/`. `owns` decides by a request's head; the body is not read yet."""

    name: str
    owns: Callable[[web.Request], bool]
    handle: Handler


def add_root_route(app: web.Application, services: Sequence[RootService]) -> None:
    """Add the route for all other paths: the first service that owns a request answers it.

    Add it after all other routes. It matches every path, because SDKs put the path of their
    endpoint URL before the service's `/`.
    """

    async def handle_root(request: web.Request) -> web.StreamResponse:
        for service in services:
            if service.owns(request):
                return await service.handle(request)
        raise web.HTTPNotFound(text=f"nothing is here; see /healthz, /metrics ({request.method})\n")

    app.router.add_route("*", "/{path:.*}", handle_root)
