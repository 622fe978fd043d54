"""Which services the api listener offers, and to whom: the whole sidecar, its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.config_reading.config_files import ConfigError, read_config
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar

RERANK = {"query": "copper kettle", "documents": ["a wooden spoon", "a copper kettle"]}
CREATE = "AWSKendraRerankingFrontendService.CreateRescoreExecutionPlan"


def serving(folder: Path, main: dict[str, Any] | None = None) -> Any:
    # Nobody listens at this upstream; no service of the api listener needs it.
    return running_sidecar(folder, "http://127.0.0.1:9", {"fused": {}}, {}, main=main)


def rerank(sidecar: Sidecar) -> RawResponse:
    return request(sidecar.api, "POST", "/v1/rerank", RERANK)


def create_plan(sidecar: Sidecar) -> RawResponse:
    return request(sidecar.api, "POST", "/", {"Name": "plan"}, {"X-Amz-Target": CREATE})


def test_on_loopback_the_services_are_there_by_themselves(tmp_path: Path) -> None:
    with serving(tmp_path) as sidecar:
        answer = rerank(sidecar)
        untouched = list(tmp_path.glob("*.sqlite*"))
        created = create_plan(sidecar)
    assert [item["index"] for item in json.loads(answer.body)["results"]] == [1, 0]
    assert untouched == []
    assert set(json.loads(created.body)) == {"Id", "Arn"}


def test_beyond_loopback_a_service_without_keys_is_not_there(tmp_path: Path) -> None:
    with serving(tmp_path, {"api_listen": "0.0.0.0:0"}) as sidecar:
        address = ("127.0.0.1", sidecar.api.port)
        healthy = request(address, "GET", "/healthz")
        refused = request(address, "POST", "/v1/rerank", RERANK)
        unknown = request(address, "POST", "/", {"Name": "plan"}, {"X-Amz-Target": CREATE})
    assert (healthy.status, refused.status, unknown.status) == (200, 404, 404)


def test_a_service_can_be_switched_off(tmp_path: Path) -> None:
    main = {"apis": {"rerank": None, "kendra_ranking": None}}
    with serving(tmp_path, main) as sidecar:
        assert rerank(sidecar).status == 404
        assert create_plan(sidecar).status == 404


@pytest.mark.parametrize("service", ["rerank", "kendra_ranking"])
def test_asking_for_an_open_service_beyond_loopback_is_a_mistake(
    tmp_path: Path, service: str
) -> None:
    with (
        pytest.raises(ConfigError, match=f"apis.{service}: has no keys"),
        serving(tmp_path, {"api_listen": "0.0.0.0:0", "apis": {service: {}}}),
    ):
        pass


def test_a_plan_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    main = {"apis": {"rerank": {"plan": "other"}, "kendra_ranking": {"plan": "third"}}}
    with pytest.raises(ConfigError) as raised, serving(tmp_path, main):
        pass
    assert sorted(line.split(": ", 1)[1] for line in str(raised.value).splitlines()) == [
        "apis.kendra_ranking.plan: there is no plan third (there are: fused)",
        "apis.rerank.plan: there is no plan other (there are: fused)",
    ]


def test_keys_open_a_service_to_others(tmp_path: Path) -> None:
    keys = {"bearer": {"keys": {"shop": "s3cret"}}, "tencent": None}
    with serving(tmp_path, {"api_listen": "0.0.0.0:0", "apis": {"rerank": keys}}) as sidecar:
        address = ("127.0.0.1", sidecar.api.port)
        without = request(address, "POST", "/v1/rerank", RERANK)
        with_key = request(
            address, "POST", "/v1/rerank", RERANK, {"Authorization": "Bearer s3cret"}
        )
    assert (without.status, with_key.status) == (401, 200)


def test_a_store_that_cannot_be_used_stops_the_start_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    main = {"apis": {"kendra_ranking": {"store_file": "store"}}}
    with (
        pytest.raises(Exception, match=r"apis\.kendra_ranking\.store_file: cannot use "),
        serving(tmp_path, main),
    ):
        pass


def test_the_shipped_configuration_serves_them(tmp_path: Path) -> None:
    config = read_config(Path(__file__).parents[2] / "config" / "sidecar.yaml", {})
    assert config.main.apis.rerank is not None
    assert config.main.apis.kendra_ranking is not None
