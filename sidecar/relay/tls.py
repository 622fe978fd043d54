"""The TLS settings towards https nodes and for the listeners. HTTP/1.1 only.

Relative paths in the configuration start at `folder`. These functions block while OpenSSL reads
files.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from sidecar.config.main_file import ListenTls, Upstream

_ALPN: Final = ("http/1.1",)


class BadTlsFile(ValueError):
    """The sidecar cannot use a file; `key` is the setting that names the file."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def build_upstream_context(upstream: Upstream, folder: Path) -> ssl.SSLContext | None:
    """The TLS settings towards the nodes; None if no node uses https. Raises BadTlsFile."""
    if not any(url.startswith("https:") for url in upstream.urls):
        return None
    ca = folder / upstream.tls.ca_file if upstream.tls.ca_file else None
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise BadTlsFile("ca_file", f"{ca} is not a readable PEM file: {_why(error)}") from None
    context.set_alpn_protocols(_ALPN)
    if not upstream.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def build_listener_context(files: ListenTls | None, folder: Path) -> ssl.SSLContext | None:
    """The TLS settings of a listener; None for plain http. Raises BadTlsFile.

    Clients need no certificate.
    """
    if files is None:
        return None
    certificate, key = folder / files.certificate_file, folder / files.key_file
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(_ALPN)
    try:
        # Only to distinguish a bad certificate from a bad key; the call below does not.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except OSError as error:
        message = f"{certificate} is not a readable PEM file: {_why(error)}"
        raise BadTlsFile("certificate_file", message) from None
    try:
        # Without it OpenSSL would ask on the terminal for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise BadTlsFile("key_file", f"{key} is not the key of {certificate}") from None
        message = f"{key} is not a readable PEM file of a key without password: {_why(error)}"
        raise BadTlsFile("key_file", message) from None
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
