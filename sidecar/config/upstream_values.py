"""Values of the main file's `upstream`: the nodes' URLs, and what search pipelines do."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field


def _check_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as http://HOST:PORT or https://HOST:PORT")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong in the URL; use upstream.username and password")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("write only scheme, host and port; a path cannot precede OpenSearch's own")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 0 to 65535") from None
    return value.rstrip("/")


Url = Annotated[str, BeforeValidator(_check_url)]

PipelineUse = Literal["keeps_order", "normalises", "reranks"]
"""What a search pipeline does to the hits; `normalises` also keeps their order and number."""

PipelineName = Annotated[str, Field(min_length=1, max_length=512)]
