"""Unpacking a released archive into the cache folder: once, and wholly or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.nodes.maven import unpack


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rescore-sidecar"


def test_an_archive_is_unpacked_once(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "plugin-3.4.0.0.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("config/roles.yml", "{}")
    assert unpack(archive) == cache / "plugin-3.4.0.0"
    archive.unlink()
    assert (unpack(archive) / "config" / "roles.yml").read_text() == "{}"
    assert [path.name for path in cache.iterdir()] == ["plugin-3.4.0.0"]


def test_a_damaged_archive_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "plugin-3.4.0.0.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("first", "x")
        packed.writestr("second", "content of the second file")
    archive.write_bytes(
        archive.read_bytes().replace(b"content of the second", b"c0ntent of the second")
    )
    with pytest.raises(zipfile.BadZipFile):
        unpack(archive)
    assert list(cache.iterdir()) == []
