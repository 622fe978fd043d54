"""Which of a route's plans a caller gets. The same caller always gets the same one.

The choice depends only on the route's index and the caller's value, so it is the same after a
restart and in every sidecar with the same configuration. If percentages change, a caller moves
only as far as the borders between the plans move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sidecar.config.routes import ByCookie, ByHeader, Route
from sidecar.relay.heads import RequestHead

_PERCENT = 100.0
_AWS = b"AWS4-"


def choose_arm(split: Mapping[str, float], salt: str, value: bytes) -> str:
    """The plan, or `off`, for this value. Shares are percentages, together 100."""
    digest = hashlib.blake2b(_join(salt.encode(), value), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64 * _PERCENT
    for name, share in split.items():
        place -= share
        if place < 0:
            return name
    return name


def read_split_value(route: Route, head: RequestHead, address: str) -> bytes:
    """The value that a route divides by; `address` is the client's."""
    value = None
    if isinstance(route.by, ByHeader):
        value = head.get(route.by.header.lower().encode())
    elif isinstance(route.by, ByCookie):
        value = _find_cookie(head, route.by.cookie.encode())
    return value or identify_caller(head, address)


def identify_caller(head: RequestHead, address: str) -> bytes:
    """The caller's credentials; without credentials the client's address.

    The address is the first one in `X-Forwarded-For`, if a load balancer sends it. A signature of
    AWS differs per request, so only its access key counts.
    """
    credentials = head.get(b"authorization")
    if credentials:
        if credentials.startswith(_AWS):
            return credentials.partition(b"Credential=")[2].partition(b"/")[0]
        return credentials
    forwarded = (head.get(b"x-forwarded-for") or b"").partition(b",")[0].strip()
    return forwarded or address.encode()


def _find_cookie(head: RequestHead, name: bytes) -> bytes | None:
    for line in head.get_all(b"cookie"):
        for pair in line.split(b";"):
            key, _, value = pair.strip().partition(b"=")
            if key == name:
                return value
    return None


def _join(*pieces: bytes) -> bytes:
    return b"".join(b"%d:" % len(piece) + piece for piece in pieces)
