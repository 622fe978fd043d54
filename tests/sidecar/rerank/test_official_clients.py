"""The vendors' own clients, unchanged but for the address, against the door on a real socket."""

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.rerank.api import Api
from tests.sidecar.rerank.client_programs import ClientProgram
from tests.sidecar.rerank.conftest import Serve

QUERY = "red apple"
DOCUMENTS = ["a green pear", "a red apple", "a red shoe, naïve – 赤い"]
KEY = {"id": "AKIDlocal", "secret": "s3cret"}
SIGNED = {"tencent": {"keys": {"shop": KEY}}}
RELEVANCES: list[Any] = [[1, 0.7310586], [2, 0.6224593], [0, 0.5]]


def tencent(program: ClientProgram, api: Api, **arguments: Any) -> Any:
    given = {"id": KEY["id"], "key": KEY["secret"], "query": QUERY, "documents": DOCUMENTS}
    return program.ask(client="tencent", url=api.url, arguments={**given, **arguments})


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"method": "GET"},
        {"unsigned": True},
        {"method": "GET", "unsigned": True},
        {"region": ""},
    ],
    ids=str,
)
def test_tencent_python_sdk_signs_and_gets_logits(
    official: ClientProgram, serve: Serve, how: dict[str, Any]
) -> None:
    with serve(**SIGNED) as api:
        answer = tencent(official, api, **how)
    assert answer["scores"] == [0.0, 1.0, 0.5]
    assert answer["tokens"] > 0
    assert str(uuid.UUID(answer["request_id"])) == answer["request_id"]


@pytest.mark.parametrize("signing", ["HmacSHA1", "HmacSHA256"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_tencent_python_sdk_with_old_signatures(
    official: ClientProgram, serve: Serve, signing: str, method: str
) -> None:
    settings = {"tencent": {"keys": {"shop": KEY}, "old_signatures": True}}
    with serve(**settings) as api:
        assert tencent(official, api, signing=signing, method=method)["scores"] == [0, 1, 0.5]
        wrong = tencent(official, api, signing=signing, method=method, key="other")
    assert wrong["code"] == "AuthFailure.SignatureFailure"
    with serve(**SIGNED) as api:
        refused = tencent(official, api, signing=signing, method=method)
    assert refused["code"] == "AuthFailure.InvalidAuthorization"


def test_tencent_python_sdk_without_keys(official: ClientProgram, api: Api) -> None:
    assert tencent(official, api)["scores"] == [0.0, 1.0, 0.5]
    assert tencent(official, api, documents=["x"] * 20)["scores"] == [0.0] * 20


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"key": "wrong"}, "AuthFailure.SignatureFailure"),
        ({"id": "nobody"}, "AuthFailure.SecretIdNotFound"),
        ({"documents": ["x"] * 21}, "InvalidParameterValue"),
        ({"query": " "}, "InvalidParameterValue"),
        ({"query": None}, "MissingParameter"),
        ({"documents": None}, "MissingParameter"),
    ],
)
def test_tencent_python_sdk_understands_errors(
    official: ClientProgram, serve: Serve, arguments: dict[str, Any], code: str
) -> None:
    with serve(**SIGNED) as api:
        answer = tencent(official, api, **arguments)
    assert answer["code"] == code
    assert answer["message"]
    assert uuid.UUID(answer["request_id"])


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_tencent_go_sdk(go_client: Path, serve: Serve, method: str) -> None:
    def call(key: str, *documents: str) -> Any:
        command = [str(go_client), api.url.removeprefix("http://"), method, KEY["id"], key, QUERY]
        ran = subprocess.run(
            [*command, *documents], capture_output=True, text=True, check=False, timeout=30
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    with serve(**SIGNED) as api:
        answer = call(KEY["secret"], *DOCUMENTS)
        assert answer["scores"] == [0, 1, 0.5]
        assert answer["tokens"] > 0
        assert call("wrong", *DOCUMENTS)["code"] == "AuthFailure.SignatureFailure"
        assert call(KEY["secret"], *["x"] * 21)["code"] == "InvalidParameterValue"


@pytest.mark.parametrize("client", ["cohere_v1", "cohere_v2"])
def test_cohere(official: ClientProgram, serve: Serve, client: str) -> None:
    def call(**arguments: Any) -> Any:
        given = {"key": "k1", "query": QUERY, "documents": DOCUMENTS}
        return official.ask(client=client, url=api.url, arguments={**given, **arguments})

    with serve(bearer={"keys": {"shop": "k1"}}, max_documents=3) as api:
        answer = call()
        assert answer["results"] == RELEVANCES
        assert answer["units"] == 1
        assert call(top_n=1)["results"] == RELEVANCES[:1]
        assert call(key="k2")["error"] == "UnauthorizedError"
        refused = call(documents=["x"] * 4)
    assert refused["error"] == "BadRequestError"
    assert refused["body"]["message"] == "4 documents, at most 3 are allowed"


def test_cohere_v1_with_objects(official: ClientProgram, api: Api) -> None:
    documents = [{"title": "red", "text": "apple"}, {"title": "green", "text": "red apple"}]
    answer = official.ask(
        client="cohere_v1",
        url=api.url,
        arguments={
            "key": "k",
            "query": QUERY,
            "documents": documents,
            "rank_fields": ["title"],
            "return_documents": True,
        },
    )
    assert answer["results"] == [[0, 0.6224593], [1, 0.5]]
    assert answer["documents"] == ["apple", "red apple"]


def test_cohere_names_its_errors(official: ClientProgram, serve: Serve) -> None:
    arguments = {"key": "k", "query": QUERY, "documents": DOCUMENTS}
    with serve(loading=True) as api:
        answer = official.ask(client="cohere_v2", url=api.url, arguments=arguments)
    assert (answer["error"], answer["status"]) == ("ServiceUnavailableError", 503)


def test_voyage(official: ClientProgram, serve: Serve) -> None:
    def call(**arguments: Any) -> Any:
        given = {"key": "k1", "query": QUERY, "documents": DOCUMENTS}
        return official.ask(client="voyage", url=api.url, arguments={**given, **arguments})

    with serve(bearer={"keys": {"shop": "k1"}}) as api:
        answer = call()
        assert answer["results"] == RELEVANCES
        assert answer["documents"] == [DOCUMENTS[index] for index, _ in RELEVANCES]
        assert answer["tokens"] > 0
        assert call(top_k=2)["results"] == RELEVANCES[:2]
        assert call(key="k2") == {
            "error": "AuthenticationError",
            "message": "this API key is not valid",
        }


def test_langchain_and_llama_index(frameworks: ClientProgram, serve: Serve) -> None:
    def call(*clients: str) -> Any:
        asked = {"clients": clients, "key": "k1", "query": QUERY, "documents": DOCUMENTS}
        return frameworks.ask(url=api.url, **asked)

    best = [[DOCUMENTS[index], score] for index, score in RELEVANCES[:2]]
    with_keys = (
        *("langchain_cohere", "langchain_voyage", "llama_index_cohere", "llama_index_tei"),
        "llama_index_jina",
    )
    with serve(bearer={"keys": {"shop": "k1"}}) as api:
        assert call(*with_keys) == dict.fromkeys(with_keys, best)
    with serve() as api:
        # It cannot send a key.
        assert call("llama_index_xinference") == {"llama_index_xinference": best}
