"""The base of everything that people write as configuration, and the types that its parts share.

Plans and the main file are made of these; so are the Kendra plugin's sections.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ValidationInfo,
    field_validator,
)


class Strict(BaseModel):
    """Unknown keys are refused, and values do not change after they have been read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_yes_and_no(cls, value: object, info: ValidationInfo) -> object:
        # Otherwise `rescore_window: yes` would be a window of 1.
        field = cls.model_fields[info.field_name or ""]
        if value is False and "off" in get_args(field.annotation):
            return "off"  # YAML reads a bare `off` as false
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError(f"a value is needed, not {str(value).lower()}")
        return value


def one_or_many(value: object) -> object:
    """A text as a tuple of one, nothing as an empty tuple; all else stays as it is."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def by_method(default: str) -> Discriminator:
    """Choose among declarations by their `method`, each tagged with its name.

    A section without `method` has the default one.
    """

    def method_of(value: object) -> str | None:
        if isinstance(value, dict):
            return str(value.get("method", default))
        method = getattr(value, "method", None)
        return method if isinstance(method, str) else None

    return Discriminator(method_of)


FieldName = Annotated[str, Field(min_length=1)]
"""The name of a field of OpenSearch; dotted paths reach into objects."""

FieldNames = Annotated[
    tuple[FieldName, ...],
    BeforeValidator(one_or_many, json_schema_input_type=FieldName | tuple[FieldName, ...] | None),
]
"""One name, or a list of names."""
