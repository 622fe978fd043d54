"""A front for clients that sniff: they ask for the nodes' addresses, and then bypass the proxy.

It counts such requests. If the configuration has `rewrite_publish_address`, it replaces the
addresses in the answer by that address, so that the clients keep using the proxy.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sidecar.config.main_file import Address
from sidecar.event_loop.off_loop import Busy, off_loop
from sidecar.metrics import Metrics
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Answer, Exchanger, Forward, Front, Request, Take
from sidecar.relay.heads import RequestHead
from sidecar.spans.json_amounts import has_more_values
from sidecar.spans.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    replace_spans,
)

_ANSWER_LIMIT = 16 << 20
_ON_THE_LOOP = 2 << 10  # bytes; an answer with three nodes
_MAX_VALUES = 1_000_000
_MAX_NODES = 10_000
_MAX_MEMBERS = 100  # of the answer, a node and its `http`; OpenSearch writes about 20
_NODES = b"/_nodes/"


@dataclass(frozen=True, slots=True)
class NodeAddressFront:
    """A `relay.front.Front`. All requests that do not sniff go to the front `behind` it.

    `address` replaces the address of every node; None leaves the answers unchanged.
    """

    behind: Front
    upstream: Exchanger
    metrics: Metrics
    address: Address | None

    def takes(self, head: RequestHead) -> Take | None:
        """Count a request that sniffs, and take it if its answer must be rewritten."""
        # This runs for every request of the proxy listener, so the first check avoids a call.
        if not head.target.startswith(_NODES) or not asks_for_addresses(head.method, head.target):
            return self.behind.takes(head)
        self.metrics.sniffs.inc()
        if self.address is None or head.signed:
            return None
        return partial(self._rewrite, self.address)

    def too_large(self, head: RequestHead, key: str) -> Forward | Answer:
        """Forward a request that sniffs if it has a large body, which no client sends."""
        if asks_for_addresses(head.method, head.target):
            return Forward()
        return self.behind.too_large(head, key)

    def answered(self, head: RequestHead, status: int) -> None:
        """Tell the front behind this one; see `relay.front.Front`."""
        self.behind.answered(head, status)

    async def _rewrite(self, address: Address, request: Request) -> Forward | Answer:
        # Without Accept-Encoding the answer is not compressed.
        written = request.head.write_with_body(request.body, drop=(b"accept-encoding", b"expect"))
        try:
            response = await self.upstream.exchange(*written, limit=_ANSWER_LIMIT)
        except UpstreamError:
            return Forward()
        self.behind.answered(request.head, response.head.status)
        body = response.body
        with suppress(Busy):  # then the client gets the nodes' own addresses this time
            rewritten = partial(replace_addresses, body, address)
            body = await off_loop(len(body), rewritten, _ON_THE_LOOP)
        return Answer(response.head.write_client(content_length=len(body)), body)


def asks_for_addresses(method: bytes, target: bytes) -> bool:
    """Whether the request is `GET /_nodes/http`. Node names or `info` may stand before `http`, and
    other metrics beside it."""
    if not target.startswith(_NODES) or method != b"GET":
        return False
    metrics = target.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2]
    # The names of all metrics together have about 150 letters.
    return len(metrics) < 1000 and b"http" in metrics.replace(b"%2C", b",").replace(
        b"%2c", b","
    ).split(b",")


def replace_addresses(body: bytes, address: Address) -> bytes:
    """The answer with each `nodes.*.http.publish_address` replaced; all other bytes stay.

    Any other answer, such as an error or YAML, is returned unchanged.
    """
    if has_more_values(body, _MAX_VALUES):
        return body
    # In Latin-1 every character is one byte, so only the replaced spans change.
    text = body.decode("latin-1")
    try:
        members = read_document(
            text, partial(read_object, readers={"nodes": _read_nodes}, most=_MAX_MEMBERS)
        )
    except NotJson:
        return body
    nodes: dict[str, Spanned] = members["nodes"].value if "nodes" in members else {}
    replacement = json.dumps(str(address))
    edits = [
        (published.start, published.end, replacement)
        for node in nodes.values()
        if "http" in node.value
        and (published := node.value["http"].value.get("publish_address")) is not None
    ]
    return replace_spans(text, edits).encode("latin-1")


def _read_nodes(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=_read_node, most=_MAX_NODES)


def _read_node(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    read_http = partial(read_object, most=_MAX_MEMBERS)
    return read_object(text, start, {"http": read_http}, most=_MAX_MEMBERS)
