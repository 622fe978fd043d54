"""Writes docs/reference.md from the code: keys of the YAML, reasons, metrics, commands.

python tools/write_reference.py          # writes the file
python tools/write_reference.py --print  # prints it (a test compares it with the file)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.plan import Plan
from sidecar.cli import main as commands
from sidecar.config import MainFile
from sidecar.metrics import Metrics
from sidecar.opensearch.outcome import REASONS

FILE = Path(__file__).parent.parent / "docs" / "reference.md"


def reference() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Reference",
        "",
        "Written by `tools/write_reference.py` from the code; do not edit by hand.",
        "",
        "## The main file, `config/sidecar.yaml`",
        "",
        *_keys(MainFile),
        "",
        "In any string, `${NAME}` and `${NAME:-default}` are replaced from the environment, "
        "and `$$` is a dollar sign.",
        "",
        "## A plan, `config/plans/NAME.yaml`",
        "",
        *_keys(Plan),
        "",
        "## Reasons",
        "",
        "The word after `reason=` in `X-Rescore`, and the label of `rescore_searches_total`.",
        "",
        "| reason | what it says |",
        "|---|---|",
        *(f"| `{reason}` | {sentence} |" for reason, sentence in sorted(REASONS.items())),
        "",
        "## Metrics",
        "",
        "| metric | labels | what it counts |",
        "|---|---|---|",
        *_metrics(),
        "",
        "## Commands",
        "",
        *_commands(),
    ]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | what it says |"
    yield "|---|---|---|"
    yield from _rows(model, "")


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        sentence = " ".join((field.description or "").split())
        if field.description:
            yield f"| `{prefix}{name}` | {_default(field, inner)} | {sentence}{_range(field)} |"
        if inner:
            mark = {dict: ".NAME", tuple: "[]"}.get(
                getattr(field.annotation, "__origin__", None) or object, ""
            )
            yield from _rows(inner, f"{prefix}{name}{mark}.")


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    found = (annotation, *get_args(annotation))
    return next((a for a in found if isinstance(a, type) and issubclass(a, BaseModel)), None)


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    if field.is_required():
        return "required"
    if inner or field.default in (None, ""):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if not isinstance(field.default, tuple) or field.default else ""


def _range(field: FieldInfo) -> str:
    low = next((m.ge for m in field.metadata if getattr(m, "ge", None) is not None), None)
    high = next((m.le for m in field.metadata if getattr(m, "le", None) is not None), None)
    if low is None and high is None:
        return ""
    return f" ({low} to {high})" if high is not None else f" (at least {low})"


def _metrics() -> Iterator[str]:
    for metric in vars(Metrics()).values():
        name = getattr(metric, "_name", None)
        if name is None:
            continue
        suffix = "_total" if metric._type == "counter" else ""
        labels = ", ".join(metric._labelnames)
        yield f"| `{name}{suffix}` | {labels} | {metric._documentation} |"


def _commands() -> Iterator[str]:
    for name, command in sorted(commands.commands.items()):
        # The group decides how help is asked for.
        group = click.Context(commands, **commands.context_settings)
        context = click.Context(command, group, f"sidecar {name}", max_content_width=80)
        context.parent = None
        yield from (f"### `sidecar {name}`", "", "```", command.get_help(context), "```", "")


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(reference())
    else:
        FILE.write_text(reference())
