"""One node asked twice, directly and through a sidecar, and the answers compared byte by byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.fake import FakeCrossEncoder
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took, send
from tests.running import Sidecar, request

_X_RESCORE = re.compile(rb"(?im)^x-rescore: [^\r]*\r\n")
_DRAWN = re.compile(
    rb'"_scroll_id"\s*:\s*"[^"]*"|"pit_id"\s*:\s*"[^"]*"|TASK_RESOURCE_USAGE: [^\r]*'
    rb'|"creation_time"\s*:\s*\d+|"(?:phase_took|profile)"\s*:.*'
)
"""What a node measures or draws anew in each answer, beside `took`."""


class ConstantModel:
    """A cross-encoder that finds all texts alike, so that every hit keeps its place."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return np.ones(len(texts), np.float32)


IDENTITY = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "stages": [{"model": "constant"}],
    "fusion": {"method": "replace"},
    "scores": "positional",
}
WORDS_FIRST = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
    "scores": "model",
}


def both_models() -> Models:
    """`words` counts shared words, `constant` says nothing."""
    return Models(
        {
            "words": CrossEncoderScorer("words", FakeCrossEncoder(), Metrics()),
            "constant": CrossEncoderScorer("constant", ConstantModel(), Metrics()),
        }
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """A node, and a sidecar in front of it."""

    node: Node
    sidecar: Sidecar

    def send(self, raw: bytes) -> tuple[RawResponse, RawResponse]:
        """The answers to the same bytes: direct, and through the sidecar."""
        direct = send(self.node.host, self.node.port, raw)
        return direct, send(*self.sidecar.proxy, raw)

    def same(self, raw: bytes) -> RawResponse:
        """Send the same bytes both ways; the answers agree to the byte. Returns the proxied one."""
        direct, through = self.send(raw)
        assert plain_head(through) == plain_head(direct)
        assert plain_body(through) == plain_body(direct)
        return through

    def same_search(
        self, target: str, body: object = None, fields: Mapping[str, str] | None = None
    ) -> str:
        """The same for a search, whose rescored answer may have its fields in another order.

        Returns the value of `X-Rescore`.
        """
        method = "GET" if body is None else "POST"
        addresses = (self.node.host, self.node.port), self.sidecar.proxy
        direct, through = (request(to, method, target, body, fields) for to in addresses)
        assert plain_body(through) == plain_body(direct)
        lines = [sorted(plain_head(answer).lower().split(b"\r\n")) for answer in (through, direct)]
        assert lines[0] == lines[1]
        return outcome(through)

    def search(self, target: str, body: object, **fields: str) -> dict[str, Any]:
        """A search through the sidecar that succeeds, parsed; `_` in a field's name is `-`."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        response = request(self.sidecar.proxy, "POST", target, body, named)
        assert response.status == 200, response.body
        parsed: dict[str, Any] = json.loads(response.body)
        return parsed

    def direct(self, method: str, target: str, body: object = None) -> dict[str, Any]:
        """An exchange with the node itself that succeeds, parsed."""
        response = request((self.node.host, self.node.port), method, target, body)
        assert response.status in (200, 201), response.body
        parsed: dict[str, Any] = json.loads(response.body)
        return parsed


def outcome(response: RawResponse) -> str:
    """The one value of `X-Rescore`, or nothing."""
    values = response.values("X-Rescore")
    assert len(values) < 2
    return values[0] if values else ""


def plain_head(response: RawResponse) -> bytes:
    """The head without what may differ: our field, the node's measurements."""
    return _DRAWN.sub(b"", mask_content_length(_X_RESCORE.sub(b"", response.head)))


def plain_body(response: RawResponse) -> bytes:
    """The body without the node's measurements and names drawn anew."""
    return _DRAWN.sub(b"", mask_took(response.body))


def raw_request(method: str, target: bytes | str, body: bytes = b"", *fields: bytes | str) -> bytes:
    """A request as bytes; a body is JSON, with its length."""
    spelled = target if isinstance(target, bytes) else target.encode()
    lines = [b"%s %s HTTP/1.1" % (method.encode(), spelled), b"Host: opensearch:9200"]
    named = b"\r\n".join(_bytes(field).lower() for field in fields)
    if body and b"content-type:" not in named:
        lines.append(b"Content-Type: application/json")
    if body and b"transfer-encoding:" not in named:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, *map(_bytes, fields), b"", body])


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
