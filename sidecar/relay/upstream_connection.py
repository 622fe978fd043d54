"""One connection to a node: one request at a time, whose answer is streamed to a receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Protocol, cast

from sidecar.relay.body import BodyScanner, UntilCloseScanner, scan_body
from sidecar.relay.errors import MalformedMessage, UpstreamBroken, UpstreamError, UpstreamTimeout
from sidecar.relay.heads import (
    ANSWER_HEAD_LIMIT,
    ResponseHead,
    find_head_end,
    parse_response_head,
)
from sidecar.relay.keep_alive import keep_alive
from sidecar.relay.silence_timer import SilenceTimer

_LOST: Final = "OpenSearch closed the connection before its answer was whole"

INTERIM_LIMIT: Final = 32
"""Maximum number of 1xx answers to one request. OpenSearch sends one, `100 Continue`."""

# After these answers OpenSearch may keep a connection open and yet read it wrongly. 400 may answer
# a head that it cannot read (too long, an empty name); it then ignores all further bytes. 413 and
# 417 may answer a refused Expect; it then reads a body that was sent with it as the next request,
# and the answer to that would reach the next client that uses this connection.
_OUT_OF_STEP: Final = frozenset((400, 413, 417))


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """In seconds and above 0; None is no limit."""

    connect: float = 5.0
    """How long a connection may take to open, with its TLS handshake."""

    read: float | None = None
    """How long a node may be silent when it has to answer, or to read more of a request."""

    idle: float | None = None
    """How long a connection may stay open unused."""


class AnswerReceiver(Protocol):
    """Receives one answer; no method is called after the answer has ended or failed."""

    def answer_interim(self, raw: bytes) -> None:
        """A whole 1xx head."""
        ...

    def answer_started(self, head: ResponseHead, received: bytes, ended: bool) -> None:
        """The final head; `received`: its bytes and the raw body bytes that came with it."""
        ...

    def answer_continued(self, body: bytes, ended: bool) -> None:
        """More raw body bytes."""
        ...

    def answer_failed(self, error: UpstreamError) -> None:
        """The rest of the answer will not come."""
        ...

    def pause_request(self) -> None:
        """The node reads slower than the request arrives: stop writing until `resume_request`."""
        ...

    def resume_request(self) -> None:
        """Continue to write."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """A connection to a node, which may stay open between requests.

    It calls `released` when an answer has ended and the connection may carry the next request, and
    `lost` when the connection is closed.
    """

    __slots__ = (
        "_answer_paused",
        "_ended",
        "_head_bytes",
        "_idle_timer",
        "_interim",
        "_limits",
        "_looking_on",
        "_lost",
        "_payload",
        "_put_off",
        "_read_head",
        "_read_timer",
        "_reading",
        "_receiver",
        "_released",
        "_request_complete",
        "_reusable",
        "_scanner",
        "_to_head",
        "_transport",
        "_writing_paused",
    )

    def __init__(
        self,
        released: Callable[[UpstreamConnection], None],
        lost: Callable[[UpstreamConnection], None],
        read_head: Callable[[bytes], ResponseHead],
        limits: TimeLimits,
    ) -> None:
        self._released = released
        self._lost = lost
        self._read_head = read_head
        self._limits = limits
        self._idle_timer = SilenceTimer(limits.idle, self._idle_passed) if limits.idle else None
        self._read_timer = SilenceTimer(limits.read, self._read_passed) if limits.read else None
        self._transport: asyncio.Transport
        self._receiver: AnswerReceiver | None = None
        self._scanner: BodyScanner | None = None
        self._payload: BytesIO | None = None
        self._head_bytes = bytearray()
        self._interim = 0  # 1xx answers to this request
        self._put_off = b""  # received, to be examined in a later turn of the event loop
        self._looking_on = False
        self._reading = True
        self._ended = False  # the node sends nothing after what was put off
        self._to_head = False
        self._request_complete = True
        self._reusable = True
        self._answer_paused = False
        self._writing_paused = False

    @property
    def usable(self) -> bool:
        """Whether a request may begin on this connection."""
        return self._receiver is None and not self._transport.is_closing()

    def begin(
        self,
        receiver: AnswerReceiver,
        data: bytes,
        *,
        complete: bool,
        to_head: bool = False,
        reusable: bool = True,
        payload: BytesIO | None = None,
    ) -> None:
        """Send a request's first bytes.

        `complete`: these bytes are the whole request. `to_head`: it is a HEAD request, whose answer
        has no body. `reusable`: another request may follow on this connection. `payload`: gets the
        content of a chunked answer.
        """
        self._payload = payload
        self._interim = 0
        self._receiver = receiver
        self._to_head = to_head
        self._request_complete = complete
        self._reusable = reusable
        if self._idle_timer is not None:
            self._idle_timer.stop()
        if self._read_timer is not None:
            self._read_timer.restart()
        self._transport.write(data)

    def write(self, data: bytes, *, complete: bool) -> None:
        """Send more of the request's body."""
        self._request_complete = complete
        if self._read_timer is not None:
            self._read_timer.restart()
        # The transport may be closing before connection_lost is called; uvloop then raises.
        if not self._transport.is_closing():
            self._transport.write(data)

    def abandon(self, receiver: AnswerReceiver) -> None:
        """Close at once, unless the receiver's answer has ended.

        OpenSearch cancels a search when its connection closes.
        """
        if self._receiver is receiver:
            self._receiver = None
            self._transport.abort()

    def pause_answer(self, receiver: AnswerReceiver) -> None:
        """Stop reading until `resume_answer`: the client reads the answer slower than it arrives.

        If the receiver's answer has ended, this does nothing: the last piece of the answer may fill
        the client's buffer, and the connection may then already carry another request.
        """
        if self._receiver is not receiver:
            return
        self._answer_paused = True
        self._update_reading()

    def resume_answer(self, receiver: AnswerReceiver) -> None:
        """Continue to read."""
        if self._receiver is not receiver:
            return
        self._answer_paused = False
        if self._read_timer is not None:
            self._read_timer.restart()
        if self._put_off:
            self._look_on_later()
        self._update_reading()

    def close(self) -> None:
        """Close; an answer that has not ended fails."""
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport)
        if self._idle_timer is not None:
            self._idle_timer.restart()

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            # There was no request. The next answer here might be the wrong one, so close.
            self._transport.abort()
            return
        if self._read_timer is not None:
            self._read_timer.restart()
        if self._put_off:
            self._put_off += data
        else:
            self._receive(receiver, data)

    def eof_received(self) -> None:
        if self._put_off:
            self._ended = True
        elif isinstance(self._scanner, UntilCloseScanner) and self._receiver is not None:
            receiver = self._receiver
            self._end_answer(surplus=True)
            receiver.answer_continued(b"", True)
        else:
            self._fail(UpstreamBroken(_LOST))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)
        if self._put_off:
            self._ended = True
        else:
            self._fail(UpstreamBroken(_LOST))
        for timer in (self._idle_timer, self._read_timer):
            if timer is not None:
                timer.close()

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self._read_timer is not None:
            self._read_timer.restart()
        if self._receiver is not None:
            self._receiver.pause_request()

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._receiver is not None:
            self._receiver.resume_request()

    # The answer

    def _receive(self, receiver: AnswerReceiver, data: bytes) -> None:
        try:
            if self._scanner is None:
                self._receive_head(receiver, data)
            else:
                self._receive_body(receiver, self._scanner, data)
        except MalformedMessage as error:
            self._fail(UpstreamBroken(f"OpenSearch's answer is malformed: {error}"))

    def _receive_head(self, receiver: AnswerReceiver, data: bytes) -> None:
        sought = len(self._head_bytes)
        if sought:
            self._head_bytes += data
            if find_head_end(self._head_bytes, sought, ANSWER_HEAD_LIMIT) < 0:
                return
            data = bytes(self._head_bytes)
            self._head_bytes.clear()
        while True:
            end = find_head_end(data, sought, ANSWER_HEAD_LIMIT)
            if end < 0:
                self._head_bytes += data
                return
            raw = data[:end]
            head = parse_response_head(raw, to_head=True) if self._to_head else self._read_head(raw)
            if head.status >= 200:
                break
            if head.status == 101:
                raise MalformedMessage("101 Switching Protocols, which nobody asked for")
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                raise MalformedMessage(f"more than {INTERIM_LIMIT} answers with 1xx")
            receiver.answer_interim(raw)
            data, sought = data[end:], 0
            if not data:
                return
        if not head.keep_alive or head.status in _OUT_OF_STEP:
            self._reusable = False
        answer_end = end + head.framing
        if head.framing >= 0 and answer_end <= len(data):
            ended = True
        else:
            scanner = self._scanner = scan_body(head.framing, self._payload)
            answer_end = end + scanner.feed(data[end:])
            ended = scanner.done
        rest = data[answer_end:]
        if rest:
            data = data[:answer_end]
        self._mind_the_rest(rest, ended)
        receiver.answer_started(head, data, ended)

    def _receive_body(self, receiver: AnswerReceiver, scanner: BodyScanner, data: bytes) -> None:
        used = scanner.feed(data)
        rest = data[used:]
        if rest:
            data = data[:used]
        self._mind_the_rest(rest, scanner.done)
        receiver.answer_continued(data, scanner.done)

    def _mind_the_rest(self, rest: bytes, ended: bool) -> None:
        """Handle the bytes that follow the examined ones; `ended`: the answer is whole."""
        if ended:
            self._end_answer(surplus=bool(rest))
        elif rest:
            self._put_off = rest
            self._look_on_later()
            self._update_reading()

    def _look_on_later(self) -> None:
        if not self._looking_on:
            self._looking_on = True
            asyncio.get_running_loop().call_soon(self._look_on)

    def _look_on(self) -> None:
        """Examine the bytes that were put off, unless the answer is paused."""
        self._looking_on = False
        receiver = self._receiver
        if receiver is None or self._answer_paused:
            return
        data, self._put_off = self._put_off, b""
        self._receive(receiver, data)
        if not self._put_off and self._receiver is receiver:
            if self._ended:
                self._fail(UpstreamBroken(_LOST))
            self._update_reading()

    def _update_reading(self) -> None:
        reading = not (self._answer_paused or self._put_off)
        if reading is self._reading or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _end_answer(self, *, surplus: bool) -> None:
        """Forget the receiver before it hears of the end, so that it may begin a request here."""
        self._receiver = None
        self._scanner = None
        if self._read_timer is not None:
            self._read_timer.stop()
        if not self._request_complete:
            self._transport.abort()
        elif not self._reusable or surplus:
            self._transport.close()
        elif not self._transport.is_closing():
            if not self._reading:
                self._answer_paused = False
                self._update_reading()
            if self._idle_timer is not None:
                self._idle_timer.restart()
            self._released(self)

    def _idle_passed(self) -> None:
        self._transport.close()

    def _read_passed(self) -> None:
        # Silence counts only if the node has to act: not while the client still sends its request,
        # and not while the client reads the answer slower than it arrives.
        nodes_turn = self._request_complete or self._writing_paused
        if nodes_turn and not self._answer_paused:
            self._fail(UpstreamTimeout(f"OpenSearch was silent for {self._limits.read:g} seconds"))

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        self._transport.abort()
        if receiver is not None:
            receiver.answer_failed(error)
