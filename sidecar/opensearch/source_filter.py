"""Whether the answer of a search will hold the fields that a plan reads.

The rules are those of OpenSearch's `FetchSourceContext` and fetch phase: the URL's `_source...`
parameters replace the body's `_source`; without either, `stored_fields` and `script_fields`
switch the source off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.opensearch.field_patterns import matches

_URL_NAMES = ("_source", "_source_includes", "_source_excludes")


def fields_are_in_reply(
    fields: Iterable[str], parameters: Mapping[str, str], body: Mapping[str, Any]
) -> bool:
    """Whether every one of the dotted `fields` stays in `_source`, if the document has it.

    `parameters` are the URL's, decoded, `body` is the parsed search body.
    """
    if any(name in parameters for name in _URL_NAMES):
        rule = _rule_of_url(parameters)
    elif "_source" in body:
        rule = _rule_of_body(body["_source"])
    else:
        return _is_on_by_itself(parameters, body)
    if rule is None:
        return False
    includes, excludes = rule
    return all(
        (not includes or _is_matched(field, includes)) and not _is_matched(field, excludes)
        for field in fields
    )


def names(value: object) -> list[str]:
    """A list of names as OpenSearch takes it: comma list in a URL, one or a list in a body."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, list):
        return [name for name in value if isinstance(name, str)]
    return []


_Rule = tuple[list[str], list[str]]
"""Patterns to include (none: everything) and to exclude."""


def _rule_of_url(parameters: Mapping[str, str]) -> _Rule | None:
    source = parameters.get("_source", "")
    if source == "false":
        return None
    patterns = [] if source == "true" else names(source)
    if "_source_includes" in parameters:
        patterns = names(parameters["_source_includes"])
    return patterns, names(parameters.get("_source_excludes"))


def _rule_of_body(source: object) -> _Rule | None:
    if source is True:
        return [], []
    if isinstance(source, str):
        return [source], []
    if isinstance(source, list):
        return names(source), []
    if isinstance(source, dict) and source.keys() <= {"includes", "include", "excludes", "exclude"}:
        includes = source.get("includes", source.get("include"))
        excludes = source.get("excludes", source.get("exclude"))
        return _body_patterns(includes), _body_patterns(excludes)
    return None


def _body_patterns(value: object) -> list[str]:
    return [value] if isinstance(value, str) else names(value)


def _is_on_by_itself(parameters: Mapping[str, str], body: Mapping[str, Any]) -> bool:
    stored_fields = parameters.get("stored_fields", body.get("stored_fields"))
    if stored_fields is not None:
        return "_source" in names(stored_fields)
    return not body.get("script_fields")


def _is_matched(field: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern names the field or an object that it stands in."""
    keys = field.split(".")
    paths = [".".join(keys[:count]) for count in range(1, len(keys) + 1)]
    return any(matches(pattern, path) for pattern in patterns for path in paths)
