"""The main file's `kendra_plugin_settings_file`: what has to be there for it."""

from pathlib import Path

import pytest

from sidecar.config_reading.config_files import ConfigError, read_config

MAIN = """\
upstream: {urls: ["http://127.0.0.1:9200"]}
models:
  words: {kind: bi-encoder, source: words, backend: fake}
kendra_plugin_settings_file: %s
"""
PLAN = """\
document: {title: title, body: body}
stages:
  - {model: words}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "kendra-intelligent-ranking.yaml").write_text(PLAN)
    return tmp_path


def mistakes(folder: Path, file: str) -> list[str]:
    (folder / "sidecar.yaml").write_text(MAIN % file)
    try:
        read_config(folder / "sidecar.yaml", {})
    except ConfigError as error:
        return [line.replace(f"{folder}/", "") for line in str(error).splitlines()]
    return []


def test_the_file_is_seen_from_the_main_file_and_need_not_be_there(folder: Path) -> None:
    (folder / "state").mkdir()
    assert mistakes(folder, "state/settings.json") == []
    assert list((folder / "state").iterdir()) == []


def test_the_folder_has_to_be_there(folder: Path) -> None:
    assert mistakes(folder, "none/settings.json") == [
        "sidecar.yaml:4: kendra_plugin_settings_file: there is no folder none; create it"
    ]


def test_the_file_has_to_be_one_of_settings(folder: Path) -> None:
    (folder / "settings.json").write_text('{"indexes": {"docs": {"order": "many"}}}')
    (mistake,) = mistakes(folder, "settings.json")
    assert mistake.startswith(
        "sidecar.yaml:4: kendra_plugin_settings_file: settings.json is no file of plugin settings; "
        "move it away (Failed to parse value [many] "
    )


def test_the_plan_of_its_searches_has_to_be_there(folder: Path) -> None:
    (folder / "plans" / "kendra-intelligent-ranking.yaml").rename(folder / "plans" / "other.yaml")
    assert mistakes(folder, "settings.json") == [
        "sidecar.yaml:4: kendra_plugin_settings_file: needs a plan kendra-intelligent-ranking, "
        "which the searches of its indexes get"
    ]
