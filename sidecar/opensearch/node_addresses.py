"""Clients that sniff: they ask the nodes for their addresses, and then talk past the proxy.

Such requests are counted. Where the configuration says so, the addresses in the answer become
the proxy's, and the clients stay.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import partial

from sidecar.config import Address
from sidecar.metrics import Metrics
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    replace_spans,
)
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Exchanger, Forward, Front, Request, Take
from sidecar.relay.heads import RequestHead

_ANSWER_LIMIT = 16 << 20
_NODES = b"/_nodes/"


@dataclass(frozen=True, slots=True)
class NodeAddressFront:
    """A `relay.front.Front` before another one, which gets all requests but those that sniff.

    `address` is told in place of every node's; None leaves the answers as they are.
    """

    behind: Front
    upstream: Exchanger
    metrics: Metrics
    address: Address | None

    def takes(self, head: RequestHead) -> Take | None:
        """Count a request that sniffs; take it where its answer is to be rewritten."""
        # Asked for every request of the proxy listener, so without a call where that will do.
        if not head.target.startswith(_NODES) or not asks_for_addresses(head.method, head.target):
            return self.behind.takes(head)
        self.metrics.sniffs.inc()
        if self.address is None or head.signed:
            return None
        return partial(self._rewrite, self.address)

    def too_large(self, head: RequestHead) -> Forward:
        """Let a request that sniffs pass if it has a large body, which no client sends."""
        if asks_for_addresses(head.method, head.target):
            return Forward()
        return self.behind.too_large(head)

    async def _rewrite(self, address: Address, request: Request) -> Forward | Answer:
        # Without Accept-Encoding the answer comes as plain text.
        head = request.head.write_upstream(
            content_length=len(request.body) if request.body else None,
            drop=(b"accept-encoding", b"expect"),
        )
        try:
            response = await self.upstream.exchange(head, request.body, limit=_ANSWER_LIMIT)
        except UpstreamError:
            return Forward()
        body = await asyncio.to_thread(replace_addresses, response.body, address)
        return Answer(response.head.write_client(content_length=len(body)), body)


def asks_for_addresses(method: bytes, target: bytes) -> bool:
    """Whether it is `GET /_nodes/http`, also with node names or `info` before `http`, or with
    other metrics beside it."""
    if not target.startswith(_NODES) or method != b"GET":
        return False
    metrics = target.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2]
    return b"http" in metrics.replace(b"%2C", b",").replace(b"%2c", b",").split(b",")


def replace_addresses(body: bytes, address: Address) -> bytes:
    """The answer with each `nodes.*.http.publish_address` replaced, all other bytes as they were.

    What is no such answer (an error, or one in YAML) is returned as it is.
    """
    # Every character is one byte, so nothing but the replaced spans can change.
    text = body.decode("latin-1")
    try:
        members = read_document(text, partial(read_object, readers={"nodes": _read_nodes}))
    except NotJson:
        return body
    nodes: dict[str, Spanned] = members["nodes"].value if "nodes" in members else {}
    told = json.dumps(str(address))
    edits = [
        (published.start, published.end, told)
        for node in nodes.values()
        if "http" in node.value
        and (published := node.value["http"].value.get("publish_address")) is not None
    ]
    return replace_spans(text, edits).encode("latin-1")


def _read_nodes(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=_read_node)


def _read_node(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, {"http": read_object})
