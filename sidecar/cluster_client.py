"""The sidecar's own HTTP clients for the cluster, with its own account, TLS and time-out.

Requests of applications do not go this way: `relay/` forwards them, with the application's account.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from sidecar.config.main_file import Upstream
from sidecar.resigning.own_calls import sign_blocking, sign_session
from sidecar.resigning.signer import Signer, build_signer


def write_basic(username: str, password: str) -> str:
    """The value of an Authorization field for this account."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def write_own_account(upstream: Upstream) -> str | None:
    """The value of an Authorization field for the sidecar's own account; None without one."""
    if upstream.username is None or upstream.password is None:
        return None
    return write_basic(upstream.username, upstream.password)


def open_cluster_session(
    upstream: Upstream,
    tls: ssl.SSLContext | None,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    signer: Signer | None = None,
) -> ClientSession:
    """An asyncio client with the sidecar's own account; the caller closes it.

    `tls` comes from `build_upstream_context`. `timeout_s` is the maximum for one whole request.
    `signer` signs the requests (`upstream.resign`).
    """
    account = write_own_account(upstream)
    return ClientSession(
        connector=TCPConnector(ssl=True if tls is None else tls),
        timeout=ClientTimeout(total=timeout_s),
        headers={**(headers or {}), **({"Authorization": account} if account else {})},
        trust_env=False,
        middlewares=() if signer is None else (sign_session(signer),),
    )


def open_blocking_client(upstream: Upstream, folder: Path, timeout_s: float = 10) -> Any:
    """An opensearch-py client with the sidecar's own account; the caller closes it.

    Relative paths of the configuration start at `folder`. For code that may block. Raises
    BadCredentials.
    """
    from opensearchpy import OpenSearch

    account = write_own_account(upstream)
    # Not `http_auth`: opensearch-py encodes that in Latin-1, but OpenSearch reads UTF-8.
    headers = {"Authorization": account} if account else None
    ca = str(folder / upstream.tls.ca_file) if upstream.tls.ca_file else None
    tls: dict[str, Any] = (
        {"verify_certs": upstream.tls.verify, "ssl_show_warn": False, "ca_certs": ca}
        if any(urlsplit(url).scheme == "https" for url in upstream.urls)
        else {}
    )
    signer = build_signer(upstream, folder)
    if signer is not None:
        tls["http_auth"] = sign_blocking(signer)
    urls = list(upstream.urls)
    return OpenSearch(urls, timeout=timeout_s, max_retries=0, headers=headers, **tls)
