"""Whether the answer to a search will contain the fields that a plan reads.

The rules are those of OpenSearch's `FetchSourceContext` and fetch phase: the URL's `_source...`
parameters replace the body's `_source`. Without any of these, `stored_fields` and `script_fields`
switch the source off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.opensearch.url_options import SOURCE_OPTIONS
from sidecar.opensearch_rules.name_patterns import matches


def includes_fields(
    fields: Iterable[str], parameters: Mapping[str, str], body: Mapping[str, Any]
) -> bool:
    """Whether `_source` contains each of the dotted `fields` that a document has.

    `parameters` are the URL's, decoded; `body` is the parsed search body.
    """
    if any(name in parameters for name in SOURCE_OPTIONS):
        rule = _rule_of_url(parameters)
    elif "_source" in body:
        rule = _rule_of_body(body["_source"])
    else:
        return _is_on_by_default(parameters, body)
    if rule is None:
        return False
    includes, excludes = rule
    return all(
        (not includes or _is_matched(field, includes)) and not _is_matched(field, excludes)
        for field in fields
    )


def read_names(value: object) -> list[str]:
    """A list of names as OpenSearch accepts it: text with commas, or a list of texts."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, list):
        return [name for name in value if isinstance(name, str)]
    return []


_Rule = tuple[list[str], list[str]]
"""Patterns to include and to exclude; without the former, everything is included."""


def _rule_of_url(parameters: Mapping[str, str]) -> _Rule | None:
    source = parameters.get("_source", "")
    if source == "false":
        return None
    patterns = [] if source == "true" else read_names(source)
    if "_source_includes" in parameters:
        patterns = read_names(parameters["_source_includes"])
    return patterns, read_names(parameters.get("_source_excludes"))


def _rule_of_body(source: object) -> _Rule | None:
    if source is True:
        return [], []
    if isinstance(source, str):
        return [source], []
    if isinstance(source, list):
        return read_names(source), []
    if isinstance(source, dict) and source.keys() <= {"includes", "include", "excludes", "exclude"}:
        includes = source.get("includes", source.get("include"))
        excludes = source.get("excludes", source.get("exclude"))
        return _body_patterns(includes), _body_patterns(excludes)
    return None


def _body_patterns(value: object) -> list[str]:
    return [value] if isinstance(value, str) else read_names(value)


def _is_on_by_default(parameters: Mapping[str, str], body: Mapping[str, Any]) -> bool:
    stored_fields = parameters.get("stored_fields", body.get("stored_fields"))
    if stored_fields is not None:
        return "_source" in read_names(stored_fields)
    return not body.get("script_fields")


def _is_matched(field: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches the field or an object around it."""
    keys = field.split(".")
    paths = [".".join(keys[:count]) for count in range(1, len(keys) + 1)]
    return any(matches(pattern, path) for pattern in patterns for path in paths)
