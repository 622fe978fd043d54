"""The api listener: serves doors on one address, and can replace them between two requests."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractRouter
from aiohttp.typedefs import Middleware

from sidecar.api.doors import Door
from sidecar.api.request_body import BodyReader
from sidecar.api.root_service import add_root_route
from sidecar.api.server import ApiServer
from sidecar.config.limits import Limits
from sidecar.config.main_file import Address
from sidecar.metrics import Metrics
from sidecar.relay.serving import RequestCount


@dataclass(frozen=True, slots=True, eq=False)
class ServedDoors:
    """The doors of one configuration. `requests` counts those that use them."""

    doors: tuple[Door, ...]
    router: AbstractRouter
    requests: RequestCount

    async def close(self) -> None:
        """Close the doors."""
        for door in reversed(self.doors):
            await door.close()


_SERVED: Final = web.RequestKey("served", ServedDoors)


async def start_doors(doors: Sequence[Door], requests: RequestCount) -> ServedDoors:
    """Start the doors. The order counts at `/`: the first one that owns a request answers it.

    Raises DoorError; then the doors are closed.
    """
    try:
        for door in doors:
            await door.start()
    except BaseException:
        for door in reversed(doors):
            await door.close()
        raise
    # An application of its own, because a router that is in use takes no more routes.
    routes = web.Application()
    for door in doors:
        routes.add_routes(door.routes())
    add_root_route(routes, [service for door in doors for service in door.root_services()])
    return ServedDoors(tuple(doors), routes.router, requests)


class ApiListener:
    """Doors behind one address. Belongs to one event loop."""

    def __init__(
        self, limits: Limits, metrics: Metrics, middlewares: Sequence[Middleware] = ()
    ) -> None:
        """`middlewares` see every request first, and its answer last."""
        self._server = ApiServer(limits, metrics, middlewares)
        self._server.around = self._take_doors
        self._server.app.router.register_resource(_CurrentDoors())
        self._served: ServedDoors | None = None

    @property
    def bodies(self) -> BodyReader:
        """Reads the bodies of all requests to this listener."""
        return self._server.bodies

    async def start(
        self, doors: Sequence[Door], address: Address, tls: ssl.SSLContext | None
    ) -> Address:
        """Start the doors and listen; see `start_doors` and `listen`."""
        return await self.listen(await start_doors(doors, RequestCount()), address, tls)

    async def listen(
        self,
        served: ServedDoors,
        address: Address,
        tls: ssl.SSLContext | None,
        inherited: Sequence[socket.socket] = (),
    ) -> Address:
        """Listen; returns the address, with the system's choice for port 0.

        `inherited`: sockets that listen on this address already.

        Raises OSError if the address cannot be listened on.
        """
        self._served = served
        return await self._server.start(address, tls, inherited)

    def replace_doors(
        self, served: ServedDoors, limits: Limits, tls: ssl.SSLContext | None
    ) -> None:
        """Serve new requests with these doors, limits and certificate.

        Requests that have begun keep their doors, which the caller closes after them.
        """
        self._server.replace_settings(limits, tls)
        self._served = served

    async def stop(self) -> None:
        """Let requests in flight finish, then close the doors."""
        await self._server.stop()
        if self._served is not None:
            await self._served.close()

    @contextmanager
    def _take_doors(self, request: web.BaseRequest) -> Iterator[None]:
        served = self._served
        assert served is not None  # it listens
        request[_SERVED] = served
        served.requests.enter()
        try:
            yield
        finally:
            served.requests.leave()


class _CurrentDoors(web.PlainResource):
    """The resource at every path: looks up the route among the doors that the request has taken."""

    def __init__(self) -> None:
        super().__init__("/")

    async def resolve(
        self, request: web.Request
    ) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """The match within the doors; see `aiohttp.web.AbstractResource`."""
        match = await request[_SERVED].router.resolve(request)
        assert isinstance(match, web.UrlMappingMatchInfo)
        return match, set()
