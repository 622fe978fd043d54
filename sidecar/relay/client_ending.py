"""How a client's connection ends: after all was sent, after an error, or with a reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from sidecar.relay.silence_timer import SilenceTimer

_LINGER_S: Final = 30.0
_BRIEF_LINGER_S: Final = 2.0
"""For a client that sends nothing, or that was refused a connection."""

HALF_CLOSE_GRACE_S: Final = 0.3
"""How long a request may still be answered after its client has ended its sending direction.

A client that has left and a client that only sends no more look the same on the wire. OpenSearch
itself treats both as gone at once and cancels their searches.
"""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ClientEnding:
    """Ends one connection; also ends it if the client reads nothing of its answer."""

    __slots__ = ("_loop", "_send_timer", "_timer", "_transport", "_unsent", "lingering")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, send_s: float | None
    ) -> None:
        """`send_s`: the client must read something within these seconds; None: no limit."""
        self._loop = loop
        self._transport = transport
        self._send_timer = SilenceTimer(send_s, self._stalled)
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None
        self.lingering = False

    @property
    def half_closes(self) -> bool:
        """Whether one direction can close before the other; with TLS, both close together."""
        return self._transport.can_write_eof()

    def close(self) -> None:
        """Close when all is sent."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self.sending_paused()

    def close_now_or_once_sent(self) -> None:
        """Close when all is sent, or at once if the connection lingers."""
        if self.lingering:
            self._transport.abort()
        else:
            self.close()

    def reset(self) -> None:
        """Close in a way that does not look like the end of an answer."""
        if not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def linger(self, *, brief: bool) -> None:
        """Close after an answer while the client may still be sending.

        The connection stays open for reading for a while: to close it with unread bytes would reset
        it, and the client could lose the answer.
        """
        self.lingering = True
        if self.half_closes:
            self._transport.write_eof()
        self.after(_BRIEF_LINGER_S if brief else _LINGER_S, self._transport.abort)

    def after(self, seconds: float, end: Callable[[], None]) -> None:
        """Call `end` after these seconds, instead of an earlier `end` that still waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, end)

    def sending_paused(self) -> None:
        """The client reads slower than the relay sends."""
        self._unsent = self._transport.get_write_buffer_size()
        self._send_timer.restart()

    def sending_resumed(self) -> None:
        """The client has read most of what was sent."""
        if not self._transport.is_closing():
            self._send_timer.stop()

    def lost(self) -> None:
        """The connection is closed: cancel the event loop's timers."""
        self._send_timer.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stalled(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        if unsent == self._unsent:
            self._transport.abort()
        elif unsent:
            self._unsent = unsent
            self._send_timer.restart()
