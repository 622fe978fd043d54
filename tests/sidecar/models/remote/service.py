"""A scripted service on a real socket: it answers each call as the test says, and keeps them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

from sidecar.models.backends.fake import FakeBiEncoder, FakeCrossEncoder
from tests.canned_node import serving_threads

Answer = Callable[[str, Any], Any]
"""Path and JSON of a call to JSON, or to bytes, to a number (a status), or to `DROP` or `HANG`."""

DROP = object()
HANG = object()


class Service:
    """A running service. `calls` has path, JSON and header fields of each call."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.url = ""
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.connections = 0
        self.released = threading.Event()

    def close_connections(self) -> None:
        """Let each connection end after its next answer."""
        self.closing = True

    closing = False


@contextmanager
def running_service(answer: Answer) -> Iterator[Service]:
    """Serve until the end of the block."""
    service = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            service.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            call = json.loads(body) if body else None
            service.calls.append((self.path, call, dict(self.headers)))
            said = service.answer(self.path, call)
            if said is HANG:
                service.released.wait(60)
            if said is DROP or said is HANG:
                self.close_connection = True
                return
            status, content = (said, b"{}") if isinstance(said, int) else (200, said)
            whole = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(whole)))
            if service.closing:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(whole)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with serving_threads(Handler) as url:
        service.url = url
        try:
            yield service
        finally:
            service.released.set()


def rank(_: str, call: Any) -> Any:
    """Cohere's form: the share of the query's words in a document, as a probability."""
    shares = FakeCrossEncoder().score_pairs(call["query"], call["documents"])
    results = [
        {"index": index, "relevance_score": 0.1 + 0.8 * float(share)}
        for index, share in enumerate(shares)
    ]
    return {"results": sorted(results, key=lambda one: -one["relevance_score"])}


def embed(_: str, call: Any) -> Any:
    """OpenAI's form: the fake bi-encoder's vectors, in another order than that of the texts."""
    vectors = FakeBiEncoder().embed_passages(call["input"])
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(np.round(vectors * 3, 6).tolist())
    ]
    return {"object": "list", "model": call["model"], "data": data[::-1]}
