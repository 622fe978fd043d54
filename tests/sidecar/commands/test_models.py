"""`sidecar models`, as it is typed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import main
from sidecar.models.prepared import find_prepared
from sidecar.models.students.readings import read_readings
from tests.tiny_cross_encoder import build_cross_encoder
from tests.tiny_models import build_bi_encoder

MAIN = """\
upstream: {urls: ["http://127.0.0.1:9200"]}
passage_store: {folder: cache}
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
    assert "needs no preparation" in listed.stdout
    prepared = run("prepare")
    assert (prepared.exit_code, prepared.stdout) == (0, "words: fake needs no preparation\n")


def test_a_model_is_prepared_and_listed_with_its_figures(folder: Path, tiny: Path) -> None:
    add_model(folder, "pairs", tiny)
    [_, before] = json.loads(run("list", "--json").stdout)
    assert (before["name"], before["prepared"], before["parity"]) == ("pairs", False, None)
    assert "not yet; the next start prepares it" in run("list").stdout

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
    assert (after["computed_in"], after["refused"]) == ("f32", [])
    assert (after["stored_as"], after["milliseconds"]) == (["f32"], {})
    assert "pairs: already prepared, " in run("prepare", "pairs").stdout
    figures = [line for line in run("list").stdout.splitlines() if "Spearman" in line]
    assert len(figures) == 1


def test_what_was_not_taken_is_listed_with_its_reason(folder: Path, tiny: Path) -> None:
    add_model(folder, "pairs", tiny)
    assert run("prepare").exit_code == 0
    [_, listed] = json.loads(run("list", "--json").stdout)
    [verdict] = Path(listed["files"]).glob("verdict-*.json")
    values = json.loads(verdict.read_text())
    refused = {"refused": ["int8 drifts", "bf16 drifts"], "milliseconds": {}}
    verdict.write_text(json.dumps(values | refused))
    lines = run("list").stdout.splitlines()
    assert [line.split(None, 1)[1] for line in lines if "rejected" in line] == [
        "int8 drifts",
        "bf16 drifts",
    ]


def test_a_model_of_another_processor_is_listed_as_such(folder: Path, tiny: Path) -> None:
    add_model(folder, "pairs", tiny)
    assert run("prepare").exit_code == 0
    [_, listed] = json.loads(run("list", "--json").stdout)
    for verdict in Path(listed["files"]).glob("verdict-*.json"):
        verdict.unlink()
    [_, listed] = json.loads(run("list", "--json").stdout)
    assert (listed["parity"], listed["computed_in"], listed["precision"]) == (None, None, None)
    assert listed["stored_as"] == ["f32"]
    assert (
        "measured on another kind of processor; the next start measures here" in run("list").stdout
    )


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
    assert done.stdout == "words: fake needs no preparation\n"


def test_an_unknown_name_is_wrong_usage(folder: Path) -> None:
    done = run("prepare", "nobody")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "no model nobody in sidecar.yaml; there are: words\n"


def test_a_model_with_a_student_also_gets_its_word_pieces_read(folder: Path) -> None:
    source = build_bi_encoder(folder / "published")
    with (folder / "sidecar.yaml").open("a") as file:
        file.write(f"  vectors: {{kind: bi-encoder, source: {source}, precision: f32}}\n")
    plan = "document: {body: body}\nstages: [{model: vectors}]\nfusion: {method: additive}\n"
    (folder / "plans" / "fused.yaml").write_text(plan)
    prepared = run("prepare", "vectors")
    assert prepared.exit_code == 0, prepared.output
    [_, listed] = json.loads(run("list", "--json").stdout)
    assert read_readings(Path(listed["files"]) / "readings.npz", 32) is not None
