"""Where the files of a static model are, in both layouts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sidecar.config.main_file import Model
from sidecar.models.sources import check_source, find_table


def install(site: Path, files: list[str]) -> None:
    """A package `words` as pip leaves it."""
    info = site / "words-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    for name in files:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(b"")


def test_a_package_has_table_and_tokenizer_in_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "words/weights/l2_supercat_256.safetensors"
    tokenizer = "words/tokenizers/l2_supercat_tokenizer_config.json"
    install(tmp_path, ["words/__init__.py", "words/other.json", table, tokenizer])
    monkeypatch.syspath_prepend(tmp_path)
    files = find_table(Model(kind="static", source="package:words"), tmp_path)
    assert (files.table, files.tokenizer) == (tmp_path / table, tmp_path / tokenizer)
    # The same layout as a folder.
    assert find_table(Model(kind="static", source="./words"), tmp_path) == files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.safetensors", "b.safetensors"], "has 2 files [*].safetensors"),
        (["a.safetensors"], "has no tokenizer for the table"),
        (["tokenizer.json"], "has 0 files [*].safetensors"),
        (
            ["a.safetensors", "x/tokenizer.json", "y/tokenizer.json"],
            "has 2 files [*]tokenizer.json",
        ),
    ],
)
def test_what_is_missing_or_there_twice_is_said(
    files: list[str], message: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        find_table(Model(kind="static", source="./model"), tmp_path)


def test_a_source_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    absent = check_source(Model(kind="static", source="package:no-such-words"), tmp_path)
    assert absent is not None
    assert "pip install no-such-words --no-deps" in absent
    (tmp_path / "m.jar").write_bytes(b"")
    jar = check_source(Model(kind="static", source="./m.jar"), tmp_path)
    assert jar is not None
    assert "from a folder, a package or the hub" in jar


@pytest.mark.parametrize("key", ["backend", "precision", "threads", "pooling", "query_prompt"])
def test_settings_of_an_engine_are_refused(key: str) -> None:
    values = {"backend": "onnx", "precision": "f32", "threads": 2, "pooling": "mean"}
    with pytest.raises(ValidationError, match=key):
        Model.model_validate({"kind": "static", "source": "./x", key: values.get(key, "query: ")})
