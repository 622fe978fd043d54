"""Requests whose answers differed, one file each: found in a run, kept for ever as a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from tests.differential.case import Case, read_case, write_case
from tests.differential.comparison import Difference
from tests.differential.settings import Setting

REGRESSIONS = Path(__file__).with_name("regressions")


@dataclass(frozen=True, slots=True)
class Failure:
    """A request, where it failed, and a sentence on what was wrong."""

    setting: Setting
    version: str
    note: str
    case: Case


def write_failure(
    folder: Path, name: str, failure: Failure, difference: Difference | None = None
) -> Path:
    """Write `folder/name.json` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "note": failure.note,
        "version": failure.version,
        "setting": failure.setting,
        "request": write_case(failure.case),
    }
    if difference is not None:
        written["difference"] = asdict(difference)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(written, indent=2) + "\n", encoding="ascii")
    return path


def read_failures(folder: Path) -> Iterator[tuple[str, Failure]]:
    """Every failure of a folder with its name, in the order of their names."""
    for path in sorted(folder.glob("*.json")):
        written = json.loads(path.read_text(encoding="ascii"))
        setting = written["setting"]
        if setting not in get_args(Setting):
            raise ValueError(f"{path}: setting is {setting!r}; use one of {get_args(Setting)}")
        case = read_case(written["request"])
        yield path.stem, Failure(setting, written["version"], written["note"], case)
