"""The file of the Kendra plugin's index settings: what it stores, and when it cannot be used."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from pipelines.plan import DocumentFields
from sidecar.kendra_plugin.section import PluginRanking
from sidecar.kendra_plugin.settings_file import (
    BadSettingsFile,
    PluginSettingsFile,
    check_settings_file,
)

WHOLE: dict[str, int | tuple[str, ...]] = {
    "order": 1,
    "properties.body_field": ("b",),
    "properties.doc_limit": 30,
}
RANKING = PluginRanking(DocumentFields(body=("b",)), 30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


async def test_what_is_stored_is_there_for_the_next_process(path: Path) -> None:
    settings_file = PluginSettingsFile(path)
    await settings_file.store("docs", WHOLE)
    await settings_file.store("späße", {"order": 2})
    for one in (settings_file, PluginSettingsFile(path)):
        assert "docs" in one
        assert one.values("docs") == WHOLE
        assert one.ranking("docs") == RANKING
        assert "späße" in one
        assert one.ranking("späße") is None
        assert "other" not in one
        assert one.values("other") == {}
        assert one.ranking("other") is None


async def test_no_settings_are_not_kept(path: Path) -> None:
    settings_file = PluginSettingsFile(path)
    await settings_file.store("docs", WHOLE)
    await settings_file.store("docs", {})
    for one in (settings_file, PluginSettingsFile(path)):
        assert "docs" not in one
        assert one.ranking("docs") is None


def test_the_file_is_written_only_for_a_change(path: Path) -> None:
    settings_file = PluginSettingsFile(path)
    asyncio.run(settings_file.store("docs", {}))
    assert not path.exists()
    asyncio.run(settings_file.store("docs", WHOLE))
    path.unlink()
    asyncio.run(settings_file.store("docs", dict(WHOLE)))
    assert not path.exists()


async def test_changes_at_once_are_all_in_the_file(path: Path) -> None:
    settings_file = PluginSettingsFile(path)
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(
                settings_file.store(f"index-{number}", {**WHOLE, "order": number + 1})
            )
    again = PluginSettingsFile(path)
    orders = [again.values(f"index-{number}")["order"] for number in range(20)]
    assert orders == list(range(1, 21))
    assert os.listdir(path.parent) == [path.name]


def test_a_write_that_fails_leaves_the_old_file(path: Path) -> None:
    settings_file = PluginSettingsFile(path)
    asyncio.run(settings_file.store("docs", WHOLE))
    before = path.read_bytes()
    path.with_name(path.name + ".new").mkdir()
    with pytest.raises(OSError, match="directory"):
        asyncio.run(settings_file.store("docs", {"order": 2}))
    assert path.read_bytes() == before
    assert settings_file.values("docs") == {"order": 2}


def test_what_a_crash_left_behind_is_no_harm(path: Path) -> None:
    path.with_name(path.name + ".new").write_text('{"indexes": {"do')
    settings_file = PluginSettingsFile(path)
    asyncio.run(settings_file.store("docs", WHOLE))
    assert PluginSettingsFile(path).values("docs") == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"indexes": []}',
        '{"indexes": {"docs": 1}}',
        '{"indexes": {"docs": {"unknown": 1}}}',
        '{"indexes": {"docs": {"order": 0}}}',
        '{"indexes": {"docs": {"order": null}}}',
        '{"indexes": {"docs": {"properties.body_field": ["a", "b"]}}}',
        '{"indexes": {"docs": {"order": 1}, "docs": {"order": 1}}}',
    ],
)
def test_another_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BadSettingsFile, match=r"settings\.json is no file of plugin settings"):
        PluginSettingsFile(path)
    assert path.read_text() == text


def test_a_file_is_checked_without_being_made(path: Path) -> None:
    check_settings_file(path)
    assert not path.exists()
    path.write_bytes(b"\xff")
    with pytest.raises(BadSettingsFile, match="not UTF-8"):
        check_settings_file(path)
    with pytest.raises(BadSettingsFile, match="there is no folder"):
        check_settings_file(path.parent / "none" / "settings.json")
    with pytest.raises(BadSettingsFile, match="cannot be read: Is a directory"):
        check_settings_file(path.parent)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(path: Path) -> None:
    path.parent.chmod(0o500)
    with pytest.raises(BadSettingsFile, match="not writable"):
        check_settings_file(path)


def test_a_person_can_read_it(path: Path) -> None:
    asyncio.run(PluginSettingsFile(path).store("docs", WHOLE))
    assert json.loads(path.read_text()) == {
        "indexes": {
            "docs": {"order": 1, "properties.body_field": ["b"], "properties.doc_limit": 30}
        }
    }
