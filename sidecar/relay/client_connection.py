"""One client's connection: requests one after another, back-pressure, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Final, cast

from sidecar.relay.admission import WORDS, Refusal
from sidecar.relay.body import CHUNKED, BodyScanner, ChunkScanner, scan_body
from sidecar.relay.client_ending import HALF_CLOSE_GRACE_S, ClientEnding
from sidecar.relay.errors import MalformedMessage, error_answer
from sidecar.relay.forwarded_request import ForwardedRequest
from sidecar.relay.front import Ended
from sidecar.relay.heads import RequestHead, check_request_line, find_head_end
from sidecar.relay.keep_alive import keep_alive
from sidecar.relay.serving import Serving
from sidecar.relay.shared import SharedState
from sidecar.relay.silence_timer import SilenceTimer
from sidecar.relay.taken_request import TakenRequest

READ_AHEAD: Final = 65536
"""Bytes of later requests that are read while the current one is being answered."""

FIRST_REQUEST_S: Final = 1.0
"""How long a new connection does not count as idle: its first request may be on its way."""


class ClientConnection(asyncio.Protocol):
    """Reads heads, finds where bodies end, and serves one request at a time."""

    __slots__ = (
        *("_body_held", "_body_timer", "_buffer", "_current", "_ending", "_eof", "_gone"),
        *("_head", "_head_timer", "_idle_from", "_idle_timer", "_looking_on", "_put_off"),
        *("_reading", "_refusal", "_scanner", "_shared", "_sought", "_transport"),
        *("_writing_paused",),
        "arrived",
    )

    def __init__(
        self, shared: SharedState, gone: Callable[[], None], refusal: Refusal | None = None
    ) -> None:
        """`gone` is called when it is closed. `refusal`: answer with this error at once."""
        self._shared = shared
        self._gone = gone
        self._refusal = refusal
        self.arrived = False
        self._idle_from = 0.0
        self._transport: asyncio.Transport
        self._ending: ClientEnding
        self._buffer = b""  # received, but not yet part of the current request
        self._sought = 0
        self._current: ForwardedRequest | TakenRequest | None = None
        self._head: RequestHead | None = None  # of the current request
        self._scanner: BodyScanner | None = (
            None  # None unless the current request's body is still coming
        )
        self._put_off = b""  # received, to be examined in a later turn of the event loop
        self._looking_on = False
        self._body_held = False
        self._reading = True
        self._writing_paused = False
        self._eof = False
        limits = shared.serving.limits
        self._head_timer = SilenceTimer(limits.head, self._head_late)
        self._body_timer = SilenceTimer(limits.body, self._body_late)
        self._idle_timer = SilenceTimer(limits.idle, self.drain)

    def drain(self) -> None:
        """Close as soon as the current request is answered."""
        if self._current is None and not self._ending.lingering:
            self._ending.close()

    def close_if_idle(self) -> bool:
        """Close if no request is on the connection or has begun; return whether it was closed."""
        busy = self._current is not None or self._buffer or self._transport.is_closing()
        if busy or self._refusal or self._shared.loop.time() < self._idle_from:
            return False
        self._ending.close_now_or_once_sent()
        return True

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.arrived = True
        self._idle_from = self._shared.loop.time() + FIRST_REQUEST_S
        keep_alive(transport)
        shared = self._shared
        self._ending = ClientEnding(shared.loop, self._transport, shared.serving.limits.send)
        shared.opened(self)
        if self._refusal is not None:
            self._write_error(503, self._refusal, WORDS[self._refusal], close=True)
            self._linger(brief=True)
        else:
            self._idle_timer.restart()

    def data_received(self, data: bytes) -> None:
        if self._ending.lingering:
            return
        if self._put_off:
            self._put_off += data
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
        if self._current is None or self._scanner is not None or not self._ending.half_closes:
            # A request that is cut short is never answered; connection_lost cancels it.
            self._cancel_current()
            return False
        self._ending.after(HALF_CLOSE_GRACE_S, self._end_grace)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_current()
        self._put_off = b""
        self._ending.lost()
        for timer in (self._head_timer, self._body_timer, self._idle_timer):
            timer.close()
        self._shared.closed(self)
        self._gone()

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._ending.sending_paused()
        if self._current is not None:
            self._current.pause_answer()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._ending.sending_resumed()
        if self._current is not None:
            self._current.resume_answer()
            self._update_reading()
        else:
            self._read_requests()

    # Requests

    def _read_requests(self) -> None:
        """Begin the next request, if its head is whole and the client reads its answers."""
        if self._writing_paused or self._transport.is_closing():
            return
        # OpenSearch ignores empty lines before a request (RFC 9112, section 2.2).
        if self._buffer.startswith((b"\r", b"\n")):
            self._buffer, self._sought = self._buffer.lstrip(b"\r\n"), 0
        if self._buffer:
            try:
                end = find_head_end(self._buffer, self._sought)
                if end > 0:
                    if self._sought:
                        self._head_timer.stop()
                    head = self._shared.read_head(self._buffer[:end])
                    serving = self._shared.serving
                    if serving.forwarded_for:
                        head = head.forwarded_for(self._transport.get_extra_info("peername")[0])
                    self._begin(serving, head, self._buffer, end)
                else:
                    check_request_line(self._buffer, self._sought)
                    if not self._sought:
                        self._head_timer.restart()
                    self._sought = len(self._buffer)
            except MalformedMessage as error:
                self._refuse(error.status, "bad_request", str(error))
                return
        if self._buffer or self._scanner is not None or not self._reading:
            self._update_reading()
        if self._eof and self._current is None:
            self._ending.close()

    def _begin(self, serving: Serving, head: RequestHead, data: bytes, head_end: int) -> None:
        take = serving.find_take(head, self._shared.counts)
        content = BytesIO() if take is not None and head.framing == CHUNKED else None
        end = head_end + head.framing
        complete = head.framing >= 0 and end <= len(data)
        if not complete:
            scanner = scan_body(head.framing, content)
            end = head_end + scanner.feed(data[head_end:])
            complete = scanner.done
            if not complete:
                self._scanner = scanner
                self._body_timer.restart()
        rest, self._sought = data[end:], 0
        if rest:
            data = data[:end]
        if complete:
            self._buffer = rest
        else:
            self._buffer = b""
            self._put_off = rest
        self._head = head
        serving.requests.enter()
        self._idle_timer.stop()
        if take is None:
            self._current = forwarded = ForwardedRequest(self, self._shared, serving, head)
            if not head.unchanged:
                data = head.write_upstream() + data[head_end:]
            forwarded.start(data, complete)
        else:
            self._current = taken = TakenRequest(self, self._shared, serving, head, take, content)
            taken.start(data[head_end:], complete)
        self._look_on_later()

    def _receive_body(self, scanner: BodyScanner, data: bytes) -> None:
        try:
            used = scanner.feed(data)
        except MalformedMessage as error:
            self._refuse(error.status, "bad_request", str(error))
            return
        rest = data[used:]
        if rest:
            data = data[:used]
        if scanner.done:
            self._scanner = None
            self._buffer = rest
            self._body_timer.stop()
        else:
            self._put_off = rest
            if not self._body_held:
                self._body_timer.restart()
        if self._current is not None:
            self._current.body_received(data, scanner.done)
        self._look_on_later()
        self._update_reading()

    def _look_on_later(self) -> None:
        if self._put_off and not self._looking_on:
            self._looking_on = True
            self._shared.loop.call_soon(self._look_on)

    def _look_on(self) -> None:
        """Examine the bytes that were put off, unless the body is held."""
        self._looking_on = False
        if self._put_off and self._scanner is not None and not self._body_held:
            data, self._put_off = self._put_off, b""
            self._receive_body(self._scanner, data)

    def _refuse(self, status: int, error_type: str, reason: str) -> None:
        """Answer with an error and close, because the start of the next request is unknown."""
        self._shared.counts.failed(error_type)
        current = self._end_current()
        if current is not None:
            current.cancel()
            if current.answer_has_started:
                self._transport.abort()
                return
        self._write_error(status, error_type, reason, close=True)
        self._linger(brief=status == 408)

    # Client, as its requests see it

    @property
    def must_close(self) -> bool:
        return self._shared.draining or self._head is None or not self._head.keep_alive

    @property
    def address(self) -> str:
        return str((self._transport.get_extra_info("peername") or [""])[0])

    def write(self, *pieces: bytes | memoryview) -> None:
        # The transport may be closing before connection_lost is called; uvloop then raises.
        if not self._transport.is_closing():
            self._transport.writelines(pieces)

    def answer_error(self, status: int, error_type: str, reason: str) -> None:
        old = self._head is not None and self._head.http_1_0
        close = self.must_close or self._scanner is not None or old
        self._write_error(status, error_type, reason, close=close)
        self.request_ended(close=close)

    def hold_body(self, hold: bool) -> None:
        self._body_held = hold
        if self._scanner is not None:
            # The time for which the body is held is not the client's fault.
            if hold:
                self._body_timer.stop()
            else:
                self._body_timer.restart()
                self._look_on_later()
        self._update_reading()

    def request_ended(self, *, close: bool) -> None:
        self._end_current()
        self._head = None
        self._body_held = False
        self._idle_timer.restart()
        if not close:
            if self._buffer or self._eof or not self._reading:
                self._read_requests()
        elif self._scanner is not None or self._buffer:
            self._linger()
        else:
            self._ending.close()

    def break_off(self, *, reset: bool) -> None:
        self._end_current()
        if reset:
            self._ending.reset()
        else:
            self._ending.close()

    def forward(
        self,
        serving: Serving,
        head: RequestHead,
        body: bytes,
        complete: bool,
        *,
        add: tuple[bytes, ...],
        drop: tuple[bytes, ...],
        ended: Ended | None,
    ) -> None:
        if isinstance(self._scanner, ChunkScanner):
            self._scanner.payload = None
        self._current = forwarded = ForwardedRequest(self, self._shared, serving, head, add, ended)
        forwarded.start(head.write_upstream(drop=drop) + body, complete)

    # Inside

    def _write_error(self, status: int, error_type: str, reason: str, *, close: bool) -> None:
        head, body = error_answer(status, error_type, reason, close=close)
        if self._head is not None and self._head.method == b"HEAD":
            body = b""
        self._shared.counts.answered(status)
        self.write(head + body)

    def _update_reading(self) -> None:
        """Read, unless the request's body is held or enough bytes of later requests are waiting."""
        waiting = self._current is not None or self._writing_paused
        ahead = waiting and len(self._buffer) >= READ_AHEAD
        held = self._scanner is not None and (self._body_held or bool(self._put_off))
        reading = not (ahead or held)
        if reading is self._reading or self._transport.is_closing() or self._eof:
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _end_current(self) -> ForwardedRequest | TakenRequest | None:
        current, self._current = self._current, None
        if current is not None:
            current.serving.requests.leave()
        return current

    def _cancel_current(self) -> None:
        current = self._end_current()
        if current is not None:
            self._shared.counts.failed("client_gone")
            current.cancel()

    def _linger(self, *, brief: bool = False) -> None:
        """End after the relay's own answer, while the client may still be sending."""
        self._scanner = None
        self._buffer = self._put_off = b""
        self._head_timer.stop()
        self._body_timer.stop()
        if self._eof or self._transport.is_closing():
            self._ending.close()
            return
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self._ending.linger(brief=brief)

    def _end_grace(self) -> None:
        # Once an answer is being written, a failed write shows that the client has left.
        if self._current is not None and not self._current.answer_has_started:
            self.abort()

    # Time-outs

    def _head_late(self) -> None:
        if self._current is None and self._buffer and not self._transport.is_closing():
            self._refuse(408, "client_timeout", "the head of the request did not arrive in time")

    def _body_late(self) -> None:
        current = self._current
        if current is None or self._scanner is None or self._transport.is_closing():
            return
        if current.answer_has_started or current.waits_for_node:
            self._body_timer.restart()
        else:
            self._refuse(408, "client_timeout", "the rest of the request did not arrive in time")
