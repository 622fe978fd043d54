"""`sidecar schema`: JSON Schema of the main file and of a plan, for editors."""

from __future__ import annotations

import json
from typing import Any

import click
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema
from pydantic_core.core_schema import ModelField, TypedDictField

from pipelines.plan import Plan
from sidecar.config.main_file import MainFile

_FILES: dict[str, tuple[type[BaseModel], str]] = {
    "main": (MainFile, "Main file of Rescore Sidecar"),
    "plan": (Plan, "Plan of Rescore Sidecar"),
}
_VARIABLE = "FromTheEnvironment"
# What restricts a value so that the text `${NAME}` would be wrong in its place.
_RESTRICTIONS = frozenset({"enum", "const", "pattern", "maxLength"})


@click.command()
@click.argument("file", type=click.Choice(tuple(_FILES)), default="main")
def schema(file: str) -> None:
    """Print the JSON Schema of the main file or of a plan.

    Editors with yaml-language-server complete and check keys in a file whose first line is

        # yaml-language-server: $schema=plan.json

    Example: sidecar schema plan > plan.json
    """
    click.echo(json.dumps(build_schema(file), indent=2))


def build_schema(file: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `main` or `plan`, from the types that read the files."""
    model, title = _FILES[file]
    widened: dict[str, Any] = _allow_variables(
        model.model_json_schema(schema_generator=_EditorSchema)
    )
    widened["$defs"][_VARIABLE] = {
        "description": "Replaced by an environment variable.",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
        "type": "string",
    }
    return {"$schema": _EditorSchema.schema_dialect} | widened | {"title": title}


class _EditorSchema(GenerateJsonSchema):
    """Pydantic's schema without a title for each key."""

    def field_title_should_be_set(self, schema: CoreSchema | ModelField | TypedDictField) -> bool:
        """Never: such a title repeats the key."""
        return False


def _allow_variables(schema: Any) -> Any:
    """The schema with `${NAME}` allowed where numbers, words of a list and the like are."""
    if isinstance(schema, list):
        return [_allow_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if kind in ("integer", "number", "boolean") or (
        kind == "string" and _RESTRICTIONS & set(schema)
    ):
        notes = {key: schema[key] for key in ("description", "default") if key in schema}
        value = {key: schema[key] for key in schema if key not in notes}
        return _tidy(notes) | {"anyOf": [value, {"$ref": f"#/$defs/{_VARIABLE}"}]}
    # The names of properties and definitions are not keywords.
    named = ("properties", "$defs", "patternProperties")
    return {
        key: {name: _allow_variables(inner) for name, inner in value.items()}
        if key in named
        else _allow_variables(value)
        for key, value in _tidy(schema).items()
    }


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """One level without line breaks in the description, and without a default that is a section.

    Editors write defaults into the file, and a whole section of them is no help.
    """
    tidied = {
        key: value
        for key, value in schema.items()
        if not (key == "default" and isinstance(value, dict | list))
    }
    if "patternProperties" in tidied:
        # Pydantic lets names pass that match no pattern; reading refuses them.
        tidied.setdefault("additionalProperties", False)
    if isinstance(tidied.get("description"), str):
        tidied["description"] = " ".join(tidied["description"].split())
    return tidied
