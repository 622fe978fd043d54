"""Keys of the YAML files that have a new name. For one release the old one works, with a warning.

To rename a key, add it here; the warning, `docs/reference.md` and a test follow from the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sidecar.config_reading.yaml_files import Mistake, YamlFile, YamlPath, write_path

MAIN_FILE_KEYS: Mapping[str, str] = {
    "api": "api_listen",
    "plans": "plans_folder",
    "listen_tls.certificate": "listen_tls.certificate_file",
    "listen_tls.key": "listen_tls.key_file",
    "api_tls.certificate": "api_tls.certificate_file",
    "api_tls.key": "api_tls.key_file",
    "upstream.tls.ca": "upstream.tls.ca_file",
    "passage_store_mb": "passage_store.memory_mb",
    "cache": "passage_store.folder",
    "kendra_plugin_settings": "kendra_plugin_settings_file",
    "apis.rerank.usage": "apis.rerank.usage_file",
    "apis.kendra_ranking.store": "apis.kendra_ranking.store_file",
    "apis.kendra.feedback": "apis.kendra.feedback_file",
}
"""The main file's renamed keys: dotted paths, old to new."""

PLAN_KEYS: Mapping[str, str] = {
    "query_text": "query_path",
    "passages.tokens": "passages.words",
    "passages.per_document": "passages.per_group",
}
"""A plan's renamed keys: dotted paths, old to new."""


class RenamedKey(NamedTuple):
    """An old key that a file uses. `given_twice`: the file has the new one as well."""

    old: YamlPath
    new: YamlPath
    given_twice: bool


def use_new_keys(data: dict[str, Any], renamed: Mapping[str, str]) -> list[RenamedKey]:
    """Put the values of old keys under their new ones, in place; the keys that were old.

    Where a file has both, the value of the new one stays.
    """
    keys = []
    for old, new in renamed.items():
        key = _move(data, tuple(old.split(".")), tuple(new.split(".")))
        if key is not None:
            keys.append(key)
    return keys


def translate(yaml: YamlFile, renamed: Mapping[str, str]) -> None:
    """The same for a file that was read: each old key is a warning, both keys are a mistake."""
    if yaml.data is None:
        return
    for key in use_new_keys(yaml.data, renamed):
        new = write_path(key.new)
        if key.given_twice:
            yaml.mistake(key.old, f"is the old name of {new}, which is given too; keep {new}")
            continue
        line = yaml.line_of(key.old)
        message = f"is now called {new}; the old key works in this release only"
        yaml.warnings.append(Mistake(yaml.file, line, write_path(key.old), message))
        yaml.move_lines(key.old, key.new)


def _move(data: dict[str, Any], old: YamlPath, new: YamlPath) -> RenamedKey | None:
    section = _section(data, old)
    if section is None or old[-1] not in section:
        return None
    for part in new[:-1]:
        # A file with an old key at its top may not have the new one's section yet.
        data = data.setdefault(str(part), {})
        if not isinstance(data, dict):
            # The section's own mistake is reported when the file is checked.
            section.pop(old[-1])
            return RenamedKey(old, new, given_twice=False)
    given_twice = new[-1] in data
    value = section.pop(old[-1])
    data.setdefault(str(new[-1]), value)
    return RenamedKey(old, new, given_twice)


def _section(data: Any, path: YamlPath) -> dict[str, Any] | None:
    """The mapping that the last part of a path is a key of; None if there is no such mapping."""
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else None
