"""The plans as the page shows them: their YAML as it stands in its file, and a plain search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pipelines.plan import Plan
from sidecar.config.main_file import Config
from sidecar.evaluation.search_body import plain_template

_LARGEST_FILE: Final = 256 << 10


def list_plans(config: Config, folder: Path) -> list[dict[str, Any]]:
    """Each plan by name. `folder` is the main file's. Blocks.

    If any plan has a file, those without one are left out: a command has added them for itself.
    """
    texts = {name: _read_file(folder / config.main.plans_folder, name) for name in config.plans}
    has_files = any(text is not None for text in texts.values())
    return [
        _describe(name, plan, texts[name])
        for name, plan in sorted(config.plans.items())
        if texts[name] is not None or not has_files
    ]


def _describe(name: str, plan: Plan, text: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "description": plan.description,
        "window": plan.rescore_window,
        "method": plan.fusion.method,
        "title": [field.field for field in plan.document.title],
        "body": [field.field for field in plan.document.body],
        "models": [stage.model for stage in plan.stages],
        "template": plain_template(plan),
        "yaml": text if text is not None else write_plan(plan),
    }


def _read_file(folder: Path, name: str) -> str | None:
    for suffix in (".yaml", ".yml"):
        path = folder / f"{name}{suffix}"
        try:
            if path.stat().st_size <= _LARGEST_FILE:
                return path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            continue
    return None


def write_plan(plan: Plan) -> str:
    """YAML for a plan that has no file, without the keys that have their defaults."""
    values: Mapping[str, Any] = plan.model_dump(mode="json", exclude_defaults=True)
    # A method that is the default is left out above, but its settings need it to be read.
    fusion = {"method": plan.fusion.method, **values.get("fusion", {})}
    return yaml.safe_dump({**values, "fusion": fusion}, sort_keys=False, allow_unicode=True)
