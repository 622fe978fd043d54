"""What is under deploy/ agrees with the code; where the tools are, they judge it too.

Helm and systemd's own checker are looked for in the path, and Kubernetes' schemas in the package
kubernetes-validate. A test that lacks one is skipped and says so.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.cli import main as sidecar_command
from sidecar.config_reading.config_files import read_config
from sidecar.metrics import Metrics

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "deploy" / "systemd" / "rescore-sidecar.service"
CHART = ROOT / "deploy" / "helm" / "rescore-sidecar"
BESIDE = ROOT / "deploy" / "helm" / "beside-opensearch.yaml"
KUBERNETES = "1.31.0"

Manifest = dict[str, Any]


def values() -> dict[str, Any]:
    found = yaml.safe_load((CHART / "values.yaml").read_text())
    assert isinstance(found, dict)
    return found


def unit() -> Mapping[str, Any]:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def grace_of_serve() -> float:
    return float(sidecar_command.commands["serve"].make_context("serve", []).params["grace"])


def check_command(command: list[str]) -> None:
    """The command line knows what a container or a unit starts."""
    group: Any = sidecar_command
    while command[0] in getattr(group, "commands", {}):
        group, command = group.commands[command[0]], command[1:]
    assert group is not sidecar_command
    assert group.make_context("sidecar", list(command)).params["config_path"] == Path(
        "/etc/rescore-sidecar/sidecar.yaml"
    )


# Without any tool.


def test_the_units_command_is_known_and_gets_its_time() -> None:
    service = unit()
    program, *command = shlex.split(service["ExecStart"])
    assert Path(program).name == "sidecar"
    check_command(command)
    assert int(service["TimeoutStopSec"]) > grace_of_serve()
    # Exit status 2 is a mistake in the configuration.
    assert service["RestartPreventExitStatus"] == "2"
    assert service["Type"] == "notify"


def test_the_units_folders_are_those_that_the_sidecar_uses() -> None:
    service = unit()
    assert service["CacheDirectory"] == "rescore-sidecar"
    assert "XDG_CACHE_HOME=/var/cache" in UNIT.read_text()
    # OpenVINO writes machine code, and reads /proc/cpuinfo.
    assert "MemoryDenyWriteExecute" not in service
    assert "ProcSubset" not in service


def test_the_charts_configuration_is_right(tmp_path: Path) -> None:
    data = values()
    ports = data["ports"]
    listeners = {"listen": f"0.0.0.0:{ports['proxy']}", "api_listen": f"0.0.0.0:{ports['api']}"}
    (tmp_path / "sidecar.yaml").write_text(yaml.safe_dump(data["config"] | listeners))
    (tmp_path / "plans").mkdir()
    for name, plan in data["plans"].items():
        (tmp_path / "plans" / f"{name}.yaml").write_text(yaml.safe_dump(plan))
    config = read_config(tmp_path / "sidecar.yaml", {"OPENSEARCH_URL": data["opensearchUrl"]})
    assert config.main.upstream.urls == (data["opensearchUrl"],)
    assert config.main.routes
    assert not config.warnings


def test_the_configuration_is_mounted_so_that_a_change_arrives() -> None:
    # Kubernetes never changes a file that is mounted with `subPath`.
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    assert "subPath" not in templates + BESIDE.read_text()
    assert values()["reload"] == "restart"
    # The annotation that starts new pods would hide what `watch` does.
    conditions = re.findall(r'if eq \.Values\.reload "(\w+)"', templates)
    assert sorted(conditions) == ["restart", "watch"]


def test_the_autoscaler_follows_a_metric_that_exists() -> None:
    metric = Metrics().model_queue
    assert metric._type == "gauge"
    assert values()["autoscaling"]["metric"] == metric._name


def test_the_chart_and_the_container_beside_opensearch_agree() -> None:
    data = values()
    [container] = yaml.safe_load(BESIDE.read_text())["extraContainers"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert container["image"] == f"{data['image']['repository']}:{chart['appVersion']}"
    check_command(container["args"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == data["ports"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": ports["api"]}
    assert container["resources"] == data["resources"]
    items = yaml.safe_load(BESIDE.read_text())["extraVolumes"][0]["configMap"]["items"]
    assert [item["path"] for item in items] == [
        "sidecar.yaml",
        *(f"plans/{name}.yaml" for name in data["plans"]),
    ]


def test_pods_may_take_as_long_as_serve_and_its_delay() -> None:
    data = values()
    longest = grace_of_serve() + data["stopDelaySeconds"]
    assert data["terminationGracePeriodSeconds"] > longest


def test_the_charts_application_is_the_version_of_a_tree_without_git() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert version["fallback-version"].startswith(chart["appVersion"])
    assert chart["version"] == chart["appVersion"]


# With the tools.


def helm(*arguments: str) -> str:
    program = os.environ.get("HELM") or shutil.which("helm")
    if program is None:
        pytest.skip("helm is not installed (in the path, or named by HELM)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout


ALL = (
    *("autoscaling.enabled=true", "serviceMonitor.enabled=true", "networkPolicy.enabled=true"),
    *("models.prepare=init", "existingSecret=opensearch", "service.annotations.a=b"),
    *("networkPolicy.proxyFrom[0].podSelector.matchLabels.app=shop", "nodeSelector.disk=ssd"),
    *("models.cache.existingClaim=models", "imagePullSecrets[0].name=registry", "reload=watch"),
)
SETTINGS = {
    "defaults": (),
    "all": ALL,
    "beside": (
        *("topology=beside", "service.selector.app=opensearch", "serviceMonitor.enabled=true"),
        "autoscaling.enabled=true",
    ),
}


def render(name: str) -> dict[str, Manifest]:
    """The manifests of a setting, by kind; each kind occurs once."""
    options = [word for setting in SETTINGS[name] for word in ("--set", setting)]
    text = helm("template", "shop", str(CHART), "--kube-version", KUBERNETES, *options)
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    assert len(by_kind) == len(manifests)
    return by_kind


@pytest.mark.parametrize("name", SETTINGS)
def test_helm_finds_nothing_wrong(name: str) -> None:
    options = [word for setting in SETTINGS[name] for word in ("--set", setting)]
    helm("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), *options)


@pytest.mark.parametrize("name", SETTINGS)
def test_kubernetes_knows_every_field(name: str) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="run: pip install kubernetes-validate"
    )
    # The Prometheus operator's kind is not one of Kubernetes' own.
    for kind, manifest in render(name).items():
        if kind != "ServiceMonitor":
            validate.validate(manifest, KUBERNETES, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_refused() -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="run: pip install kubernetes-validate"
    )
    deployment = render("defaults")["Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(validate.ValidationError, match="readynessProbe"):
        validate.validate(deployment, KUBERNETES, strict=True)


def test_the_kinds_of_each_topology() -> None:
    shared = {"ConfigMap", "Service", "Deployment", "ServiceAccount", "PodDisruptionBudget"}
    assert set(render("defaults")) == shared
    optional = {"HorizontalPodAutoscaler", "ServiceMonitor", "NetworkPolicy"}
    assert set(render("all")) == shared | optional
    assert set(render("beside")) == {"ConfigMap", "Service", "ServiceMonitor"}
    assert render("beside")["Service"]["spec"]["selector"] == {"app": "opensearch"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("topology=both",), "topology is shared or beside"),
        (("topology=beside",), "needs service.selector"),
        (("models.prepare=never",), "models.prepare is image or init"),
        (("reload=never",), "reload is restart or watch"),
        (
            ("topology=beside", "service.selector.app=x", "networkPolicy.enabled=true"),
            "networkPolicy is for topology shared",
        ),
    ],
)
def test_wrong_values_are_refused(settings: tuple[str, ...], message: str) -> None:
    options = [word for setting in settings for word in ("--set", setting)]
    with pytest.raises(AssertionError, match=message):
        helm("template", "shop", str(CHART), "--kube-version", KUBERNETES, *options)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_rendered_configuration_is_right(name: str, tmp_path: Path) -> None:
    manifests = render(name)
    data = manifests["ConfigMap"]["data"]
    if "Deployment" in manifests:
        volumes = manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]
        items = next(volume for volume in volumes if volume["name"] == "config")["configMap"][
            "items"
        ]
    else:
        items = yaml.safe_load(BESIDE.read_text())["extraVolumes"][0]["configMap"]["items"]
    assert {item["key"] for item in items} == set(data)
    for item in items:
        path = tmp_path / item["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(data[item["key"]])
    config = read_config(tmp_path / "sidecar.yaml", {"OPENSEARCH_URL": "http://opensearch:9200"})
    assert not config.warnings
    ports = {port["name"]: port["port"] for port in manifests["Service"]["spec"]["ports"]}
    assert ports == {"proxy": config.main.listen.port, "api": config.main.api_listen.port}


@pytest.mark.parametrize(("name", "mode"), [("defaults", "signal"), ("all", "watch")])
def test_a_change_starts_new_pods_or_the_pods_watch_it(name: str, mode: str) -> None:
    manifests = render(name)
    main = yaml.safe_load(manifests["ConfigMap"]["data"]["sidecar.yaml"])
    assert main.get("reload", "signal") == mode
    annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"] or {}
    assert ("checksum/config" in annotations) == (mode == "signal")


def test_the_rendered_parts_fit_together() -> None:
    manifests = render("all")
    deployment = manifests["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    [container], [first] = pod["containers"], pod["initContainers"]
    for one in (container, first):
        check_command(one["args"])
        mounts = {mount["name"] for mount in one["volumeMounts"]}
        assert mounts <= {volume["name"] for volume in pod["volumes"]}
        assert {"name": "XDG_CACHE_HOME", "value": "/cache"} in one["env"]
    assert "replicas" not in deployment
    labels = deployment["template"]["metadata"]["labels"].items()
    for selector in (
        deployment["selector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    monitored = manifests["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items()
    assert monitored <= manifests["Service"]["metadata"]["labels"].items()
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
    assert target == manifests["Deployment"]["metadata"]["name"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = "/readyz" if probe == "readinessProbe" else "/healthz"
        assert container[probe]["httpGet"] == {"path": path, "port": "api"}


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here, as the checker looks for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


def test_systemd_finds_nothing_wrong(installed_unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", installed_unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_judges_the_unit_to_be_well_locked_up(installed_unit: Path) -> None:
    # Tenths of its exposure level, from 0 (locked up) to 100.
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", installed_unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-400:]
