"""The HTTP server of the api listener: an aiohttp application on bounded connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from sidecar.api.connection import ApiConnection, OpenConnections
from sidecar.api.request_body import BodyReader
from sidecar.config.limits import Limits
from sidecar.config.main_file import Address
from sidecar.metrics import Metrics

_HANDSHAKE_SECONDS: Final = 10
_MOST_PARTS: Final = 100
_DEEP: Final = "/a/path/of/too/many/parts"


class ApiServer:
    """Add the routes to `app` before the start; handlers read request bodies with `bodies`.

    A handler is cancelled when its client disconnects. Belongs to one event loop.
    """

    def __init__(
        self, limits: Limits, metrics: Metrics, middlewares: Sequence[Middleware] = ()
    ) -> None:
        """`middlewares` see every request first, and its answer last."""
        self.bodies = BodyReader(
            limits.body_timeout_ms / 1000, limits.api_unfinished_mb << 20, metrics.api_given_up
        )
        self._open = OpenConnections(
            limits.api_connections, limits.header_timeout_ms / 1000, metrics
        )

        @web.middleware
        async def release_body(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            try:
                return await handler(request)
            finally:
                self.bodies.release(request)

        self.app = web.Application(client_max_size=0, middlewares=[*middlewares, release_body])
        self.around: Callable[[web.BaseRequest], AbstractContextManager[None]] | None = None
        """Entered when a request begins, before its route is looked up, and left when its handler
        has ended."""

        self._runner: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None

    async def start(
        self,
        address: Address,
        tls: ssl.SSLContext | None,
        inherited: Sequence[socket.socket] = (),
    ) -> Address:
        """Listen; returns the address, with the system's choice for port 0.

        Raises OSError if the address cannot be listened on.
        """
        self._tls = tls
        if tls is not None:
            # Called in each handshake, with or without a server name: a new certificate needs no
            # new socket.
            tls.sni_callback = self._use_current_tls
        self._runner = web.AppRunner(self.app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        begin: _Begin | None = self._begin
        for sock in inherited or (None,):
            await _Site(self._runner, address, sock, tls, self._open, begin).start()
            begin = None  # the sites share one server, which calls it once for a request
        return Address(address.host, self._runner.addresses[0][1])

    def replace_settings(self, limits: Limits, tls: ssl.SSLContext | None) -> None:
        """Use these limits and this certificate from now on; TLS stays on or off."""
        self.bodies.replace_limits(limits.body_timeout_ms / 1000, limits.api_unfinished_mb << 20)
        self._open.most = limits.api_connections
        self._open.header_timeout_s = limits.header_timeout_ms / 1000
        self._tls = tls

    def _begin(self, request: web.BaseRequest) -> AbstractContextManager[None]:
        return nullcontext() if self.around is None else self.around(request)

    def _use_current_tls(self, connection: ssl.SSLObject, _: object, __: object) -> None:
        assert self._tls is not None  # TLS stays on
        connection.context = self._tls

    async def stop(self) -> None:
        """Let requests in flight finish, except those whose body is incomplete: they end now."""
        self.bodies.give_up_all()
        if self._runner is not None:
            await self._runner.cleanup()


_Begin = Callable[[web.BaseRequest], AbstractContextManager[None]]


class _Site(web.BaseSite):
    """Accepts connections as `ApiConnection`, which aiohttp's own site does not allow."""

    __slots__ = ("_address", "_begin", "_inherited", "_open")

    def __init__(
        self,
        runner: web.AppRunner,
        address: Address,
        inherited: socket.socket | None,
        tls: ssl.SSLContext | None,
        open_connections: OpenConnections,
        begin: _Begin | None,
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._address = address
        self._inherited = inherited
        self._open = open_connections
        self._begin = begin

    @property
    def name(self) -> str:
        return f"{'https' if self._ssl_context else 'http'}://{self._address}"

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        assert server is not None
        if self._begin is not None:
            self._wrap(server, self._begin)
        loop, tls = asyncio.get_running_loop(), self._ssl_context
        handshake_s = _HANDSHAKE_SECONDS if tls else None

        def connect() -> ApiConnection:
            return ApiConnection(server, self._open)

        if self._inherited is not None:
            self._server = await loop.create_server(
                connect,
                sock=self._inherited,
                ssl=tls,
                ssl_handshake_timeout=handshake_s,
                backlog=self._backlog,
            )
            return
        self._server = await loop.create_server(
            connect,
            *self._address,
            ssl=tls,
            ssl_handshake_timeout=handshake_s,
            backlog=self._backlog,
        )

    @staticmethod
    def _wrap(server: web.Server, begin: _Begin) -> None:
        make_request = server.request_factory

        def begin_request(
            message: Any, content: Any, connection: Any, writer: Any, task: Any
        ) -> web.BaseRequest:
            connection.begin(content)
            if message.path.count("/") > _MOST_PARTS:
                # aiohttp looks up every prefix of a path, so the time grows with the square of
                # its length. Services at `/` still see the original path in `raw_path`.
                message = message._replace(url=message.url.with_path(_DEEP, keep_query=True))
            return make_request(message, content, connection, writer, task)

        handle_request = server.request_handler

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            with begin(request):
                return await handle_request(request)

        server.request_factory = begin_request
        server.request_handler = handle
