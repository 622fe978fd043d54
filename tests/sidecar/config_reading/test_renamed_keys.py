"""Old keys work for one release: each with one warning, and never beside the new one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.main_file import Config
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.config_reading.renamed_keys import MAIN_FILE_KEYS, PLAN_KEYS

TLS = {"certificate_file": "server.pem", "key_file": "server.key"}
MAIN: dict[str, Any] = {
    "api_listen": "127.0.0.1:9999",
    "listen_tls": dict(TLS),
    "api_tls": dict(TLS),
    "upstream": {"urls": ["https://127.0.0.1:9200"], "tls": {"ca_file": "ca.pem"}},
    "models": {"words": {"kind": "bi-encoder", "source": "words", "backend": "fake"}},
    "plans_folder": "my-plans",
    "kendra_plugin_settings_file": "settings.json",
    "passage_store": {"memory_mb": 17, "folder": "vectors"},
    "apis": {
        "rerank": {"usage_file": "usage.sqlite"},
        "kendra_ranking": {"store_file": "store.sqlite"},
        "kendra": {"feedback_file": "feedback.jsonl"},
    },
}
PLAN: dict[str, Any] = {
    "query_path": "query.match.body",
    "document": {"body": "body"},
    "passages": {"words": 33, "per_group": 2},
    "stages": [{"model": "words"}],
}
PLAN_NAME = "kendra-intelligent-ranking"
RENAMED = [
    *(("sidecar.yaml", old, new) for old, new in MAIN_FILE_KEYS.items()),
    *((f"{PLAN_NAME}.yaml", old, new) for old, new in PLAN_KEYS.items()),
]


@pytest.fixture
def folder(tmp_path: Path, certificates: Path) -> Path:
    for name in ("server.pem", "server.key", "ca.pem"):
        (tmp_path / name).write_bytes((certificates / name).read_bytes())
    (tmp_path / "my-plans").mkdir()
    write(tmp_path)
    return tmp_path


def write(folder: Path, file: str = "", data: dict[str, Any] | None = None) -> None:
    """Write the configuration with new keys, or one file of it with other data."""
    files = {"sidecar.yaml": MAIN, f"{PLAN_NAME}.yaml": PLAN}
    for name, content in {**files, **({file: data} if data else {})}.items():
        path = folder / name if name == "sidecar.yaml" else folder / "my-plans" / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))


def read(folder: Path) -> Config:
    return read_config(folder / "sidecar.yaml", {})


def with_old_key(file: str, old: str, new: str, keep_new: bool = False) -> dict[str, Any]:
    data = copy.deepcopy(MAIN if file == "sidecar.yaml" else PLAN)
    section = section_of(data, new)
    name = new.split(".")[-1]
    section_of(data, old)[old.split(".")[-1]] = section[name]
    if not keep_new:
        del section[name]
    return data


def section_of(data: dict[str, Any], path: str) -> dict[str, Any]:
    for name in path.split(".")[:-1]:
        data = data[name]
    return data


def line_of(text: str, path: str) -> int:
    """The line of a dotted path in YAML with one key a line."""
    lines, number = text.splitlines(), -1
    for name in path.split("."):
        number = next(
            n
            for n in range(number + 1, len(lines))
            if lines[n].strip() == f"{name}:" or lines[n].strip().startswith(f"{name}: ")
        )
    return number + 1


def test_every_renamed_key_is_in_this_test_under_its_new_name(folder: Path) -> None:
    assert read(folder).warnings == ()
    for file, _, new in RENAMED:
        data = MAIN if file == "sidecar.yaml" else PLAN
        assert new.split(".")[-1] in section_of(data, new), new


@pytest.mark.parametrize(("file", "old", "new"), RENAMED, ids=lambda value: value)
def test_an_old_key_works_with_one_warning(folder: Path, file: str, old: str, new: str) -> None:
    expected = read(folder)
    write(folder, file, with_old_key(file, old, new))
    path = next(folder.rglob(file))
    config = read(folder)
    assert config == expected._replace(warnings=config.warnings)
    assert config.warnings == (
        f"{path}:{line_of(path.read_text(), old)}: {old}: is now called {new}; "
        "the old key works in this release only",
    )


@pytest.mark.parametrize(("file", "old", "new"), RENAMED, ids=lambda value: value)
def test_old_and_new_together_are_a_mistake(folder: Path, file: str, old: str, new: str) -> None:
    write(folder, file, with_old_key(file, old, new, keep_new=True))
    path = next(folder.rglob(file))
    with pytest.raises(ConfigError) as raised:
        read(folder)
    assert str(raised.value) == (
        f"{path}:{line_of(path.read_text(), old)}: {old}: is the old name of {new}, "
        f"which is given too; keep {new}"
    )


def test_a_mistake_below_an_old_key_has_its_line(folder: Path) -> None:
    data = with_old_key("sidecar.yaml", "passage_store_mb", "passage_store.memory_mb")
    data["passage_store_mb"] = 0
    write(folder, "sidecar.yaml", data)
    line = line_of((folder / "sidecar.yaml").read_text(), "passage_store_mb")
    with pytest.raises(ConfigError) as raised:
        read(folder)
    assert str(raised.value).startswith(
        f"{folder}/sidecar.yaml:{line}: passage_store.memory_mb: should be greater than"
    )


def test_old_keys_may_be_merged_from_an_anchor(folder: Path) -> None:
    text = (folder / "sidecar.yaml").read_text()
    old = "listen_tls: &tls\n  certificate: server.pem\n  key: server.key\n"
    new = "listen_tls:\n  certificate_file: server.pem\n  key_file: server.key\n"
    api = "api_tls:\n  certificate_file: server.pem\n  key_file: server.key\n"
    assert new in text
    assert api in text
    expected = read(folder)
    text = text.replace(new, old).replace(api, "api_tls: {<<: *tls}\n")
    (folder / "sidecar.yaml").write_text(text)
    config = read(folder)
    assert config == expected._replace(warnings=config.warnings)
    assert [warning.split(": ")[1] for warning in config.warnings] == [
        *("listen_tls.certificate", "listen_tls.key", "api_tls.certificate", "api_tls.key"),
    ]


@pytest.mark.parametrize("section", [None, [], "x"])
def test_a_section_that_is_none_is_the_only_mistake(folder: Path, section: object) -> None:
    data = {**copy.deepcopy(MAIN), "passage_store": section, "cache": "vectors"}
    write(folder, "sidecar.yaml", data)
    with pytest.raises(ConfigError, match="passage_store: must be a mapping of keys to values"):
        read(folder)
