"""`GET /config` on the api listener: the configuration that the running sidecar uses.

It has no secrets, but names of nodes, indexes and users. So it is only for programs on the same
machine, such as `sidecar check --diff`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from sidecar.api.root_service import RootService
from sidecar.reloading.effective_config import EffectiveConfig

_FROM_A_PROXY: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class ConfigDoor:
    """The door of one path. It has no section in the configuration and is always served."""

    def __init__(self, effective: Callable[[], EffectiveConfig]) -> None:
        self._effective = effective

    async def start(self) -> None:
        """There is nothing to open."""

    def routes(self) -> Sequence[web.RouteDef]:
        """The path."""
        return (web.get("/config", self._handle),)

    def root_services(self) -> Sequence[RootService]:
        """None."""
        return ()

    async def close(self) -> None:
        """There is nothing to close."""

    async def _handle(self, request: web.Request) -> web.Response:
        if not _is_local(request):
            raise web.HTTPForbidden(text="only for programs on the same machine\n")
        effective = self._effective()
        return web.json_response({"digest": effective.digest, "values": dict(effective.values)})


def _is_local(request: web.Request) -> bool:
    """Whether the client is on this machine, and no proxy or web page stands in between."""
    if any(name in request.headers for name in (*_FROM_A_PROXY, "Origin", "Referer")):
        return False
    # Another name for this machine may be one that a web page has chosen.
    return _is_loopback(request.remote) and _is_loopback(request.url.host)


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
