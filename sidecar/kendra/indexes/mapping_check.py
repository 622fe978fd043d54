"""Compares a Kendra index's configuration with the mapping of the OpenSearch index behind it.

A field of the wrong type would not make searches fail. It would make them wrong: facets without
values, filters that match nothing, and documents that everybody may see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.config.kendra import KendraFaq, KendraIndex
from sidecar.config.kendra_attributes import Attribute, AttributeType
from sidecar.config.kendra_users import UserContextSettings

Fields = Mapping[str, Mapping[str, Any]]
"""The fields of a mapping by dotted name, including subfields (`title.keyword`)."""

_TEXT = frozenset({"text", "match_only_text", "search_as_you_type"})
_KEYWORD = frozenset({"keyword", "constant_keyword"})
_TYPES: Mapping[AttributeType, frozenset[str]] = {
    "STRING": _KEYWORD,
    "STRING_LIST": _KEYWORD,
    "LONG": frozenset({"long", "integer", "short", "byte"}),
    "DATE": frozenset({"date", "date_nanos"}),
}


def flatten_mapping(mapping: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every field of one index's mapping. An alias of a field has the definition of its target."""
    fields: dict[str, Mapping[str, Any]] = {}
    _add_fields(mapping.get("properties", {}), "", fields)
    for name, field in list(fields.items()):
        if field.get("type") == "alias":
            fields[name] = fields.get(field.get("path", ""), field)
    return fields


def check_mappings(
    settings: KendraIndex, documents: Mapping[str, Any], questions: Mapping[str, Any]
) -> list[str]:
    """The mistakes, one sentence each: the OpenSearch index, the key, and what is wrong.

    `documents` and `questions` are OpenSearch's answers to `_mapping`, for the index and for the
    FAQ index: one mapping for each index behind an alias, empty if there is no such index.
    """
    problems = []
    if not documents:
        problems.append(f"index: the cluster has no index or alias {settings.index}")
    for name, definition in sorted(documents.items()):
        fields = flatten_mapping(definition["mappings"])
        problems += [f"index {name}: {problem}" for problem in check_index(settings, fields)]
    if settings.faq is None:
        return problems
    if not questions:
        problems.append(f"faq.index: the cluster has no index or alias {settings.faq.index}")
    for name, definition in sorted(questions.items()):
        fields = flatten_mapping(definition["mappings"])
        problems += [f"index {name}: {each}" for each in check_faq(settings.faq, settings, fields)]
    return problems


def check_index(settings: KendraIndex, fields: Fields) -> list[str]:
    """The mistakes of one index, one sentence each, which begins with the key."""
    names = settings.fields
    problems = [
        *_check_texts("fields.title", names.title, fields),
        *_check_texts("fields.body", names.body, fields),
        *_check_exists("fields.uri", names.uri, fields),
        *_check_type("fields.document_id", names.document_id, fields, _KEYWORD),
        *_check_texts(
            "spell_field", [settings.spell_field] if settings.spell_field else [], fields
        ),
    ]
    for name, attribute in settings.attributes.items():
        problems += _check_attribute(name, attribute, fields)
    return [*problems, *_check_users(settings.user_context, fields)]


def check_faq(faq: KendraFaq, settings: KendraIndex, fields: Fields) -> list[str]:
    """The same for the FAQ index."""
    problems = [
        *_check_texts("faq.question", [faq.question], fields),
        *_check_exists("faq.answer", faq.answer, fields),
        *_check_exists("faq.uri", faq.uri, fields),
    ]
    for name in faq.attributes:
        attribute = settings.attributes[name]
        where = settings.field_of(name)
        problems += _check_type(f"faq.attributes {name}", where, fields, _TYPES[attribute.type])
    if faq.acl:
        problems += _check_users(settings.user_context, fields, where="faq.acl")
    return problems


def _add_fields(
    properties: Mapping[str, Any], prefix: str, fields: dict[str, Mapping[str, Any]]
) -> None:
    for name, field in properties.items():
        whole = prefix + name
        fields[whole] = field
        _add_fields(field.get("properties", {}), f"{whole}.", fields)
        _add_fields(field.get("fields", {}), f"{whole}.", fields)


def _check_exists(key: str, name: str | None, fields: Fields) -> Iterator[str]:
    if name is not None and name not in fields:
        yield f"{key}: there is no field {name}"


def _check_texts(key: str, names: tuple[str, ...] | list[str], fields: Fields) -> Iterator[str]:
    for name in names:
        yield from _check_type(key, name, fields, _TEXT)


def _check_type(
    key: str, name: str | None, fields: Fields, fitting: frozenset[str]
) -> Iterator[str]:
    if name is None:
        return
    if name not in fields:
        yield f"{key}: there is no field {name}"
        return
    field = fields[name]
    type_ = field.get("type", "object")
    if type_ not in fitting:
        within = [
            f"{name}.{inner}"
            for inner, definition in field.get("fields", {}).items()
            if definition.get("type") in fitting
        ]
        hint = f"; use {within[0]}" if within else ""
        yield f"{key}: the field {name} is of type {type_}, not {_either(fitting)}{hint}"
    elif fitting is not _TEXT and field.get("doc_values") is False:
        yield f"{key}: the field {name} has no doc_values, which the sidecar reads"


def _check_attribute(name: str, attribute: Attribute, fields: Fields) -> Iterator[str]:
    key = f"attributes.{name}"
    yield from _check_type(key, attribute.field or name, fields, _TYPES[attribute.type])
    if attribute.text_field:
        yield from _check_type(f"{key}.text_field", attribute.text_field, fields, _TEXT)


def _check_users(
    users: UserContextSettings, fields: Fields, where: str = "user_context"
) -> Iterator[str]:
    names = [name for key, name in users if key.endswith(("_allow", "_deny"))]
    known = [name for name in names if name in fields]
    for name in known:
        yield from _check_type(where, name, fields, _KEYWORD)
    if not known and (where != "user_context" or users.policy == "USER_TOKEN"):
        yield (
            f"{where}: the mapping has none of the fields {', '.join(names)}, so every "
            "document would be public"
        )


def _either(types: frozenset[str]) -> str:
    *others, last = sorted(types)
    return f"{', '.join(others)} or {last}" if others else last
