"""Every door of the api listener: how it is called in raw bytes, and what its errors look like."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2

from sidecar.config.main_file import Address
from tests.raw_http import RawResponse, read_response
from tests.running import WORDS, Sidecar, running_sidecar

PLAN_ID = "a1b2c3d4-0000-4000-8000-000000000001"
INDEX_ID = "11111111-2222-4333-8444-555555555555"

_RANKING = "AWSKendraRerankingFrontendService"
_KENDRA = "AWSKendraFrontendService"


@dataclass(frozen=True)
class Door:
    """One way into the listener. `reason` gives the word for the error in an answer, and fails
    when the answer is not in the door's own form. `words`: by cause, as its errors name it."""

    name: str
    target: str
    reason: Callable[[RawResponse], str]
    words: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)

    def head(self, *more: str) -> bytes:
        """The head of a POST with these lines as well."""
        lines = [f"POST {self.target} HTTP/1.1", "Host: sidecar"]
        lines += [f"{name}: {value}" for name, value in self.fields.items()]
        return "\r\n".join([*lines, *more, "", ""]).encode()

    def post(self, body: bytes, *more: str) -> bytes:
        """A whole POST."""
        return self.head(f"Content-Length: {len(body)}", *more) + body


def _aws(answer: RawResponse) -> str:
    body = json.loads(answer.body)
    assert body["message"] == body["Message"] != ""
    (name,) = answer.values("x-amzn-ErrorType")
    assert body["__type"] == name
    return f"{answer.status} {name}"


def _aws_cbor(answer: RawResponse) -> str:
    assert answer.values("smithy-protocol") == ["rpc-v2-cbor"]
    return f"{answer.status} {cbor2.loads(answer.body)['__type']}"


def _bearer(answer: RawResponse) -> str:
    body = json.loads(answer.body)
    assert body["message"] == body["detail"] == body["error"]["message"] != ""
    return f"{answer.status} {body['error']['type']}"


def _undecided(answer: RawResponse) -> str:
    body = json.loads(answer.body)
    if isinstance(body["error"], dict):
        # The body was read, and so it is Infinity's.
        return _bearer(answer)
    assert body["message"] == body["detail"] == body["error"] != ""
    return f"{answer.status} {body['error_type']}"


def _tencent(answer: RawResponse) -> str:
    assert answer.status == 200
    assert answer.values("Content-Type") == ["application/json"]
    return str(json.loads(answer.body)["Response"]["Error"]["Code"])


_AWS_WORDS = {
    "malformed": "400 SerializationException",
    "too_large": "400 SerializationException",
    "late": "408 RequestTimeoutException",
    "crowded": "400 ThrottlingException",
}
_V_WORDS = {
    "malformed": "400 malformed",
    "too_large": "413 too_large",
    "late": "408 late",
    "crowded": "503 overload",
}
DOORS = (
    Door("v1", "/v1/rerank", _bearer, _V_WORDS),
    Door("v2", "/v2/rerank", _bearer, _V_WORDS),
    Door("nvidia", "/v1/ranking", _bearer, _V_WORDS),
    Door("score", "/v1/score", _bearer, _V_WORDS),
    Door("embeddings", "/v1/embeddings", _bearer, _V_WORDS),
    Door(
        "rerank",
        "/rerank",
        _undecided,
        {
            "malformed": "422 validation",
            "too_large": "413 validation",
            "late": "408 validation",
            "crowded": "429 overloaded",
        },
    ),
    Door(
        "tencent",
        "/",
        _tencent,
        {
            "malformed": "InvalidParameter",
            "too_large": "RequestSizeLimitExceeded",
            "late": "FailedOperation",
            "crowded": "FailedOperation",
        },
        {"X-TC-Action": "RunRerank", "Content-Type": "application/json"},
    ),
    Door(
        "ranking-json",
        "/",
        _aws,
        _AWS_WORDS,
        {"X-Amz-Target": f"{_RANKING}.Rescore", "Content-Type": "application/x-amz-json-1.0"},
    ),
    Door(
        "ranking-cbor",
        f"/service/{_RANKING}/operation/Rescore",
        _aws_cbor,
        {**_AWS_WORDS, "crowded": "429 ThrottlingException"},
        {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
    ),
    Door("ranking-rest", f"/rescore-execution-plans/{PLAN_ID}/rescore", _aws, _AWS_WORDS),
    Door("kendra", "/", _aws, _AWS_WORDS, {"X-Amz-Target": f"{_KENDRA}.Query"}),
)


@contextmanager
def serving_doors(folder: Path, **limits: int) -> Iterator[Sidecar]:
    """A sidecar with all doors, these limits, and nobody at its upstream."""
    indexes: dict[str, Any] = {
        INDEX_ID: {"index": "docs", "plan": "fused", "fields": {"title": "title", "body": "body"}}
    }
    apis = {"kendra": {"indexes": indexes}, "kendra_ranking": {"auto_plan": PLAN_ID}, "rerank": {}}
    models = {"words": WORDS, "vectors": {**WORDS, "kind": "bi-encoder"}}
    main = {"apis": apis, "limits": limits, "models": models}
    with running_sidecar(folder, "http://127.0.0.1:9", {"fused": {}}, {}, main=main) as sidecar:
        yield sidecar


@contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
    """A connection on which nothing may take more than half a minute."""
    with socket.create_connection(address, 30) as connection:
        yield connection


def ask(address: Address, *parts: bytes, ends: bool = False) -> RawResponse:
    """Send these bytes and read the answer; `ends` closes our half of the connection before."""
    with connected(address) as connection:
        for part in parts:
            connection.sendall(part)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return read_response(stream, b"POST")
