"""Reads one YAML file as plain data, and keeps the line of everything in it.

It is strict where YAML is lenient: a key that is given twice is a mistake, and so is a name in
`${NAME}` that the environment does not have. Reading does not stop at a mistake; all are collected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

# A place in a file: the keys and list positions that lead to a value.
YamlPath = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})")


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong in a configuration, and where."""

    file: str
    line: int
    """Counts from 1; 0 when it is the file as a whole."""

    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


def write_path(path: YamlPath) -> str:
    """Write a path as people do: `routes[0].plan`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


@dataclass(slots=True)
class YamlFile:
    """One file after reading: its data, the line of each path in it, and its mistakes so far.

    `warnings` are places that work but should be changed.
    """

    file: str
    data: Any = None
    lines: dict[YamlPath, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)

    def mistake(self, path: YamlPath, message: str) -> None:
        """Note a mistake at the path's line."""
        self.mistakes.append(Mistake(self.file, self.line_of(path), write_path(path), message))

    def line_of(self, path: YamlPath) -> int:
        """The line of a path, or of the nearest thing around it that the file has."""
        around = (path[:end] for end in range(len(path), -1, -1))
        return next((self.lines[outer] for outer in around if outer in self.lines), 0)

    def move_lines(self, old: YamlPath, new: YamlPath) -> None:
        """Give what is under the path `new` the lines of what is under `old`."""
        for path, line in list(self.lines.items()):
            if path[: len(old)] == old:
                self.lines[new + path[len(old) :]] = line
        # A key that was merged in with `<<` has no line of its own.
        nearest = self.line_of(old)
        for end in range(1, len(new) + 1):
            self.lines.setdefault(new[:end], nearest)


def read_yaml(path: Path, environment: Mapping[str, str]) -> YamlFile:
    """Read the file; `data` is None if nothing in it can be used.

    Strings have `${NAME}` and `${NAME:-default}` replaced from `environment`; `$$` is a dollar.
    """
    file = YamlFile(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        file.mistakes.append(
            Mistake(file.file, 0, "", f"cannot be read: {error.strerror or error}")
        )
        return file
    except UnicodeDecodeError:
        file.mistakes.append(Mistake(file.file, 0, "", "is not YAML: it is not UTF-8 text"))
        return file
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            file.mistakes.append(Mistake(file.file, 0, "", "is empty"))
            return file
        _note_lines(node, (), file, ())
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        line = mark.line + 1 if mark else 0
        file.mistakes.append(Mistake(file.file, line, "", f"is not YAML: {problem}"))
        return file
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        file.mistakes.append(Mistake(file.file, 0, "", f"is not YAML: {problem}"))
        return file
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        file.mistakes.append(Mistake(file.file, 1, "", "must be a mapping of keys to values"))
        return file
    file.data = _fill_in(data, (), file, environment)
    return file


def _note_lines(
    node: yaml.Node, path: YamlPath, file: YamlFile, around: tuple[yaml.Node, ...]
) -> None:
    """Note the line of each path under the node, and each key that is given twice."""
    file.lines.setdefault(path, node.start_mark.line + 1)
    if node in around:
        raise yaml.constructor.ConstructorError(
            None, None, "an alias that contains itself", node.start_mark
        )
    around = (*around, node)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                line = key.start_mark.line + 1
                where = write_path((*path, name))
                file.mistakes.append(
                    Mistake(file.file, line, where, "is given twice; keep one of them")
                )
            seen.add(name)
            file.lines[(*path, name)] = key.start_mark.line + 1
            _note_lines(value, (*path, name), file, around)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _note_lines(item, (*path, position), file, around)


def _fill_in(value: Any, path: YamlPath, file: YamlFile, environment: Mapping[str, str]) -> Any:
    """The value with the environment's variables put into its strings."""
    if isinstance(value, dict):
        return {
            str(key): _fill_in(item, (*path, str(key)), file, environment)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _fill_in(item, (*path, position), file, environment)
            for position, item in enumerate(value)
        ]
    if not isinstance(value, str) or "$" not in value:
        return value

    def variable(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name is None:
            return "$"
        # As a shell does: the default stands in for a variable that is unset or empty.
        value = environment.get(name) or default
        if value is None:
            value = environment.get(name)
        if value is None:
            file.mistake(
                path,
                f"the environment has no {name}; set it, or write a default: ${{{name}:-...}}",
            )
            return ""
        return value

    return _VARIABLE.sub(variable, value)
