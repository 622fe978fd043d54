"""An upstream that answers each search with the same documents, and notes the accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

DOCUMENTS = (
    "A shop that sells everything, for everybody.",
    "These red shoes keep warm in winter.",
    "Blue boots for the other seasons.",
    "Red wine for cold days.",
)


class SearchUpstream(ThreadingHTTPServer):
    """The upstream; `accounts` are the Authorization fields of the searches so far."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accounts: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, SearchUpstream)
        account = self.headers["Authorization"]
        self.server.accounts.append(account)
        hits = [
            {
                "_index": "docs",
                "_id": f"d{number}",
                "_score": 4.0 - number / 3,
                "_source": {"title": f"Shoes {number}", "body": body, "brand": f"brand {number}"},
            }
            for number, body in enumerate(DOCUMENTS)
        ]
        answer = {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": len(hits), "relation": "eq"},
                "max_score": 4.0,
                "hits": hits[: asked.get("size", 10)],
            },
        }
        wrong = account == "Basic wrong"
        # OpenSearch's security plugin answers so, not in JSON.
        content = b"Unauthorized" if wrong else json.dumps(answer).encode()
        self.send_response(401 if wrong else 200)
        self.send_header("Content-Type", "text/plain" if wrong else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def running_upstream() -> Iterator[SearchUpstream]:
    """Serve until the block ends."""
    server = SearchUpstream()
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
