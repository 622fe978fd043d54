"""Records exchanges with OpenSearch as steps named `upstream`."""

from __future__ import annotations

from typing import Final

from sidecar.relay.front import Exchanger, Response
from sidecar.tracing.steps import current_step, step

_OWN_EXCHANGE: Final = "text_fetch"
"""A step that is an exchange itself, and a few microseconds of work."""


class TimedExchanger:
    """An `Exchanger` that records each exchange of another one."""

    def __init__(self, exchanger: Exchanger) -> None:
        self._exchanger = exchanger

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        """Send one request and return the whole answer; see `Exchanger.exchange`."""
        current = current_step()
        if current is None:
            return await self._exchanger.exchange(head, body, limit=limit)
        if current.name == _OWN_EXCHANGE:
            current.note("request_line", head[: head.find(b"\r\n")])
            response = await self._exchanger.exchange(head, body, limit=limit)
            current.note("http_status", response.head.status)
            return response
        with step("upstream") as exchange:
            exchange.note("request_line", head[: head.find(b"\r\n")])
            response = await self._exchanger.exchange(head, body, limit=limit)
            exchange.note("http_status", response.head.status)
            return response
