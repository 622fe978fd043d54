"""The TLS settings towards the service of a remote model."""

from __future__ import annotations

import ssl
from pathlib import Path

from sidecar.config.models import Model


def build_service_tls(model: Model, base_dir: Path) -> ssl.SSLContext | None:
    """The TLS settings; None for plain http. Blocks; raises OSError for a bad `ca_file`."""
    if model.url is None or not model.url.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=base_dir / model.ca_file if model.ca_file else None)


def check_service_tls(model: Model, base_dir: Path) -> str | None:
    """What is wrong with a model's `ca_file`, in one line; None if nothing is."""
    try:
        build_service_tls(model, base_dir)
    except OSError as error:  # ssl.SSLError is one
        return f"{model.ca_file} is not a readable PEM file: {error.strerror or error}"
    return None
