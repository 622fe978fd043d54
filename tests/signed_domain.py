"""A stand-in for a managed OpenSearch: it verifies each signature with botocore's own code."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "eu-central-1"
ROLE = Credentials("ASIAROLE", "role/secret+1", "role-token==")
APP = Credentials("AKIAAPP", "app+secret/1")
OTHER = Credentials("AKIAOTHER", "other-secret")
TEMPORARY = Credentials("ASIATEMPORARY", "temporary-secret", "client-token==")
KEYS = (APP, OTHER, TEMPORARY)
HITS = ["garden paper", "silver river", "copper kettle"]


@dataclass
class Domain:
    """The stand-in: what it accepted, by method and target, and how often a signature was wrong."""

    service: str
    port: int = 0
    accepted: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    refused: int = 0

    def accepts(self, method: str, target: str, fields: Any, body: bytes) -> bool:
        """Whether botocore computes the same signature with the role's secret."""
        authorization = fields.get("Authorization", "")
        names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request = AWSRequest(method, f"http://{fields['Host']}{target}", data=body)
        for name in names:
            for value in fields.get_all(name, []):
                request.headers.add_header(name, value)
        unsigned = {name.lower() for name in fields} - {*names}
        request.context["timestamp"] = fields["X-Amz-Date"]
        auth = SigV4Auth(ROLE, self.service, REGION)
        text = auth.string_to_sign(request, auth.canonical_request(request))
        return (
            authorization.endswith("Signature=" + auth.signature(text, request))
            and f"Credential={ROLE.access_key}/" in authorization
            and fields["Host"] == f"127.0.0.1:{self.port}"
            and fields["X-Amz-Security-Token"] == ROLE.token
            and fields["X-Amz-Content-Sha256"] == hashlib.sha256(body).hexdigest()
            and {"host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} <= {*names}
            and unsigned <= {"authorization", "content-length", "user-agent", *OWN_UNSIGNED}
            and "x-rescore-caller" not in fields
        )


# What opensearch-py and aiohttp add to the sidecar's own calls, beside what is signed.
OWN_UNSIGNED = ("accept", "accept-encoding", "connection", "content-type")


@contextmanager
def domain(service: str, behind: tuple[str, int] | None = None) -> Iterator[Domain]:
    """A stand-in; `behind` is the OpenSearch that answers in its place, if there is one."""
    state = Domain(service)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if state.accepts(self.command, self.path, self.headers, body):
                fields = {name.lower(): value for name, value in self.headers.items()}
                state.accepted.append((self.command, self.path, fields, body))
                status, content = self.answer(body)
            else:
                state.refused += 1
                status, content = 403, b'{"message": "wrong signature"}'
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)

        def answer(self, body: bytes) -> tuple[int, bytes]:
            if behind is None:
                canned = reply(body) if "_search" in self.path else {"ok": True}
                return 200, json.dumps(canned).encode()
            connection = HTTPConnection(*behind, timeout=30)
            fields = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            connection.request(self.command, self.path, body or None, fields)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            return response.status, content

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(body: bytes) -> dict[str, Any]:
    asked = json.loads(body or b"{}")
    start, size = asked.get("from", 0), asked.get("size", 10)
    hits = [
        {"_index": "docs", "_id": str(place), "_score": 3.0 - place, "_source": {"body": text}}
        for place, text in enumerate(HITS)
    ]
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": 3, "relation": "eq"},
            "max_score": 3.0,
            "hits": hits[start : start + size],
        },
    }


def upstream_settings(folder: Path, state: Domain, clients: Any) -> dict[str, Any]:
    for key in KEYS:
        (folder / key.access_key).write_text(key.secret_key + "\n")
    (folder / "token").write_text(TEMPORARY.token or "")
    (folder / "role").write_text(ROLE.secret_key)
    (folder / "role-token").write_text(ROLE.token or "")
    return {
        "urls": [f"http://127.0.0.1:{state.port}"],
        "resign": {
            "region": REGION,
            "service": state.service,
            "body_mb": 2,
            "clients": clients,
            "credentials": {
                "access_key_id": ROLE.access_key,
                "secret_access_key_file": "role",
                "session_token_file": "role-token",
            },
        },
    }
