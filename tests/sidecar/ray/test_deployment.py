"""What may be served on Ray, and how many replicas there may be."""

import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.main_file import Address, Config, MainFile
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.cores import usable_cores
from sidecar.ray.deployment import NothingToServe, application, check_serving, find_most_replicas
from sidecar.ray.replica import find_served
from sidecar.ray.service import ServiceFailed, check_free

WORDS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}
GRAPH = {"kind": "cross-encoder", "source": "some/graph"}
FAR = {
    "kind": "cross-encoder",
    "source": "far",
    "backend": "remote",
    "scores": "logit",
    "url": "http://127.0.0.1:1",
    "api": "cohere",
}


def config(**keys: Any) -> Config:
    upstream = {"urls": ["http://127.0.0.1:9200"]}
    models = {"words": WORDS}
    return Config(MainFile.model_validate({"upstream": upstream, "models": models, **keys}), {})


def test_remote_models_are_left_out_and_graphs_compute_with_the_replicas_cores() -> None:
    models = {"words": WORDS, "far": FAR, "graph": GRAPH, "own": {**GRAPH, "threads": 5}}
    main = config(models=models, ray={"replicas": {"cores": 3}}).main
    threads = {name: model.threads for name, model in find_served(main).items()}
    assert threads == {"words": None, "graph": 3, "own": 5}


def test_a_configuration_without_a_model_of_its_own_is_refused() -> None:
    with pytest.raises(NothingToServe, match="not backend: remote"):
        check_serving(config(models={"far": FAR}))


@pytest.mark.parametrize("is_open", [False, True])
def test_another_address_than_loopback_needs_keys(tmp_path: Path, is_open: bool) -> None:
    bearer = "{}" if is_open else "{keys: {sidecars: abc}}"
    (tmp_path / "plans").mkdir()
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "upstream: {urls: ['http://127.0.0.1:9200']}\n"
        "models: {words: {kind: cross-encoder, source: words, backend: fake}}\n"
        f"apis: {{rerank: {{bearer: {bearer}}}}}\n"
        "ray: {listen: '0.0.0.0:8000'}\n"
    )
    if is_open:
        with pytest.raises(ConfigError, match=r"ray\.listen: everybody who reaches"):
            read_config(file, {})
        with pytest.raises(NothingToServe, match=r"ray\.listen"):
            check_serving(config(ray={"listen": "0.0.0.0:8000"}))
    else:
        assert not check_serving(read_config(file, {})).listen.is_loopback


@pytest.mark.parametrize(
    ("replicas", "most"),
    [
        ({}, usable_cores()),
        ({"cores": 200}, 1),
        ({"cores": 200, "min": 3}, 3),
        ({"max": 7}, 7),
    ],
)
def test_replicas_have_room_on_the_machine_unless_the_configuration_says_more(
    replicas: dict[str, int], most: int
) -> None:
    assert find_most_replicas(check_serving(config(ray={"replicas": replicas}))) == most


def test_port_0_and_a_range_of_replicas_that_is_upside_down_are_refused() -> None:
    with pytest.raises(ValueError, match="port 0"):
        config(ray={"listen": "127.0.0.1:0"})
    with pytest.raises(ValueError, match="max must be at least min"):
        config(ray={"replicas": {"min": 2, "max": 1}})


def test_an_address_in_use_is_a_message() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceFailed, match=f"cannot listen on 127.0.0.1:{port}: Address alre"):
            check_free(Address("127.0.0.1", port))


def test_serve_run_gets_no_unknown_argument() -> None:
    with pytest.raises(NothingToServe, match="there is no argument file"):
        application({"file": "x"})
