"""Reads one YAML file as plain data that still knows the line of everything in it.

Strict where YAML is lenient: a key given twice is a mistake, and so is a name in `${NAME}` that
the environment does not have. No mistake stops the reading; all of them are collected.
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
    """One file as read: its data, the line of each path in it, and what is wrong so far."""

    file: str
    data: Any = None
    lines: dict[YamlPath, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mistake(self, path: YamlPath, message: str) -> None:
        """Note a mistake at the path's line, or at that of the nearest thing around it."""
        known = next(
            (path[:end] for end in range(len(path), -1, -1) if path[:end] in self.lines), ()
        )
        self.mistakes.append(
            Mistake(self.file, self.lines.get(known, 0), write_path(path), message)
        )


def read_yaml(path: Path, environment: Mapping[str, str]) -> YamlFile:
    """Read the file; `data` is None when there is nothing usable in it.

    Strings have `${NAME}` and `${NAME:-default}` replaced from `environment`; `$$` is a dollar.
    """
    read = YamlFile(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        read.mistakes.append(
            Mistake(read.file, 0, "", f"cannot be read: {error.strerror or error}")
        )
        return read
    except UnicodeDecodeError:
        read.mistakes.append(Mistake(read.file, 0, "", "is not YAML: it is not UTF-8 text"))
        return read
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            read.mistakes.append(Mistake(read.file, 0, "", "is empty"))
            return read
        _note_lines(node, (), read, ())
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        line = mark.line + 1 if mark else 0
        read.mistakes.append(Mistake(read.file, line, "", f"is not YAML: {problem}"))
        return read
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        read.mistakes.append(Mistake(read.file, 0, "", f"is not YAML: {problem}"))
        return read
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        read.mistakes.append(Mistake(read.file, 1, "", "must be a mapping of keys to values"))
        return read
    read.data = _fill_in(data, (), read, environment)
    return read


def _note_lines(
    node: yaml.Node, path: YamlPath, read: YamlFile, around: tuple[yaml.Node, ...]
) -> None:
    """Note the line of each path under the node, and each key that is given twice."""
    read.lines.setdefault(path, node.start_mark.line + 1)
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
                read.mistakes.append(
                    Mistake(read.file, line, where, "is given twice; keep one of them")
                )
            seen.add(name)
            read.lines[(*path, name)] = key.start_mark.line + 1
            _note_lines(value, (*path, name), read, around)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _note_lines(item, (*path, position), read, around)


def _fill_in(value: Any, path: YamlPath, read: YamlFile, environment: Mapping[str, str]) -> Any:
    """The value with the environment's variables put into its strings."""
    if isinstance(value, dict):
        return {
            str(key): _fill_in(item, (*path, str(key)), read, environment)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _fill_in(item, (*path, position), read, environment)
            for position, item in enumerate(value)
        ]
    if not isinstance(value, str) or "$" not in value:
        return value

    def variable(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name is None:
            return "$"
        # As a shell does: the default stands in for a variable that is unset or empty.
        found = environment.get(name) or default
        if found is None:
            found = environment.get(name)
        if found is None:
            read.mistake(
                path,
                f"the environment has no {name}; set it, or write a default: ${{{name}:-...}}",
            )
            return ""
        return found

    return _VARIABLE.sub(variable, value)
