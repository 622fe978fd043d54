"""Writes the plan that `tune` has chosen: the base plan's own file, with what was changed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.plan import Plan


def read_base(folder: Path, name: str) -> dict[str, Any]:
    """A plan's file as its author wrote it, variables of the environment not filled in."""
    path = next(p for p in (folder / f"{name}.yaml", folder / f"{name}.yml") if p.exists())
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


def write_plan(
    base: Mapping[str, Any], before: Plan, chosen: Plan, enabled: bool, remarks: Sequence[str]
) -> str:
    """The text of the plan's file; `remarks` are put at its head as comments.

    Keys that differ from the base plan say what it had.
    """
    data = dict(base)
    was: dict[str, str] = {}
    data["enabled"] = enabled
    if chosen.rescore_window != before.rescore_window:
        data["rescore_window"] = chosen.rescore_window
        was["rescore_window"] = str(before.rescore_window)
    if len(chosen.stages) != len(before.stages):
        data["stages"] = data["stages"][: len(chosen.stages)]
        was["stages"] = ", ".join(stage.model for stage in before.stages)
    fitted = {
        name: value
        for name, value in chosen.fusion.model_dump().items()
        if value != getattr(before.fusion, name)
    }
    if fitted:
        data["fusion"] = {**data.get("fusion", {}), **fitted}
        was["fusion"] = ", ".join(f"{name} {getattr(before.fusion, name):g}" for name in fitted)
    lines = [f"# {line}" for remark in remarks for line in textwrap.wrap(remark, 78)]
    for key in _in_order(data):
        if key in was:
            lines.append(f"# The base plan has {was[key]}.")
        lines.append(_entry(key, data[key]))
    return "\n".join(lines) + "\n"


def _in_order(data: Mapping[str, Any]) -> list[str]:
    """The keys in the order in which the reference explains them."""
    known = [name for name in Plan.model_fields if name in data]
    return [*known, *(key for key in data if key not in known)]


def _entry(key: str, value: Any) -> str:
    """One top-level key as people write it: settings that belong together on one line."""
    if isinstance(value, dict):
        return f"{key}: {_on_one_line(value)}"
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return "\n".join([f"{key}:", *(f"  - {_on_one_line(item)}" for item in value)])
    return yaml.safe_dump({key: value}, allow_unicode=True, width=98).rstrip("\n")


def _on_one_line(value: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(
        value, allow_unicode=True, default_flow_style=True, sort_keys=False, width=10_000
    )
    return text.rstrip("\n")
