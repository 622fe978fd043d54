"""The client of the shared store's server, from the library `valkey` (extra `[valkey]`)."""

from __future__ import annotations

import importlib.util
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from valkey import Valkey

    from sidecar.config.passage_store import PassageStoreSettings

# The server's answers come from memory. A call that takes longer has failed.
_ANSWER_S = 0.5
_CONNECT_S = 1.0
_CONNECTIONS = 4


def find_shared_store_mistake(settings: PassageStoreSettings, folder: Path) -> tuple[str, str]:
    """The key that is wrong on this machine, and why; two empty texts if none is."""
    if settings.url is None:
        return "", ""
    if importlib.util.find_spec("valkey") is None:
        return "url", "needs the library valkey; run: pip install 'rescore-sidecar[valkey]'"
    if settings.ca_file is not None:
        try:
            ssl.create_default_context(cafile=str(folder / settings.ca_file))
        except (OSError, ssl.SSLError) as error:
            return "ca_file", f"{settings.ca_file} cannot be used: {error}"
    return "", ""


def open_shared_client(
    settings: PassageStoreSettings, folder: Path, answer_s: float = _ANSWER_S
) -> Valkey:
    """A client that connects with its first call. It retries nothing.

    A call that gets no answer for `answer_s` seconds fails.

    Raises ImportError without the extra `[valkey]`.
    """
    from valkey import Valkey
    from valkey.connection import BlockingConnectionPool, Connection, SSLConnection

    assert settings.url is not None
    parts = urlsplit(settings.url)
    tls: dict[str, object] = {}
    if parts.scheme == "rediss":
        tls = {
            "connection_class": SSLConnection,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": str(folder / settings.ca_file)
            if settings.ca_file is not None
            else None,
        }
    pool = BlockingConnectionPool(
        max_connections=_CONNECTIONS,
        timeout=answer_s,
        **{"connection_class": Connection, **tls},
        host=parts.hostname,
        port=parts.port or 6379,
        db=int(parts.path.strip("/") or 0),
        username=settings.username,
        password=settings.password,
        socket_timeout=answer_s,
        socket_connect_timeout=_CONNECT_S,
        client_name="rescore-sidecar",
    )
    return Valkey(connection_pool=pool)
