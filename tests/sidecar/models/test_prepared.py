"""Prepared folders: whole or not there, under a key of what decides them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.config.main_file import Model
from sidecar.models.prepared import (
    Manifest,
    default_cache,
    find_prepared,
    new_prepared,
    prepared_key,
    read_manifest,
    write_manifest,
)

MANIFEST = Manifest(
    kind="bi-encoder",
    backend="openvino",
    precision="auto",
    forms=("int8", "f32"),
    max_tokens=256,
    dimensions=384,
    pad_id=0,
    reads_types=False,
    query_prompt="query: ",
    passage_prompt="",
)


def fill(cache: Path, key: str = "k", manifest: Manifest = MANIFEST) -> Path:
    with new_prepared(key, cache) as folder:
        (folder / "graph.bin").write_bytes(b"weights")
        write_manifest(folder, manifest)
    return cache / "prepared" / key


def test_a_folder_is_there_when_it_is_whole(tmp_path: Path) -> None:
    with new_prepared("k", tmp_path) as folder:
        write_manifest(folder, MANIFEST)
        assert find_prepared("k", tmp_path) is None
    found = find_prepared("k", tmp_path)
    assert found is not None
    assert read_manifest(found) == MANIFEST


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_prepared("k", tmp_path) as folder:
            (folder / "graph.bin").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / "prepared").iterdir()) == []


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    fill(tmp_path, "other")
    for name, age in ((".k-old", 90_000), (".k-new", 60)):
        (tmp_path / "prepared" / name).mkdir()
        then = time.time() - age
        os.utime(tmp_path / "prepared" / name, (then, then))
    fill(tmp_path)
    assert sorted(path.name for path in (tmp_path / "prepared").iterdir()) == [
        ".k-new",
        "k",
        "other",
    ]


def test_of_two_at_once_the_first_stays(tmp_path: Path) -> None:
    with new_prepared("k", tmp_path) as slower:
        write_manifest(slower, MANIFEST)
        (slower / "mine").touch()
        quicker = fill(tmp_path)
    assert (quicker / "graph.bin").read_bytes() == b"weights"
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["k"]


def test_a_damaged_manifest_says_what_to_delete(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    for text in ("", "[]", "{}", '{"forms": []}'):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=r"prepared/k is damaged; delete it"):
            read_manifest(folder)


def test_the_key_is_made_of_what_decides_the_result(model_folder: Callable[..., Path]) -> None:
    folder = model_folder("weights")
    model = Model(kind="bi-encoder", source="./weights")
    key = prepared_key(model, folder)
    assert key == prepared_key(model.model_copy(update={"threads": 1}), folder)
    for change in ({"max_tokens": 64}, {"backend": "onnx"}, {"precision": "bf16"}):
        assert key != prepared_key(model.model_copy(update=change), folder)
    (folder / "model.safetensors").write_text("other")
    assert key != prepared_key(model, folder)


def test_the_configured_cache_comes_before_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert default_cache() == tmp_path / "user" / "rescore-sidecar"
    users = fill(default_cache())
    assert find_prepared("k", None) == users
    assert find_prepared("k", tmp_path / "mine") == users
    assert find_prepared("k", tmp_path / "mine") != fill(tmp_path / "mine")
    assert find_prepared("k", tmp_path / "mine") == tmp_path / "mine" / "prepared" / "k"


def test_a_relative_cache_of_the_environment_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert default_cache() == Path.home() / ".cache" / "rescore-sidecar"
