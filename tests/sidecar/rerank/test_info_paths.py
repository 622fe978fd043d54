"""What clients ask before they rerank, over a real socket."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import pytest

from tests.raw_http import RawResponse
from tests.sidecar.rerank.api import Api
from tests.sidecar.rerank.conftest import Serve

GUARDED = ("/info", "/models", "/v1/models", "/v1/models/any-name")


def body(answer: RawResponse) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize("slash", ["", "/"])
def test_info_has_what_dify_and_ragflow_read(serve: Serve, slash: str) -> None:
    with serve(max_documents=7, max_tokens=900) as api:
        answer = api.send("GET", f"/info{slash}")
    assert answer.status == 200
    info = body(answer)
    # Dify takes the first key for the kind of the model.
    assert list(info["model_type"]) == ["reranker"]
    assert (info["max_client_batch_size"], info["max_input_length"]) == (7, 900)
    assert (info["model_id"], info["version"]) == ("fused", version("rescore-sidecar"))


@pytest.mark.parametrize("path", GUARDED)
def test_a_key_is_needed_where_there_are_keys(serve: Serve, path: str) -> None:
    with serve(bearer={"keys": {"shop": "k1"}}) as api:
        refused = api.send("GET", path)
        taken = api.send("GET", path, fields={"Authorization": "Bearer k1"})
        assert (refused.status, body(refused)["error"]["type"]) == (401, "unauthorized")
        assert refused.values("WWW-Authenticate") == ["Bearer"]
        assert taken.status == 200
        labels = {"api": "info", "key": "shop", "outcome": "ok"}
        assert api.metric("rescore_api_requests_total", **labels) == 1


@pytest.mark.parametrize("path", ["/health", "/ping", "/health/"])
def test_health_needs_no_key_and_waits_for_the_models(serve: Serve, path: str) -> None:
    keys = {"keys": {"shop": "k1"}}
    with serve(bearer=keys) as api:
        ready = api.send("GET", path)
    with serve(bearer=keys, loading=True) as api:
        loading = api.send("GET", path)
    assert (ready.status, body(ready)["status"]) == (200, "ok")
    assert (loading.status, body(loading)) == (503, {"status": "loading"})


def test_xinferences_client_learns_whether_to_send_a_key(serve: Serve) -> None:
    for keys in ({}, {"shop": "k1"}):
        with serve(bearer={"keys": keys}) as api:
            answer = api.send("GET", "/v1/cluster/auth")
        assert (answer.status, body(answer)) == (200, {"auth": bool(keys)})


def test_info_paths_share_the_rate_of_the_others(serve: Serve) -> None:
    with serve(requests_per_second=0.01) as api:
        assert api.send("GET", "/info").status == 200
        refused = api.send("GET", "/v1/models")
        assert refused.status == 429
        assert int(refused.values("Retry-After")[0]) > 90
        assert api.send("GET", "/health").status == 200


@pytest.mark.parametrize("path", ["/v1/models/", "/models/"])
@pytest.mark.parametrize("name", ["BAAI%2Fbge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_name_is_a_model_as_in_requests(api: Api, path: str, name: str, slash: str) -> None:
    """OpenAI's client does not escape the slash in a name."""
    found = body(api.send("GET", path + name + slash))
    assert (found["id"], found["model_type"]) == ("BAAI/bge-reranker-v2-m3", "rerank")


@pytest.mark.parametrize("name", ["x" * 257, "/"])
def test_a_name_has_bounds(api: Api, name: str) -> None:
    assert api.send("GET", "/v1/models/" + name).status == 400


def test_paths_are_only_there_with_the_apis(serve: Serve) -> None:
    with serve(bearer=None) as api:
        assert {api.send("GET", path).status for path in (*GUARDED, "/health")} == {404}
