"""One application's connection: requests one after the other, back-pressure, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Final, cast

from sidecar.relay.body import BodyScanner, scan_body
from sidecar.relay.errors import MalformedMessage, error_answer
from sidecar.relay.forwarded_request import ForwardedRequest
from sidecar.relay.heads import RequestHead, find_head_end
from sidecar.relay.keep_alive import keep_alive
from sidecar.relay.shared import Shared
from sidecar.relay.silence_timer import SilenceTimer
from sidecar.relay.taken_request import TakenRequest

_log: Final = logging.getLogger("sidecar.relay")

READ_AHEAD: Final = 65536
"""Bytes of later requests that are read while one is being answered."""

HALF_CLOSE_GRACE_S: Final = 0.3
"""How long a client that has sent its end of stream is still answered.

A client that has gone and one that only sends no more look the same on the wire. OpenSearch
itself takes both as gone at once and cancels their searches.
"""

_LINGER_S: Final = 30.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ClientConnection(asyncio.Protocol):
    """Reads heads, finds where bodies end, and keeps one request in work at a time."""

    __slots__ = (
        "_body_held",
        "_buffer",
        "_current",
        "_eof",
        "_head",
        "_idle_timer",
        "_lingering",
        "_reading",
        "_scanner",
        "_shared",
        "_sought",
        "_timer",
        "_transport",
        "_writing_paused",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: asyncio.Transport
        self._buffer = b""  # read, but not yet part of the current request
        self._sought = 0
        self._current: ForwardedRequest | TakenRequest | None = None
        self._head: RequestHead | None = None  # of the current request
        self._scanner: BodyScanner | None = None  # while the current request's body comes
        self._body_held = False
        self._reading = True
        self._writing_paused = False
        self._eof = False
        self._lingering = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle_timer: SilenceTimer | None = None
        if shared.idle_timeout is not None:
            self._idle_timer = SilenceTimer(shared.idle_timeout, self._idle_passed)

    def drain(self) -> None:
        """Close as soon as the request in work is answered."""
        if self._current is None and not self._lingering:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport)
        self._shared.opened(self)
        if self._idle_timer is not None:
            self._idle_timer.restart()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        if self._scanner is not None:
            self._receive_body(self._scanner, data)
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._current is None:
            self._read_requests()
        else:
            self._update_reading()

    def eof_received(self) -> bool:
        self._eof = True
        if self._current is None or self._scanner is not None or not self._half_closes:
            # A request cut short is never dispatched; connection_lost cancels it.
            self._cancel_current()
            return False
        self._timer = self._shared.loop.call_later(HALF_CLOSE_GRACE_S, self._end_grace)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_current()
        self._stop_timer()
        if self._idle_timer is not None:
            self._idle_timer.close()
        self._shared.closed(self)

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self._current is not None:
            self._current.pause_answer()

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._current is not None:
            self._current.resume_answer()
            self._update_reading()
        else:
            self._read_requests()

    # Requests

    def _read_requests(self) -> None:
        """Begin the next request, if its head is here and the client takes its answers."""
        if self._writing_paused or self._transport.is_closing():
            return
        # A server should ignore an empty line before a request (RFC 9112, section 2.2).
        if self._buffer.startswith(b"\r\n"):
            self._buffer, self._sought = self._buffer[2:], 0
        if self._buffer:
            try:
                end = find_head_end(self._buffer, self._sought)
                if end > 0:
                    head = self._shared.read_head(self._buffer[:end])
                    if self._shared.forwarded_for:
                        head = head.forwarded_for(self._transport.get_extra_info("peername")[0])
                    self._begin(head, self._buffer, end)
                else:
                    self._sought = len(self._buffer)
            except MalformedMessage as error:
                self._refuse(error)
                return
        if self._buffer or self._scanner is not None or not self._reading:
            self._update_reading()
        if self._eof and self._current is None:
            self._transport.close()

    def _begin(self, head: RequestHead, data: bytes, head_end: int) -> None:
        end = head_end + head.framing
        complete = head.framing >= 0 and end <= len(data)
        if not complete:
            scanner = scan_body(head.framing)
            end = head_end + scanner.feed(data[head_end:])
            complete = scanner.done
            if not complete:
                self._scanner = scanner
        self._buffer, self._sought = data[end:], 0
        if self._buffer:
            data = data[:end]
        self._head = head
        if self._idle_timer is not None:
            self._idle_timer.stop()
        try:
            take = self._shared.front.takes(head)
        except Exception:
            _log.exception("the front failed; the request is forwarded as it came")
            self._shared.counts.failed("front")
            take = None
        if take is None:
            forwarded = ForwardedRequest(self, self._shared, head)
            self._current = forwarded
            if not head.unchanged:
                data = head.write_upstream() + data[head_end:]
            forwarded.start(data, complete)
        else:
            taken = TakenRequest(self, self._shared, head, take)
            self._current = taken
            taken.start(data[head_end:], complete)

    def _receive_body(self, scanner: BodyScanner, data: bytes) -> None:
        try:
            used = scanner.feed(data)
        except MalformedMessage as error:
            self._refuse(error)
            return
        if scanner.done:
            self._scanner = None
            self._buffer = data[used:]
            data = data[:used]
        if self._current is not None:
            self._current.body_received(data, scanner.done)
        self._update_reading()

    def _refuse(self, error: MalformedMessage) -> None:
        """Answer a request that cannot be understood; where the next one starts is unknown."""
        self._shared.counts.failed("bad_request")
        current, self._current = self._current, None
        if current is not None:
            current.cancel()
            if current.answer_has_started:
                self._transport.abort()
                return
        self._write_error(error.status, "bad_request", str(error), close=True)
        self._linger()

    # Client, as its requests see it

    @property
    def must_close(self) -> bool:
        return self._shared.draining or self._head is None or not self._head.keep_alive

    def write(self, *pieces: bytes | memoryview) -> None:
        # A connection may be closing before connection_lost says so; uvloop raises then.
        if not self._transport.is_closing():
            self._transport.writelines(pieces)

    def answer_error(self, status: int, error_type: str, reason: str) -> None:
        old = self._head is not None and self._head.http_1_0
        close = self.must_close or self._scanner is not None or old
        self._write_error(status, error_type, reason, close=close)
        self.request_ended(close=close)

    def hold_body(self, hold: bool) -> None:
        self._body_held = hold
        self._update_reading()

    def request_ended(self, *, close: bool) -> None:
        self._current = self._head = None
        self._body_held = False
        if self._idle_timer is not None:
            self._idle_timer.restart()
        if not close:
            if self._buffer or self._eof or not self._reading:
                self._read_requests()
        elif self._scanner is not None or self._buffer:
            self._linger()
        else:
            self._transport.close()

    def break_off(self, *, reset: bool) -> None:
        self._current = None
        if reset and not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
        else:
            self._transport.close()

    def forward(
        self,
        head: RequestHead,
        body: bytes,
        complete: bool,
        *,
        add: tuple[bytes, ...],
        drop: tuple[bytes, ...],
    ) -> None:
        forwarded = ForwardedRequest(self, self._shared, head, add)
        self._current = forwarded
        forwarded.start(head.write_upstream(drop=drop) + body, complete)

    # Inside

    def _write_error(self, status: int, error_type: str, reason: str, *, close: bool) -> None:
        head, body = error_answer(status, error_type, reason)
        if close:
            head = head[:-2] + b"Connection: close\r\n\r\n"
        if self._head is not None and self._head.method == b"HEAD":
            body = b""
        self._shared.counts.answered(status)
        self.write(head + body)

    def _update_reading(self) -> None:
        """Read, unless the request's body is held or enough later requests are waiting."""
        waiting = self._current is not None or self._writing_paused
        ahead = waiting and len(self._buffer) >= READ_AHEAD
        held = self._body_held and self._scanner is not None
        reading = not (ahead or held)
        if reading is self._reading or self._transport.is_closing() or self._eof:
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _cancel_current(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._shared.counts.failed("client_gone")
            current.cancel()

    def _linger(self) -> None:
        """Close behind an answer that the client may still be too busy sending to read.

        Closing with unread bytes would reset the connection and lose the answer on its way.
        """
        self._lingering = True
        self._scanner = None
        self._buffer = b""
        if self._eof or self._transport.is_closing():
            self._transport.close()
            return
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._half_closes:
            self._transport.write_eof()
        self._stop_timer()
        self._timer = self._shared.loop.call_later(_LINGER_S, self.abort)

    @property
    def _half_closes(self) -> bool:
        """Whether one direction may end before the other; over TLS both end together."""
        return self._transport.can_write_eof()

    def _idle_passed(self) -> None:
        self._transport.close()

    def _end_grace(self) -> None:
        # Once an answer is being written, writing shows whether anybody is there.
        if self._current is not None and not self._current.answer_has_started:
            self.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
