"""Guesses a first configuration of a Kendra index from a live index's mapping and some documents.

The names of fields decide first, then the contents of the documents. The configuration is valid and
fits the mapping. A person must check whether the guesses are right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pipelines.documents import join_values
from sidecar.config.kendra_attributes import RESERVED_TYPES, AttributeType
from sidecar.config.kendra_users import UserContextSettings
from sidecar.kendra.indexes.mapping_check import Fields

_TITLES = ("title", "heading", "headline", "subject", "name", "document_title")
_BODIES = ("body", "content", "text", "abstract", "description", "document_body", "summary")
_ADDRESSES = ("uri", "url", "link", "source_uri", "href")
# Kendra's reserved attributes, with common names of their fields.
_RESERVED: Mapping[str, tuple[str, ...]] = {
    "_authors": ("authors", "author"),
    "_category": ("category",),
    "_created_at": ("created_at", "created", "creation_date", "date", "published", "published_at"),
    "_file_type": ("file_type", "filetype"),
    "_language_code": ("language_code", "language", "lang"),
    "_last_updated_at": ("last_updated_at", "updated_at", "updated", "modified", "modified_at"),
    "_version": ("version",),
    "_view_count": ("view_count", "views"),
}
_NUMBERS = frozenset({"long", "integer", "short", "byte"})
_DATES = frozenset({"date", "date_nanos"})
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class _SampledIndex:
    """The fields of a mapping, and some documents."""

    fields: Fields
    samples: Sequence[Mapping[str, Any]]

    def of_type(self, *types: str) -> list[str]:
        """The fields of these types, without subfields of other fields."""
        return [
            name
            for name, field in self.fields.items()
            if field.get("type") in types and name.rpartition(".")[0] not in self._with_type()
        ]

    def _with_type(self) -> set[str]:
        return {
            name
            for name, field in self.fields.items()
            if field.get("type", "object") not in ("object", "nested")
        }

    def texts(self, name: str) -> list[str]:
        """The texts of the documents in this field, without empty ones."""
        texts = (join_values(sample, (name,)) for sample in self.samples)
        return [text for text in texts if text]

    def length(self, name: str) -> float:
        """The mean length of these texts, in characters."""
        texts = self.texts(name)
        return sum(map(len, texts)) / len(texts) if texts else 0.0

    def is_list(self, name: str) -> bool:
        """Whether a document has a list in this field."""
        *path, last = name.split(".")
        for sample in self.samples:
            value: Any = sample
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if isinstance(value, dict) and isinstance(value.get(last), list):
                return True
        return False

    def exact(self, name: str) -> str | None:
        """The field that has the exact values of this field: itself, or a subfield."""
        field = self.fields[name]
        if field.get("type") in ("keyword", "constant_keyword"):
            return name if field.get("doc_values") is not False else None
        within = field.get("fields", {})
        return next((f"{name}.{n}" for n, f in within.items() if f.get("type") == "keyword"), None)


def guess_index(
    index: str, fields: Fields, samples: Sequence[Mapping[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """An index id, always the same for this name, and the configuration as it stands in YAML.

    Raises ValueError if the index has no analysed field.
    """
    sampled = _SampledIndex(fields, samples)
    texts = sampled.of_type("text", "match_only_text")
    if not texts:
        raise ValueError(f"the index {index} has no text field, so there is nothing to search")
    body = _by_name(texts, _BODIES) or max(texts, key=sampled.length)
    title = _by_name([name for name in texts if name != body], _TITLES)
    strings = [*sampled.of_type("keyword", "constant_keyword"), *texts]
    uri = _by_name(strings, _ADDRESSES) or next(
        (name for name in strings if _are_addresses(sampled.texts(name))), None
    )
    configuration: dict[str, Any] = {"index": index}
    names: dict[str, Any] = {"title": title} if title else {}
    configuration["fields"] = {**names, "body": body, **({"uri": uri} if uri else {})}
    attributes = _guess_attributes(sampled, {body, title}, uri)
    if attributes:
        configuration["attributes"] = attributes
    spell = f"{body}.spell"
    if fields.get(spell, {}).get("type") == "text":
        configuration["spell_field"] = spell
    return str(uuid5(NAMESPACE_URL, f"kendra:{index}")), configuration


def _guess_attributes(
    sampled: _SampledIndex, texts: set[str | None], uri: str | None
) -> dict[str, dict[str, Any]]:
    users = {name for key, name in UserContextSettings() if key.endswith(("_allow", "_deny"))}
    attributes: dict[str, dict[str, Any]] = {}
    for field in sampled.of_type("keyword", "constant_keyword", "text", *_NUMBERS, *_DATES):
        if field in texts or field in users:
            continue
        kind = str(sampled.fields[field]["type"])
        if kind in _NUMBERS or kind in _DATES:
            type_: AttributeType = "LONG" if kind in _NUMBERS else "DATE"
            exact = field if sampled.fields[field].get("doc_values") is not False else None
        else:
            type_ = "STRING_LIST" if sampled.is_list(field) else "STRING"
            exact = sampled.exact(field)
        if exact is None:
            continue
        name = "_source_uri" if field == uri else _name(field, type_, attributes)
        if name in RESERVED_TYPES:
            type_ = RESERVED_TYPES[name]
        attributes[name] = _write_attribute(name, field, exact, type_, kind, field == uri)
    return attributes


def _write_attribute(
    name: str, field: str, exact: str, type_: AttributeType, kind: str, is_address: bool
) -> dict[str, Any]:
    attribute: dict[str, Any] = {"type": type_}
    if exact != name:
        attribute["field"] = exact
    if kind == "text":
        attribute["text_field"] = field
        attribute["searchable"] = True
    if not is_address:
        attribute["facetable"] = True
        if type_ != "STRING_LIST":
            attribute["sortable"] = True
    return attribute


def _name(field: str, type_: AttributeType, taken: Mapping[str, Any]) -> str:
    """The attribute's name: a reserved one if it fits, else the field's, in legal characters."""
    last = field.rpartition(".")[2].lower().lstrip("_")
    for name, spellings in _RESERVED.items():
        fits = RESERVED_TYPES[name] in (type_, "STRING_LIST" if type_ == "STRING" else type_)
        if last in spellings and fits and name not in taken:
            return name
    legal = re.sub(r"[^A-Za-z0-9_-]+", "-", field).lstrip("_-")[:_LONGEST_NAME] or "attribute"
    number, name = 1, legal
    while name in taken:
        number += 1
        name = f"{legal[: _LONGEST_NAME - 6]}-{number}"
    return name


def _by_name(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    by_last = {name.rpartition(".")[2].lower().lstrip("_"): name for name in reversed(names)}
    return next((by_last[each] for each in wanted if each in by_last), None)


def _are_addresses(texts: Sequence[str]) -> bool:
    return bool(texts) and all(re.match(r"(https?|ftp|file)://\S+$", text) for text in texts)
