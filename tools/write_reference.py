"""Writes docs/reference.md from the code: keys of the YAML, reasons, metrics, commands.

python tools/write_reference.py          # writes the file
python tools/write_reference.py --print  # prints it; a test compares this with the file
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.plan import Plan
from sidecar.cli import main as commands
from sidecar.config.main_file import MainFile
from sidecar.config_reading.config_messages import find_variants
from sidecar.config_reading.renamed_keys import MAIN_FILE_KEYS, PLAN_KEYS
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
        "In any string, `${NAME}` and `${NAME:-default}` are replaced by environment variables, "
        "and `$$` stands for a dollar sign.",
        "",
        "## A plan, `config/plans/NAME.yaml`",
        "",
        *_keys(Plan),
        "",
        "## Renamed",
        "",
        "Old names of keys work in this release only, each with a warning from every command that "
        "reads the configuration. A file with both names of a key is refused.",
        "",
        "| file | old key | new key |",
        "|---|---|---|",
        *_renamed("main file", MAIN_FILE_KEYS),
        *_renamed("plan", PLAN_KEYS),
        "",
        "## Reasons",
        "",
        "The word after `reason=` in `X-Rescore`; it is also a label of `rescore_searches_total`.",
        "",
        "| reason | meaning |",
        "|---|---|",
        *(f"| `{reason}` | {sentence} |" for reason, sentence in sorted(REASONS.items())),
        "",
        "## Metrics",
        "",
        "| metric | labels | meaning |",
        "|---|---|---|",
        *_metrics(),
        "",
        "## Commands",
        "",
        *_commands(),
    ]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    yield from _rows(model, "")


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        sentence = " ".join((field.description or "").split())
        if field.description:
            yield f"| `{prefix}{name}` | {_default(field, inner)} | {sentence}{_range(field)} |"
        variants = find_variants(field)
        if variants:
            yield from _variant_rows(variants, field.default.method, f"{prefix}{name}.")
        elif inner:
            marks: dict[object, str] = {dict: ".NAME", tuple: "[]"}
            mark = marks.get(get_origin(field.annotation), "")
            yield from _rows(inner, f"{prefix}{name}{mark}.")


def _variant_rows(
    variants: Mapping[str, type[BaseModel]], default: str, prefix: str
) -> Iterator[str]:
    """The rows of a section whose `method` decides which keys it has."""
    methods = (f"`{name}`: {_first_sentence(variant)}" for name, variant in variants.items())
    yield f"| `{prefix}method` | `{default}` | {' '.join(methods)} |"
    rows: dict[str, list[str]] = {}
    for name, variant in variants.items():
        for row in _rows(variant, prefix):
            if not row.startswith(f"| `{prefix}method` "):  # which has its row above
                rows.setdefault(row, []).append(f"`{name}`")
    for row, names in rows.items():
        start, meaning = row.split(" | ", 2)[:2], row.split(" | ", 2)[2]
        scope = "" if len(names) == len(variants) else f"For {' and '.join(names)}: "
        yield " | ".join([*start, scope + meaning])


def _first_sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _renamed(file: str, keys: Mapping[str, str]) -> Iterator[str]:
    yield from (f"| {file} | `{old}` | `{new}` |" for old, new in keys.items())


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    if field.is_required():
        return "required"
    if inner or field.default in (None, "") or isinstance(field.default, BaseModel):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if not isinstance(field.default, tuple) or field.default else ""


def _range(field: FieldInfo) -> str:
    low, above, high = (_bound(field, name) for name in ("ge", "gt", "le"))
    least = f"above {above}" if low is None and above is not None else low
    if least is None:
        return "" if high is None else f" (at most {high})"
    return f" (at least {least})" if high is None else f" ({least} to {high})"


def _bound(field: FieldInfo, name: str) -> float | None:
    bounds = (getattr(metadata, name, None) for metadata in field.metadata)
    return next((bound for bound in bounds if bound is not None), None)


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
