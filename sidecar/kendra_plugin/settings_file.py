"""Stores the Kendra plugin's settings of each index in a file of the sidecar.

    {"indexes": {"docs": {"order": 1, "properties.body_field": ["text"]}}}

Each change writes a new file, which then replaces the old one. So after a crash there is either the
old or the new content. Only one process may use the file; others would not see its changes.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sidecar.kendra_plugin.section import PluginRanking
from sidecar.kendra_plugin.settings import (
    NAMES,
    BadSetting,
    Value,
    Values,
    check_value,
    read_ranking,
)
from sidecar.spans.json_spans import NotJson, read_document, read_unique_value


class BadSettingsFile(ValueError):
    """The file cannot be used; the message says why and what to do."""


class PluginSettingsFile:
    """The settings of all indexes, in memory and in the file. Belongs to one event loop."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it exists. Raises BadSettingsFile."""
        self._path = path
        self._values = _read(path)
        rankings = ((index, read_ranking(values)) for index, values in self._values.items())
        self._rankings = {index: ranking for index, ranking in rankings if ranking is not None}
        self._writing = asyncio.Lock()
        self.locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """For those who change the settings of an index: one lock for each index."""

    def __contains__(self, index: str) -> bool:
        return index in self._values

    def values(self, index: str) -> Values:
        """The settings of an index; empty if it has none."""
        return self._values.get(index, {})

    @property
    def any_ranking(self) -> bool:
        """Whether the settings of any index are complete, so that its searches are rescored."""
        return bool(self._rankings)

    def ranking(self, index: str) -> PluginRanking | None:
        """The fields and window for searches of this index; None if its settings are incomplete."""
        return self._rankings.get(index)

    async def store(self, index: str, values: Values) -> None:
        """Set the settings of an index, first in memory and then in the file; empty removes them.

        Raises OSError if the file cannot be written. Then the change ends with the process.
        """
        if values == self.values(index):
            return
        self._values.pop(index, None)
        self._rankings.pop(index, None)
        if values:
            self._values[index] = dict(values)
            if (ranking := read_ranking(values)) is not None:
                self._rankings[index] = ranking
        async with self._writing:
            text = json.dumps({"indexes": self._values}, indent=2, sort_keys=True)
            await asyncio.to_thread(_write, self._path, text + "\n")


def check_settings_file(path: Path) -> None:
    """Raise BadSettingsFile if a running sidecar could not use the file `path`."""
    folder = path.parent
    if not folder.is_dir():
        raise BadSettingsFile(f"there is no folder {folder}; create it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadSettingsFile(f"the folder {folder} is not writable for this user")
    _read(path)


def _read(path: Path) -> dict[str, Values]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSettingsFile(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadSettingsFile(f"{path} is not UTF-8 text; move it away") from None
    try:
        indexes = read_document(text, read_unique_value)["indexes"]
        return {
            index: {name: _value(name, value) for name, value in settings.items()}
            for index, settings in indexes.items()
        }
    except (NotJson, BadSetting, KeyError, TypeError, AttributeError) as error:
        raise BadSettingsFile(
            f"{path} is no file of plugin settings; move it away ({error})"
        ) from None


def _value(name: str, value: Any) -> Value:
    if name not in NAMES:
        raise BadSetting(f"unknown setting {name}")
    return check_value(name, value)


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    # Otherwise the name could still refer to the old file after a crash of the machine.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
