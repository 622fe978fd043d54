"""Writes the plan that `tune` has chosen: the base plan's file with the changed settings."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.plan import Plan
from sidecar.config_reading.renamed_keys import PLAN_KEYS, use_new_keys


def read_base(folder: Path, name: str) -> dict[str, Any]:
    """A plan's file as its author wrote it, with `${NAME}` as it stands and new names of keys."""
    path = next(p for p in (folder / f"{name}.yaml", folder / f"{name}.yml") if p.exists())
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    use_new_keys(data, PLAN_KEYS)
    return data


def write_plan(
    base: Mapping[str, Any], before: Plan, chosen: Plan, enabled: bool, remarks: Sequence[str]
) -> str:
    """The text of the plan's file; `remarks` become comments at its top.

    A comment before each changed key says what the base plan has.
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
    weights = [stage.weight for stage in chosen.stages]
    if weights != [stage.weight for stage in before.stages[: len(weights)]]:
        data["stages"] = [
            {**entry, "weight": weight} if weight is not None else entry
            for entry, weight in zip(data["stages"], weights, strict=False)
        ]
        was["stages"] = ", ".join(f"{stage.model} {stage.added:g}" for stage in before.stages)
    fitted, old = _changed(before.fusion.model_dump(), chosen.fusion.model_dump())
    if fitted:
        own = data.get("fusion", {})
        if "guard" in fitted:
            fitted["guard"] = {**own.get("guard", {}), **fitted["guard"]}
        data["fusion"] = {**own, **fitted}
        was["fusion"] = ", ".join(old)
    for key in ("min_relevance", "relevance_levels"):
        value = getattr(chosen, key)
        if value is None:
            # Levels are numbers of the base plan's settings.
            data.pop(key, None)
        else:
            data[key] = value if isinstance(value, str) else value.model_dump()
    lines = [f"# {line}" for remark in remarks for line in textwrap.wrap(remark, 78)]
    for key in _in_order(data):
        if key in was:
            lines.append(f"# The base plan has {was[key]}.")
        lines.append(_entry(key, data[key]))
    return "\n".join(lines) + "\n"


def _changed(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The settings that differ, and what they were, in words; mappings inside them likewise."""
    changed: dict[str, Any] = {}
    old: list[str] = []
    for name, value in after.items():
        if value == before[name]:
            continue
        if isinstance(value, dict):
            changed[name], inside = _changed(before[name], value)
            old += [f"{name}.{one}" for one in inside]
        else:
            changed[name] = value
            was = before[name]
            old.append(f"{name} {was:g}" if isinstance(was, int | float) else f"{name} {was}")
    return changed, old


def _in_order(data: Mapping[str, Any]) -> list[str]:
    """The keys in the order of the reference."""
    known = [name for name in Plan.model_fields if name in data]
    return [*known, *(key for key in data if key not in known)]


def _entry(key: str, value: Any) -> str:
    """One top-level key, with settings that belong together on one line."""
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
