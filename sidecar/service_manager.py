"""Tells systemd the state of the service, if systemd started it with `Type=notify`.

Source: sd_notify(3). The environment names a datagram socket; a message is lines of NAME=value.
"""

from __future__ import annotations

import os
import socket


def tell_service_manager(*lines: str) -> None:
    """Send a message such as `READY=1`; nothing without a manager, or if it does not listen."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    # A name that begins with @ is in Linux's abstract namespace, where a zero byte stands for it.
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto("\n".join(lines).encode(), address)
    except OSError:
        return
