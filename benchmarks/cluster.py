"""A real OpenSearch with the sample's documents in it, and a client that measures time.

The node runs as operators run it, with Java's optimising compiler, and has searched for a while:
until then, a search for 100 hits takes more than twice as long.
"""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, read_collection
from tests.nodes.node import OPENSEARCH_3, start_node

INDEX = "rescore-benchmark"
VERSION = OPENSEARCH_3.version
_CHUNK = 1000
_SIZES = (10, 25, 100)
_WARM_SECONDS = 45.0


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(
        self, method: str, path: str, body: str = "", plan: str | None = None
    ) -> tuple[float, str, bytes]:
        """Milliseconds, the `X-Rescore` field, the answer. Raises RuntimeError from status 300."""
        fields = {"Content-Type": "application/json"}
        if plan is not None:
            fields["X-Rescore-Plan"] = plan
        content = body.encode()
        started = time.perf_counter()
        self._connection.request(method, path, content, fields)
        response = self._connection.getresponse()
        answer = response.read()
        ms = (time.perf_counter() - started) * 1000
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
        return ms, response.getheader("X-Rescore") or "", answer


def search_body(query_text: str, start: int = 0, size: int = 10) -> str:
    """The search that applications send."""
    match = {"multi_match": {"query": query_text, "fields": ["title", "text"]}}
    return json.dumps({"query": match, "from": start, "size": size})


def bulk_body(index: str, first: int, count: int) -> str:
    """A bulk request that writes `count` documents of the sample under new ids."""
    documents = read_collection(SAMPLE).documents
    lines = []
    for number in range(first, first + count):
        document = documents[number % len(documents)]
        lines.append(json.dumps({"index": {"_index": index, "_id": str(number)}}))
        lines.append(json.dumps({"title": document.title, "text": document.text}))
    return "\n".join([*lines, ""])


@contextmanager
def loaded_cluster(documents: int) -> Iterator[str]:
    """The URL of a node with an index of that many documents, after many searches of it.

    Raises NotInstalled without Java."""
    with tempfile.TemporaryDirectory() as folder:
        node = start_node(OPENSEARCH_3, Path(folder), optimised=True)
        try:
            client = Client(node.url)
            settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
            client.ask("PUT", f"/{INDEX}", json.dumps(settings))
            texts = islice(endless_documents(read_collection(SAMPLE)), documents)
            while chunk := list(islice(texts, _CHUNK)):
                lines = []
                for one in chunk:
                    lines.append(json.dumps({"index": {"_id": one.id}}))
                    lines.append(json.dumps({"title": one.title, "text": one.text}))
                client.ask("POST", f"/{INDEX}/_bulk", "\n".join([*lines, ""]))
            client.ask("POST", f"/{INDEX}/_forcemerge?max_num_segments=1")
            client.ask("POST", f"/{INDEX}/_refresh")
            _search_for_a_while(client)
            yield node.url
        finally:
            node.stop()


def _search_for_a_while(client: Client) -> None:
    """Search, until the compiler has optimised the code that searches run."""
    end = time.monotonic() + _WARM_SECONDS
    for text in cycle(read_collection(SAMPLE).queries.values()):
        for size in _SIZES:
            client.ask("POST", f"/{INDEX}/_search", search_body(text, size=size))
        if time.monotonic() > end:
            return
