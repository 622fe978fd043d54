"""What is wrong with a configuration, in the words of someone who edits its file."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sidecar.config_reading.yaml_files import YamlPath

Variants = Mapping[str, type[BaseModel]]


class KeyPlace(NamedTuple):
    """Where a mistake is: its path in the file, and what is declared around it.

    `section` is the declaration of the innermost section whose key is the last part. `variants`
    are the methods that the section could have, by name; empty if it has no `method`.
    """

    path: YamlPath
    section: type[BaseModel] | None
    variants: Variants


def explain(model: type[BaseModel], detail: ErrorDetails) -> tuple[YamlPath, str]:
    """The path in the file, and the message, of one of pydantic's errors."""
    place = locate(model, detail["loc"])
    if detail["type"] == "union_tag_invalid":
        tags = detail["ctx"]["expected_tags"].split(", ")
        value = detail["input"]["method"]
        return (*place.path, "method"), f"must be {_either(tags)}, not {_show(value)}"
    return place.path, _explain(place, detail)


def locate(model: type[BaseModel], loc: YamlPath) -> KeyPlace:
    """Where an error of pydantic's is; its own path also names the method of each union."""
    path: list[str | int] = []
    section: type[BaseModel] | None = None
    variants: Variants = {}
    annotation: Any = model
    parts = iter(loc)
    for part in parts:
        path.append(part)
        if not _is_model(annotation):
            # A list's or a mapping's element: the part is its position or name.
            annotation = _inner_model(annotation)
            continue
        section, field = annotation, annotation.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if field and field.discriminator:
            own_variants = find_variants(field)
            method = next(parts, None)
            annotation = own_variants.get(str(method))
            if annotation:
                variants = own_variants
        elif NoneType in get_args(annotation):
            annotation = get_args(annotation)[0]
    inside = section in variants.values()
    return KeyPlace(tuple(path), section, variants if inside else {})


def find_variants(field: FieldInfo) -> Variants:
    """The declarations that a field chooses from by its `method`, by that name."""
    tagged = get_args(field.annotation) if field.discriminator else ()
    return {tag.tag: variant for variant, tag in map(get_args, tagged)}


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _inner_model(annotation: Any) -> Any:
    return next((arg for arg in reversed(get_args(annotation)) if _is_model(arg)), None)


def _explain(place: KeyPlace, detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return _explain_unknown_key(place)
    if kind == "missing":
        return "is required"
    if kind == "literal_error":
        return f"must be {detail['ctx']['expected']}, not {_show(value)}"
    if kind in ("value_error", "assertion_error"):
        return detail["msg"].split(", ", 1)[-1]
    if kind in ("model_type", "dict_type", "model_attributes_type", "union_tag_not_found"):
        return f"must be a mapping of keys to values, not {_show(value)}"
    if kind == "too_short":
        return f"needs at least {detail['ctx']['min_length']} entry"
    if kind in ("tuple_type", "list_type"):
        return f"must be a list, not {_show(value)}"
    message = detail["msg"].replace("Input should", "should").replace("Tuple should", "should")
    return f"{message}, not {_show(value)}" if not isinstance(value, (dict, list)) else message


def _explain_unknown_key(place: KeyPlace) -> str:
    key, section = str(place.path[-1]), place.section
    assert section is not None  # only a section has keys
    users = [repr(name) for name, variant in place.variants.items() if key in variant.model_fields]
    if users:
        own = section.model_fields["method"].default
        return f"is for method {_either(users)}; method {own!r} does not use it"
    known = sorted(section.model_fields)
    close = get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
    return f"unknown key; {hint}"


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
