"""TCP keep-alive, which detects a peer that vanished without closing its connection."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

# The system's own idle time is two hours. A search would wait that long for a node that is dead.
_PROBES: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the system probe the peer after 60 s without traffic, and close after 60 s more."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES:
        if option := getattr(socket, name, None):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
