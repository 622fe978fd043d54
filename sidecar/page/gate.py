"""Who may call the page's paths.

Other web pages in the user's browser must not: each call needs a header that a page of another
origin cannot send without permission, and its `Origin` must be this listener's. Without keys, the
`Host` must be this machine, so that a name that another page's server points at 127.0.0.1 (DNS
rebinding) opens nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.page.refusals import PageRefusal

CALL_FIELD = "X-Rescore-Page"
KEY_FIELD = "X-Rescore-Key"


class PageGate:
    """Checks requests against the page's keys."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = tuple(key.encode() for key in keys.values())

    def admit_file(self, request: web.Request) -> None:
        """Let a request for one of the page's own files through. Raises PageRefusal."""
        if not self._keys and not is_this_machine(request.headers.get("Host", "")):
            raise PageRefusal(
                "forbidden",
                "without ui.keys the page is open only at this machine's own address, such as"
                " http://127.0.0.1:PORT/ui",
            )

    def admit_call(self, request: web.Request) -> None:
        """Let a call of the page's code through. Raises PageRefusal."""
        self.admit_file(request)
        if CALL_FIELD not in request.headers:
            raise PageRefusal("forbidden", f"a call needs the header {CALL_FIELD}")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            raise PageRefusal("forbidden", "the call comes from a page of another origin")
        if self._keys:
            sent = request.headers.get(KEY_FIELD, "").encode("utf-8", "surrogateescape")
            # Every key is compared, so that the time does not reveal which one is similar.
            if not sum(hmac.compare_digest(key, sent) for key in self._keys):
                raise PageRefusal("key", "this page needs a key of ui.keys in the main file")


def is_this_machine(host: str) -> bool:
    """Whether the value of a Host field names this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
