"""A sidecar that takes every search it can: its route is `*`, and its model changes no order.

So whatever differs from the node's own answer is a fault. The header `X-Rescore-Plan: words`
chooses a plan that does change the order.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.nodes.node import OPENSEARCH_3, Node
from tests.raw_http import send
from tests.running import running_sidecar
from tests.sidecar.relay.conftest import client, relay, start_relay, upstream
from tests.sidecar.relay.wire import ScriptedUpstream
from tests.traps.pair import IDENTITY, WORDS_FIRST, Pair, both_models, raw_request
from tests.traps.scripted import Before, before

__all__ = ["client", "either_pair", "pair", "relay", "sidecar", "start_relay", "upstream"]

INDEX = "traps"
_WORDS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}
_MAPPING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "properties": {
            "title": {"type": "text", "store": True},
            "body": {"type": "text"},
            "price": {"type": "double"},
            "n": {"type": "integer"},
            "kind": {"type": "keyword"},
            "suggest": {"type": "completion"},
            # Numbers of any size and spelling live in `_source` alone.
            "odd": {"type": "object", "enabled": False},
        }
    },
    "aliases": {"traps-alias": {}},
}


def _bulk() -> bytes:
    """30 documents, each with another score for `red`; `_source` as no JSON library writes it."""
    lines = []
    for number in range(30):
        lines.append(json.dumps({"index": {"_index": INDEX, "_id": str(number)}}))
        body = "red " * (number % 7 + 1) + "shoes \U0001f600 caf\u00e9 " * (number + 1)
        extra = "blue boots" if number == 3 else ""
        lines.append(
            f'{{ "title":"{number} red {extra}", "body" : "{body}", "price": 1.10, "n":{number},'
            f' "kind":"k{number % 3}", "suggest":"red {number}", "odd": {{"hits":{{"hits":[1E5]}},'
            '"big":18446744073709551616, "e":1.0E-5, "s":"\\ud83d", "slash":"\\/", "u":"\\u00e9"}}'
        )
    return ("\n".join(lines) + "\n").encode()


@contextmanager
def _running_pair(node: Node, folder: Path) -> Iterator[Pair]:
    mapping = json.dumps(_MAPPING).encode()
    for raw in (
        raw_request("PUT", f"/{INDEX}", mapping),
        raw_request("POST", "/_bulk?refresh=true&filter_path=errors", _bulk()),
    ):
        response = send(node.host, node.port, raw)
        assert response.status == 200, response.body
        assert b'"errors":true' not in response.body
    with running_sidecar(
        folder,
        node.url,
        {"identity": IDENTITY, "words": WORDS_FIRST},
        {"*": "identity"},
        both_models(),
        main={"models": {"words": _WORDS, "constant": _WORDS}},
    ) as sidecar:
        yield Pair(node, sidecar)
    send(node.host, node.port, raw_request("DELETE", f"/{INDEX}"))


@pytest.fixture(scope="package")
def pair(opensearch_3: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """OpenSearch 3 and a sidecar, with the index `traps` of 30 documents."""
    with _running_pair(opensearch_3, tmp_path_factory.mktemp("traps")) as running:
        yield running


@pytest.fixture(scope="package")
def either_pair(
    opensearch: Node, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """The same with each supported OpenSearch."""
    if opensearch.version == OPENSEARCH_3.version:
        yield request.getfixturevalue("pair")
        return
    with _running_pair(opensearch, tmp_path_factory.mktemp("traps-2")) as running:
        yield running


@pytest.fixture
async def sidecar(upstream: ScriptedUpstream, tmp_path: Path) -> AsyncIterator[Before]:
    """A sidecar before a scripted `upstream`."""
    async with before(upstream, tmp_path) as running:
        yield running
