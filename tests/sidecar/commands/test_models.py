"""`sidecar models`, as it is typed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import main
from sidecar.models.prepared import find_prepared
from tests.tiny_cross_encoder import build_cross_encoder

MAIN = """\
upstream: {urls: ["http://127.0.0.1:9200"]}
cache: cache
models:
  words: {kind: bi-encoder, source: none, backend: fake}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "sidecar.yaml").write_text(MAIN)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", *arguments, "--config", "sidecar.yaml"])


def add_model(folder: Path, name: str, source: Path, *, more: str = "") -> None:
    line = f"  {name}: {{kind: cross-encoder, source: {source}, precision: f32{more}}}\n"
    with (folder / "sidecar.yaml").open("a") as file:
        file.write(line)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    weights = tmp_path / "tiny"
    weights.mkdir()
    build_cross_encoder(weights, ["the", "of", "in"])
    return weights


def test_a_model_without_weights_needs_no_preparing(folder: Path) -> None:
    listed = run("list")
    assert listed.exit_code == 0
    assert "words\n" in listed.stdout
    assert "needs no preparing" in listed.stdout
    prepared = run("prepare")
    assert (prepared.exit_code, prepared.stdout) == (0, "words: fake needs no preparing\n")


def test_a_model_is_prepared_and_listed_with_its_figures(folder: Path, tiny: Path) -> None:
    add_model(folder, "pairs", tiny)
    [_, before] = json.loads(run("list", "--json").stdout)
    assert (before["name"], before["prepared"], before["parity"]) == ("pairs", False, None)
    assert "not prepared; the next start does it" in run("list").stdout

    done = run("prepare", "pairs")
    assert done.exit_code == 0, done.output
    assert "pairs: prepared in " in done.stdout
    assert "Spearman 1.0000 on average" in done.stdout

    [_, after] = json.loads(run("list", "--json").stdout)
    assert after["prepared"] is True
    assert (after["precision"], after["problem"]) == ("f32", None)
    assert after["parity"]["spearman_mean"] > 0.9999
    assert after["bytes"] > 10_000
    assert Path(after["files"]) == find_prepared(Path(after["files"]).name, folder / "cache")
    assert "pairs: is prepared, " in run("prepare", "pairs").stdout
    figures = [line for line in run("list").stdout.splitlines() if "Spearman" in line]
    assert len(figures) == 1


def test_what_cannot_be_prepared_is_a_negative_answer(folder: Path, tmp_path: Path) -> None:
    add_model(folder, "broken", tmp_path / "tiny", more=", max_tokens: 16")
    (tmp_path / "tiny").mkdir()
    for name, text in {
        "config.json": '{"architectures": ["BertForSequenceClassification"]}',
        "model.safetensors": "",
        "tokenizer.json": "{}",
    }.items():
        (tmp_path / "tiny" / name).write_text(text)
    done = run("prepare")
    assert done.exit_code == 1
    assert done.stderr.startswith("model 'broken': ")
    assert done.stdout == "words: fake needs no preparing\n"


def test_an_unknown_name_is_wrong_usage(folder: Path) -> None:
    done = run("prepare", "nobody")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "no model nobody in sidecar.yaml; there are: words\n"
