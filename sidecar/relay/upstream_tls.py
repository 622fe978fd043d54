"""The TLS settings towards https nodes."""

from __future__ import annotations

import ssl


def build_ssl_context(ca: str | None, verify: bool) -> ssl.SSLContext:
    """HTTP/1.1 only (ALPN); `ca` is a PEM file, the system's authorities when None.

    Raises ValueError when the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"upstream.tls.ca: {ca} is not a readable PEM file of certificates ({error})"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
