"""A server that answers every search like OpenSearch, with the same hits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXTS = ("a copper pan", "a kettle", "a copper kettle", "a copper kettle handle")


def answer() -> bytes:
    """The answer to a search: one hit for each text."""
    hits = [
        {"_index": "docs", "_id": f"secret-id-{n}", "_score": 9.0 - n, "_source": {"body": text}}
        for n, text in enumerate(TEXTS)
    ]
    return json.dumps(
        {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": 4, "relation": "eq"}, "max_score": 9.0, "hits": hits},
        }
    ).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = answer()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def serving_threads(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port, one thread for each connection; yields the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def canned_node() -> Iterator[str]:
    """Such a server; yields its URL."""
    with serving_threads(_Handler) as url:
        yield url
