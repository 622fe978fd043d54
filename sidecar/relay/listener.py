"""The proxy listener: accepts client connections, and lets their requests finish when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sidecar.relay.acceptor import Acceptor, serve_accepted
from sidecar.relay.admission import WORDS, Admission, Refusal
from sidecar.relay.client_connection import ClientConnection
from sidecar.relay.counts import Counts
from sidecar.relay.descriptors import ShortageLog
from sidecar.relay.errors import error_answer
from sidecar.relay.serving import Serving
from sidecar.relay.shared import SharedState

_NO_HURRY_S: Final = 60.0
_READ_BEFORE_CLOSING: Final = 65536


class Listener:
    """One listening address. The caller owns the pool and closes it after `stop`."""

    def __init__(self, serving: Serving, counts: Counts) -> None:
        """Create it within the event loop that it runs in."""
        self._shared = SharedState(serving, counts)
        self._acceptor = Acceptor(self._accepted, lambda: counts.failed("out_of_descriptors"))
        self._admission: Admission
        self._tls: ssl.SSLContext | None = None
        self._handshake_s = serving.limits.head or _NO_HURRY_S
        self._arriving: dict[asyncio.Task[None], socket.socket] = {}
        self._shortage = ShortageLog()
        counts.watch_clients(lambda: len(self._shared.connections))

    async def start(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        inherited: Sequence[socket.socket] = (),
    ) -> int:
        """Accept connections; return the port, which the system chooses for 0. Raises OSError.

        `inherited`: sockets that listen on this address already.
        """
        self._tls = tls
        listening = await self._acceptor.open(host, port, inherited)
        self._admission = Admission(self._shared.serving.limits.per_address, listening.fileno())
        return int(listening.getsockname()[1])

    @property
    def serving(self) -> Serving:
        """What new requests are served with."""
        return self._shared.serving

    def replace_serving(self, serving: Serving, tls: ssl.SSLContext | None) -> None:
        """Serve new requests with `serving`, and accept new connections with this certificate.

        Requests that have begun, and the time-outs of open connections, stay as they are. Call it
        after `start`; a listener with TLS needs a certificate again.
        """
        self._shared.serving = serving
        self._tls = tls
        self._handshake_s = serving.limits.head or _NO_HURRY_S
        self._admission.per_address = serving.limits.per_address

    @property
    def most_clients(self) -> int:
        """Maximum number of client connections that the descriptors allow."""
        return self._admission.most

    async def stop(self, grace_s: float) -> None:
        """Accept no more, close idle connections, let current requests finish for `grace_s`
        seconds, then abort."""
        shared = self._shared
        shared.draining = True
        self._acceptor.close()
        await self._turn_away_arriving()
        for connection in list(shared.connections):
            connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                await shared.no_connections.wait()
        except TimeoutError:
            for connection in list(shared.connections):
                connection.abort()
            await shared.no_connections.wait()
        if shared.tasks:
            await asyncio.wait(shared.tasks)

    def _accepted(self, connection: socket.socket, address: str) -> None:
        shared, admission = self._shared, self._admission
        refusal = admission.refusal(address, connection.fileno())
        if refusal == "out_of_descriptors" and shared.close_an_idle_one():
            refusal = None
        gone: Callable[[], None]
        if refusal is None:
            admission.enter(address)
            gone = partial(admission.leave, address)
        else:
            shared.counts.failed(refusal)
            if refusal == "out_of_descriptors":
                what = f"{admission.open} client connections are open, new ones are refused"
                self._shortage.warn(what)
            if not admission.enter_refused():
                self._turn_away(connection, refusal)
                return
            gone = admission.leave_refused
        client = ClientConnection(shared, gone, refusal)
        arriving = shared.loop.create_task(self._arrive(connection, client, gone))
        self._arriving[arriving] = connection
        arriving.add_done_callback(self._arriving.pop)

    def _turn_away(self, connection: socket.socket, refusal: Refusal) -> None:
        """Refuse and close at once a connection that may not keep its descriptor for a while."""
        if self._tls is None:
            with contextlib.suppress(OSError):
                # To close with unread bytes would reset the connection and could lose the answer.
                with contextlib.suppress(BlockingIOError):
                    connection.recv(_READ_BEFORE_CLOSING)
                connection.send(b"".join(error_answer(503, refusal, WORDS[refusal], close=True)))
        connection.close()

    async def _turn_away_arriving(self) -> None:
        arriving = dict(self._arriving)
        # A TLS handshake may take long; without TLS, connections arrive at once. If one ended in
        # between, uvloop would not call its protocol.
        if self._tls is not None:
            for task in arriving:
                task.cancel()
        if arriving:
            await asyncio.wait(arriving)
        for task, connection in arriving.items():
            if task.cancelled():
                connection.close()  # a task that never began has not closed it

    async def _arrive(
        self, connection: socket.socket, client: ClientConnection, gone: Callable[[], None]
    ) -> None:
        try:
            await serve_accepted(connection, client, self._tls, self._handshake_s)
        finally:
            # A client that arrived calls `gone` itself.
            if not client.arrived:
                gone()
