"""`sidecar schema`, and the schemas that the shipped files name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from pipelines.plan import Plan
from sidecar.cli import main
from sidecar.config.main_file import MainFile
from tests.test_docs import yaml_samples

ROOT = Path(__file__).parent.parent.parent.parent
SHIPPED = sorted((ROOT / "config").rglob("*.yaml"))
SMALLEST: dict[str, dict[str, Any]] = {
    "main": {"upstream": {"urls": ["http://127.0.0.1:9200"]}},
    "plan": {"document": {"title": "title"}, "stages": [{"model": "minilm"}]},
}


def schema_of(file: str) -> dict[str, Any]:
    printed = CliRunner().invoke(main, ["schema", file], catch_exceptions=False)
    assert printed.exit_code == 0
    schema = json.loads(printed.stdout)
    Draft202012Validator.check_schema(schema)
    assert isinstance(schema, dict)
    return schema


def mistakes(file: str, data: Any) -> list[str]:
    errors = Draft202012Validator(schema_of(file)).iter_errors(data)
    return [f"{error.json_path}: {error.message}" for error in errors]


@pytest.mark.parametrize("file", ["main", "plan"])
def test_the_committed_schemas_are_what_the_command_prints(file: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "sidecar", "schema", file],
        capture_output=True,
        text=True,
        check=True,
    )
    committed = (ROOT / "docs" / "schema" / f"{file}.json").read_text()
    assert printed.stdout == committed, "run: make schema"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_files_name_their_schema_and_satisfy_it(path: Path) -> None:
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
    assert named, f"{path}: the first line names no schema"
    schema = (path.parent / named[1]).resolve()
    file = "plan" if path.parent.name in ("plans", "examples") else "main"
    assert schema == ROOT / "docs" / "schema" / f"{file}.json"
    assert mistakes(file, yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize(("name", "sample"), yaml_samples())
def test_samples_of_the_documentation_satisfy_the_schema(name: str, sample: str) -> None:
    data = yaml.safe_load(sample)
    assert mistakes("plan" if "stages" in data else "main", data) == []


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("main", {"rotues": []}),
        ("main", {"routes": [{"index": "docs"}]}),
        ("main", {"upstream": {"urls": []}}),
        ("main", {"models": {"a/b": {"kind": "bi-encoder", "source": "./m"}}}),
        ("main", {"models": {"m": {"kind": "encoder", "source": "./m"}}}),
        ("plan", {"rescore_window": 0}),
        ("plan", {"rescore_window": "many"}),
        ("plan", {"stages": []}),
        ("plan", {"fusion": {"method": "sum"}}),
        ("plan", {"document": {"titel": "title"}}),
    ],
)
def test_what_the_sidecar_refuses_is_marked(file: str, change: dict[str, Any]) -> None:
    assert mistakes(file, SMALLEST[file]) == []
    models: dict[str, type[BaseModel]] = {"main": MainFile, "plan": Plan}
    model = models[file]
    with pytest.raises(ValueError, match="validation error"):
        model.model_validate(SMALLEST[file] | change)
    assert mistakes(file, SMALLEST[file] | change)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("main", {"window_cache_s": "${SECONDS:-5}"}),
        ("main", {"models": {"m": {"kind": "${KIND}", "source": "${MODEL}"}}}),
        ("main", {"upstream": {"urls": ["${OPENSEARCH_URL}"], "forwarded_for": "${FORWARD}"}}),
        ("plan", {"rescore_window": "${WINDOW}"}),
        ("plan", {"document": {"title": ["a", {"field": "b", "label": "B"}], "body": "c"}}),
        ("plan", {"document": {"title": None, "body": {"field": "c"}}}),
    ],
)
def test_other_ways_to_write_a_value_are_not_marked(file: str, change: dict[str, Any]) -> None:
    assert mistakes(file, SMALLEST[file] | change) == []


def test_every_key_has_its_sentence() -> None:
    for file in ("main", "plan"):
        schema = schema_of(file)
        for owner in (schema, *schema["$defs"].values()):
            for key, value in owner.get("properties", {}).items():
                assert value.get("description"), f"{owner.get('title')}.{key}"
                assert "\n" not in value["description"]
