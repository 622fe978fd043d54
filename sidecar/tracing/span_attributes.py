"""What spans say about requests and steps, by OpenTelemetry's semantic conventions for HTTP and
databases, and `rescore.*` for what only the sidecar knows.

Never texts, credentials, ids of documents, or the query part of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from sidecar.config.main_file import Address
from sidecar.tracing.steps import Step

Attribute = str | int | float | bool

_LONGEST_PATH: Final = 256
_OPERATION: Final = re.compile(rb"/_(msearch|search|render|mapping|count)\b")
_EXCHANGES: Final = frozenset({"upstream", "text_fetch"})
_FACTS: Final[Mapping[str, str]] = {
    "model": "rescore.model",
    "texts": "rescore.texts",
    "item": "rescore.item",
    "plan": "rescore.plan",
    "busy_ms": "rescore.busy_ms",
}


@dataclass(slots=True)
class SpanAttributes:
    """A server span's name, attributes, and whether the request failed."""

    name: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    failed: bool = False


def describe_request(method: str, path: str, server: Address) -> dict[str, Attribute]:
    """The attributes of a server span; `path` without its query."""
    return {
        "http.request.method": method,
        "url.path": path.partition("?")[0][:_LONGEST_PATH],
        "server.address": server.host,
        "server.port": server.port,
    }


def describe_nodes(urls: tuple[str, ...]) -> dict[str, Attribute]:
    """`server.address` of OpenSearch, if there is one node; of several, any may have answered."""
    if len(urls) != 1:
        return {}
    parts = urlsplit(urls[0])
    described: dict[str, Attribute] = {"server.address": parts.hostname or ""}
    if parts.port is not None:
        described["server.port"] = parts.port
    return described


def is_exchange(step: Step) -> bool:
    """Whether the step is a request to OpenSearch."""
    return step.name in _EXCHANGES


def describe_step(step: Step, nodes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """The attributes of a step's span; `nodes` are those of `describe_nodes`."""
    attributes: dict[str, Attribute] = {}
    if is_exchange(step):
        attributes |= nodes
        attributes["db.system.name"] = "opensearch"
        line = step.facts.get("request_line")
        if isinstance(line, bytes):
            method, _, rest = line.partition(b" ")
            path = rest.partition(b" ")[0].partition(b"?")[0]
            operation = _OPERATION.search(path)
            attributes["http.request.method"] = method.decode("latin-1")[:16]
            if operation is not None:
                attributes["db.operation.name"] = operation[1].decode()
        status = step.facts.get("http_status")
        if isinstance(status, int):
            attributes["http.response.status_code"] = status
    for fact, name in _FACTS.items():
        value = step.facts.get(fact)
        if value is not None and not isinstance(value, bytes):
            attributes[name] = value
    if step.error is not None:
        attributes["error.type"] = step.error
    return attributes
