"""The OpenSearch of docs/reach.md: `hybrid` searches get recorded-style answers.

The neural-search plugin cannot be installed on the nodes of the tests. All other requests go to a
node that is behind; without one, they get the same hits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.canned_node import serving_threads
from tests.reach.rows import DEFAULT_PIPELINES

DOCUMENTS = (
    {"title": "garden", "body": "paper and a kettle", "price": 1},
    {"title": "river", "body": "a copper river", "price": 2},
    {"title": "copper", "body": "a copper kettle", "price": 3},
    {"title": "kettle", "body": "a wooden handle for a kettle", "price": 4},
)


def _answer(search: dict[str, Any]) -> dict[str, Any]:
    hybrid = "hybrid" in search.get("query", {})
    scores = (1.0, 0.61, 0.35, 0.001) if hybrid else (0.9, 0.8, 0.7, 0.6)
    hits = [
        {"_index": "docs", "_id": str(place), "_score": score, "_source": source}
        for place, (score, source) in enumerate(zip(scores, DOCUMENTS, strict=True))
    ]
    start, size = search.get("from", 0), search.get("size", 10)
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": len(hits), "relation": "eq"},
            "max_score": scores[0],
            "hits": hits[start : start + size],
        },
    }


def _canned(target: str, body: bytes) -> dict[str, Any]:
    path = target.partition("?")[0].rstrip("/")
    if "/_settings/" in path:
        index, _, setting = path.strip("/").replace("/_settings/", " ").partition(" ")
        pipeline = DEFAULT_PIPELINES.get(index)
        return {index: {"settings": {setting: pipeline}}} if pipeline else {}
    if path.endswith("_msearch"):
        items = [json.loads(line) for line in body.splitlines()[1::2]]
        return {"took": 1, "responses": [{**_answer(item), "status": 200} for item in items]}
    return _answer(json.loads(body)) if path.endswith("_search") else {"count": len(DOCUMENTS)}


@contextmanager
def recorded_upstream(behind: tuple[str, int] | None = None) -> Iterator[str]:
    """Serves on a free port; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if behind is None or b'"hybrid"' in body:
                status, content = 200, json.dumps(_canned(self.path, body)).encode()
            else:
                connection = HTTPConnection(*behind, timeout=30)
                kind = self.headers.get("Content-Type", "application/json")
                connection.request(self.command, self.path, body, {"Content-Type": kind})
                response = connection.getresponse()
                status, content = response.status, response.read()
                connection.close()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with serving_threads(Handler) as url:
        yield url
