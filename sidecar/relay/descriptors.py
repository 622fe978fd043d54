"""File descriptors: every connection needs one, and the system limits their number.

The system gives each new file the lowest free number. So the number of a connection's descriptor is
a lower bound for the open files, and the relay need not count them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import socket
import time
from typing import Final

_log: Final = logging.getLogger("sidecar.relay")

_SHORT: Final = frozenset((errno.EMFILE, errno.ENFILE))
_RESERVE_SHARE: Final = 8
_LARGEST_RESERVE: Final = 256
_LOGGED_EVERY_S: Final = 60.0
_NO_LIMIT: Final = 1 << 30

# What macOS grants where the hard limit is "unlimited".
_OPEN_MAX: Final = 10_240


def raise_limit() -> tuple[int, int]:
    """Raise this process's limit of open files as far as allowed; return it before and after."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _OPEN_MAX):
        if _number(wanted) > limit():
            # macOS refuses "unlimited", and no process may exceed the hard limit.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return _number(soft), limit()


def limit() -> int:
    """How many files this process may have open."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def reserve_size(limit: int) -> int:
    """How many descriptors stay free for the api listener, nodes and files."""
    return min(limit // _RESERVE_SHARE, _LARGEST_RESERVE)


def are_short(error: OSError) -> bool:
    """Whether a connection failed because this process has no descriptor left.

    Without descriptors, the lookup of a host name fails with other errors, so this opens a socket
    to find out.
    """
    if error.errno in _SHORT:
        return True
    try:
        socket.socket().close()
    except OSError as socket_error:
        return socket_error.errno in _SHORT
    return False


class ShortageLog:
    """Logs at most once a minute that descriptors are short, and what to do."""

    def __init__(self) -> None:
        self._next = 0.0

    def warn(self, what: str) -> None:
        """Log what happened because no descriptor was left."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOGGED_EVERY_S
            _log.warning(
                "file descriptors are short (%d open files allowed): %s; raise the limit "
                "(LimitNOFILE in systemd, ulimit -n in a shell)",
                limit(),
                what,
            )


def _number(value: int) -> int:
    return _NO_LIMIT if value == resource.RLIM_INFINITY else value
