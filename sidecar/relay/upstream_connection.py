"""One connection to a node: one request at a time, and its answer read as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from sidecar.relay.body import BodyScanner, UntilCloseScanner, scan_body
from sidecar.relay.errors import MalformedMessage, UpstreamBroken, UpstreamError, UpstreamTimeout
from sidecar.relay.heads import ResponseHead, find_head_end, parse_response_head
from sidecar.relay.keep_alive import keep_alive
from sidecar.relay.silence_timer import SilenceTimer

_LOST: Final = "OpenSearch closed the connection before its answer was whole"

# Answers after which OpenSearch may keep a connection open and yet read it wrongly. 400: of a head
# that it cannot read (too long, an empty name), and it ignores for ever what comes next. 413 and
# 417: of a refused Expect, and it takes the body that came along for the next request, whose answer
# would reach whoever had this connection next.
_OUT_OF_STEP: Final = frozenset((400, 413, 417))


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds, from 0 exclusively; None is no limit.

    `connect`: until a connection stands, with its TLS handshake; `read`: silence of a node from
    which an answer, or room for more of a request, is waited for; `idle`: a connection unused.
    """

    connect: float = 5.0
    read: float | None = None
    idle: float | None = None


class AnswerReceiver(Protocol):
    """Who gets an answer; nothing is called again once it has ended or failed."""

    def answer_interim(self, raw: bytes) -> None:
        """A whole 1xx head."""
        ...

    def answer_started(self, head: ResponseHead, received: bytes, ended: bool) -> None:
        """The final head; `received`: it as it came, and the raw body bytes that came along."""
        ...

    def answer_continued(self, body: bytes, ended: bool) -> None:
        """More raw body bytes."""
        ...

    def answer_failed(self, error: UpstreamError) -> None:
        """The whole answer will not come."""
        ...

    def pause_request(self) -> None:
        """The node reads slower than the request comes: write no more until it resumes."""
        ...

    def resume_request(self) -> None:
        """Write on."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """A connection that its node keeps while it is idle.

    `released` is called when an answer has ended and the connection may carry the next request,
    `lost` when it is closed for good.
    """

    __slots__ = (
        "_answer_paused",
        "_head_bytes",
        "_idle_timer",
        "_limits",
        "_lost",
        "_read_head",
        "_read_timer",
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
        self._head_bytes = b""
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
    ) -> None:
        """Send a request's first bytes.

        `complete`: these are all; `to_head`: it is a HEAD, whose answer has no body;
        `reusable`: whether another request may follow it on this connection.
        """
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
        # It may be closing before connection_lost says so; uvloop raises then.
        if not self._transport.is_closing():
            self._transport.write(data)

    def abandon(self, receiver: AnswerReceiver) -> None:
        """Close at once, unless the receiver's answer has ended and the connection moved on.

        A closed connection is how OpenSearch learns that a search is no longer wanted.
        """
        if self._receiver is receiver:
            self._receiver = None
            self._transport.abort()

    def pause_answer(self) -> None:
        """Read no more until it resumes: the answer is not taken as fast as it comes."""
        self._answer_paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_answer(self) -> None:
        """Read on."""
        self._answer_paused = False
        if self._read_timer is not None:
            self._read_timer.restart()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close; a running answer fails."""
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
            # Nothing was asked, so the next answer here could not be trusted to be the right one.
            self._transport.abort()
            return
        if self._read_timer is not None:
            self._read_timer.restart()
        try:
            if self._scanner is None:
                self._receive_head(receiver, data)
            else:
                self._receive_body(receiver, self._scanner, data)
        except MalformedMessage as error:
            self._fail(UpstreamBroken(f"OpenSearch's answer is malformed: {error}"))

    def eof_received(self) -> None:
        if isinstance(self._scanner, UntilCloseScanner) and self._receiver is not None:
            receiver = self._receiver
            self._end_answer(surplus=True)
            receiver.answer_continued(b"", True)
        else:
            self._fail(UpstreamBroken(_LOST))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)
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

    def _receive_head(self, receiver: AnswerReceiver, data: bytes) -> None:
        sought = len(self._head_bytes)
        if sought:
            data = self._head_bytes + data
        while True:
            end = find_head_end(data, sought)
            if end < 0:
                self._head_bytes = data
                return
            raw = data[:end]
            head = parse_response_head(raw, to_head=True) if self._to_head else self._read_head(raw)
            if head.status >= 200:
                break
            if head.status == 101:
                raise MalformedMessage("101 Switching Protocols, which nobody asked for")
            receiver.answer_interim(raw)
            data, sought = data[end:], 0
            if not data:
                self._head_bytes = b""
                return
        self._head_bytes = b""
        if not head.keep_alive or head.status in _OUT_OF_STEP:
            self._reusable = False
        answer_end = end + head.framing
        if head.framing >= 0 and answer_end <= len(data):
            ended = True
        else:
            scanner = self._scanner = scan_body(head.framing)
            answer_end = end + scanner.feed(data[end:])
            ended = scanner.done
        surplus = answer_end < len(data)
        if ended:
            self._end_answer(surplus=surplus)
        receiver.answer_started(head, data[:answer_end] if surplus else data, ended)

    def _receive_body(self, receiver: AnswerReceiver, scanner: BodyScanner, data: bytes) -> None:
        used = scanner.feed(data)
        if scanner.done:
            self._end_answer(surplus=used < len(data))
        receiver.answer_continued(data[:used], scanner.done)

    def _end_answer(self, *, surplus: bool) -> None:
        """Let go of the receiver before it is told, so that it may begin its next request here."""
        self._receiver = None
        self._scanner = None
        if self._read_timer is not None:
            self._read_timer.stop()
        if not self._request_complete:
            self._transport.abort()
        elif not self._reusable or surplus:
            self._transport.close()
        elif not self._transport.is_closing():
            if self._answer_paused:
                self._answer_paused = False
                self._transport.resume_reading()
            if self._idle_timer is not None:
                self._idle_timer.restart()
            self._released(self)

    def _idle_passed(self) -> None:
        self._transport.close()

    def _read_passed(self) -> None:
        # Silence counts only where it is the node's turn: neither while the client is still
        # sending its request, nor while it takes the answer slower than that comes.
        nodes_turn = self._request_complete or self._writing_paused
        if nodes_turn and not self._answer_paused:
            self._fail(UpstreamTimeout(f"OpenSearch was silent for {self._limits.read:g} seconds"))

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        self._transport.abort()
        if receiver is not None:
            receiver.answer_failed(error)
