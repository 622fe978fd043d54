"""The TLS settings of both sides: towards https nodes, and of the listeners. HTTP/1.1 only.

`folder` is where relative paths of the configuration start. OpenSSL blocks while it reads files.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from sidecar.config import ListenTls, Upstream

_ALPN: Final = ("http/1.1",)


class BadTlsFile(ValueError):
    """A file that cannot be used; `key` is the name of the setting that names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def build_upstream_context(upstream: Upstream, folder: Path) -> ssl.SSLContext | None:
    """None where no node speaks https. Raises BadTlsFile."""
    if not any(url.startswith("https:") for url in upstream.urls):
        return None
    ca = folder / upstream.tls.ca if upstream.tls.ca else None
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise BadTlsFile("ca", f"{ca} is not a readable PEM file: {_why(error)}") from None
    context.set_alpn_protocols(_ALPN)
    if not upstream.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def build_listener_context(files: ListenTls | None, folder: Path) -> ssl.SSLContext | None:
    """None for plain http. No certificate is asked of clients. Raises BadTlsFile."""
    if files is None:
        return None
    certificate, key = folder / files.certificate, folder / files.key
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(_ALPN)
    try:
        # Only to tell a bad certificate from a bad key, which one call below would not.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except OSError as error:
        message = f"{certificate} is not a readable PEM file: {_why(error)}"
        raise BadTlsFile("certificate", message) from None
    try:
        # Without a callback OpenSSL would ask on the terminal for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise BadTlsFile("key", f"{key} is not the key of {certificate}") from None
        message = f"{key} is not a readable PEM file of a key without password: {_why(error)}"
        raise BadTlsFile("key", message) from None
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
