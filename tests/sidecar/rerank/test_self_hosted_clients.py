"""Clients of self-hosted servers, LiteLLM and Haystack, unchanged but for the address."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.clients.programs import Command
from tests.sidecar.rerank.client_programs import ClientProgram
from tests.sidecar.rerank.conftest import Serve

QUERY = "red apple"
DOCUMENTS = ["a green pear", "a red apple", "a red shoe, naïve – 赤い"]
ASK = {"key": "k1", "query": QUERY, "documents": DOCUMENTS}
KEYS = {"bearer": {"keys": {"shop": "k1"}}}
BEST: list[Any] = [[1, 0.7310586], [2, 0.6224593]]


def test_infinity_client(servers: ClientProgram, serve: Serve) -> None:
    with serve(**KEYS) as api:
        answer = servers.ask(client="infinity", url=api.url, **ASK)
    assert answer["results"] == [[*best, DOCUMENTS[best[0]]] for best in BEST]
    assert answer["tokens"] > 0
    assert answer["dimensions"] == 256
    assert answer["models"] == [["fused", ["rerank"]], ["vectors", ["embed"]]]
    assert answer["healthy"]


def test_hugging_face_hub(servers: ClientProgram, serve: Serve) -> None:
    with serve(**KEYS) as api:
        answer = servers.ask(client="hugging_face", url=api.url, **ASK)
    assert answer["shape"] == [1, 256]
    green, apple, shoe = answer["similarity"]
    assert apple > shoe > green == 0


def test_xinference_client(servers: ClientProgram, serve: Serve) -> None:
    with serve(**KEYS) as api:
        answer = servers.ask(client="xinference", url=api.url, **ASK)
    assert answer["kind"] == "RESTfulRerankModelHandle"
    assert answer["models"] == ["fused", "vectors"]
    assert answer["results"] == [[*best, DOCUMENTS[best[0]]] for best in BEST]


def test_openai_client(servers: ClientProgram, serve: Serve) -> None:
    with serve(**KEYS) as api:
        answer = servers.ask(client="openai", url=api.url, **ASK)
    assert answer["same"]
    assert answer["count"] == 3
    assert answer["tokens"] > 0
    assert answer["models"] == ["fused", "vectors"]
    assert "arrays of tokens are not accepted" in answer["refused"]


@pytest.mark.parametrize(
    "provider", ["cohere", "jina_ai", "infinity", "hosted_vllm", "huggingface", "voyage"]
)
def test_litellm_rerank(litellm_gateway: ClientProgram, serve: Serve, provider: str) -> None:
    with serve(**KEYS) as api:
        answer = litellm_gateway.ask(what="rerank", provider=provider, url=api.url, **ASK)
    assert answer == BEST


def test_litellm_embedding(litellm_gateway: ClientProgram, serve: Serve) -> None:
    with serve(**KEYS) as api:
        answer = litellm_gateway.ask(what="embed", provider="openai", url=api.url, **ASK)
    assert answer == 3


def test_haystack_rankers(haystack_rankers: ClientProgram, serve: Serve) -> None:
    with serve(**KEYS) as api:
        answers = haystack_rankers.ask(url=api.url, **ASK)
    best = [[DOCUMENTS[index], score] for index, score in BEST]
    assert answers == dict.fromkeys(("cohere", "jina", "tei", "vllm"), best)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("signing", ["TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"])
def test_tencent_node_sdk(node_client: Command, serve: Serve, method: str, signing: str) -> None:
    keys = {"shop": {"id": "AKIDlocal", "secret": "s3cret"}}

    def call(secret: str) -> Any:
        address = api.url.removeprefix("http://")
        arguments = (address, method, signing, "AKIDlocal", secret, QUERY, *DOCUMENTS)
        ran = subprocess.run(
            [*node_client, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    with serve(tencent={"keys": keys, "old_signatures": True}) as api:
        answer = call("s3cret")
        assert answer["scores"] == [0, 1, 0.5]
        assert answer["tokens"] > 0
        assert call("wrong")["code"] == "AuthFailure.SignatureFailure"
