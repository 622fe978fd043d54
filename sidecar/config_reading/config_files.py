"""Configuration from its files: the main file, and one file per plan in the folder beside it.

It is strict: unknown keys are refused, names that refer to something are checked, and every
mistake is reported at once as `file:line: path: message`. What is wrong in one place does not hide
what is wrong in another: `config_checks.py` compares the parts that are sound.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.plan import Plan
from sidecar.config.main_file import NAME, Config, MainFile
from sidecar.config_reading.config_checks import (
    SoundPart,
    check_main_file,
    check_plan,
    check_references,
)
from sidecar.config_reading.config_messages import explain, locate
from sidecar.config_reading.renamed_keys import MAIN_FILE_KEYS, PLAN_KEYS, translate
from sidecar.config_reading.yaml_files import Mistake, YamlFile, YamlPath, read_yaml

T = TypeVar("T", bound=BaseModel)


class ConfigError(Exception):
    """A configuration with mistakes; `str()` has one line for each."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the main file and its plans; raises ConfigError with every mistake in any of them."""
    main_yaml = read_yaml(path, environment)
    translate(main_yaml, MAIN_FILE_KEYS)
    main, sound = _check_main_yaml(main_yaml)
    files = [main_yaml]
    plans: dict[str, Plan | None] = {}
    # A main file with mistakes usually still names a folder, so its plans are checked too.
    folder = path.parent / _plans_folder(main_yaml)
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.suffix not in (".yaml", ".yml") or file.name.startswith("."):
                continue
            plan_yaml = read_yaml(file, environment)
            translate(plan_yaml, PLAN_KEYS)
            files.append(plan_yaml)
            if not re.fullmatch(NAME, file.stem):
                plan_yaml.mistake((), "a plan's file name may have only letters, digits and . _ -")
            if file.stem in plans:
                plan_yaml.mistake((), f"there is another file for the plan {file.stem}")
            plans[file.stem] = _check(Plan, plan_yaml).value
            check_plan(plan_yaml, main_yaml)
    elif sound and sound.has("plans_folder"):
        main_yaml.mistake(("plans_folder",), f"there is no folder {folder}")
    if sound:
        check_main_file(sound, path.parent, main_yaml)
        check_references(sound, plans, main_yaml)
    mistakes = [mistake for file in files for mistake in file.mistakes]
    if mistakes or main is None:
        raise ConfigError(mistakes)
    return Config(
        main,
        {name: plan for name, plan in plans.items() if plan},
        tuple(str(warning) for file in files for warning in file.warnings),
    )


def _plans_folder(main_yaml: YamlFile) -> str:
    named = main_yaml.data.get("plans_folder") if main_yaml.data else None
    default = MainFile.model_fields["plans_folder"].default
    return named if isinstance(named, str) and named else str(default)


class _Checked(NamedTuple, Generic[T]):
    """A file's data as its type; without a value, the places in it that are wrong."""

    value: T | None
    wrong: tuple[YamlPath, ...]


def _check(model: type[T], file: YamlFile) -> _Checked[T]:
    """The file's data as the type; notes its mistakes."""
    if file.data is None:
        return _Checked(None, ())
    try:
        return _Checked(model.model_validate(file.data), ())
    except ValidationError as error:
        details = error.errors(include_url=False)
        for detail in details:
            if not _is_repetition(detail, details):
                file.mistake(*explain(model, detail))
        return _Checked(None, tuple(locate(model, detail["loc"]).path for detail in details))


def _is_repetition(detail: ErrorDetails, details: Iterable[ErrorDetails]) -> bool:
    """A list whose items are wrong is also reported as too short; the items say enough."""
    place = detail["loc"]
    inside = any(other["loc"][: len(place)] == place for other in details if other != detail)
    return detail["type"] == "too_short" and inside


def _check_main_yaml(file: YamlFile) -> tuple[MainFile | None, SoundPart | None]:
    """The main file if it has no mistakes, and its keys without any; None if it is no mapping."""
    main, wrong = _check(MainFile, file)
    if main is not None:
        return main, SoundPart(main, frozenset())
    if file.data is None:
        return None, None
    data: dict[str, Any] = dict(file.data)
    left_out = set()
    for path in wrong:
        models = data.get("models")
        if len(path) > 1 and path[0] == "models" and isinstance(models, dict):
            data["models"] = {name: model for name, model in models.items() if name != path[1]}
        elif path:
            data.pop(str(path[0]), None)
            left_out.add(str(path[0]))
    if "upstream" in left_out:
        # The only required key. As it is in `left_out`, no check reads it.
        data["upstream"] = {"urls": ["http://left-out"]}
    return None, SoundPart(MainFile.model_validate(data), frozenset(left_out))
