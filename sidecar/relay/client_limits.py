"""Limits on what one client, and all clients together, may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Times are in seconds and above 0; None is no limit."""

    body_bytes: int = 8 << 20
    """Maximum body of a request that the front takes; a request with a larger one is forwarded."""

    unfinished_bytes: int = 256 << 20
    """Maximum bytes of such bodies that are not yet whole, of all clients together."""

    idle: float | None = None
    """How long a connection may stay open without a request."""

    head: float | None = 60.0
    """How long a head may take from its first byte until it is whole."""

    body: float | None = 60.0
    """How long a client may be silent within a request's body."""

    send: float | None = 300.0
    """How long a client may read nothing of an answer."""

    per_address: int = 0
    """Connections that one address may have open; 0 for any number."""
