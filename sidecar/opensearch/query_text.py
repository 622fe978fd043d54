"""The words that a user typed, as read out of a search's query.

The walk follows what is scored: a filter narrows the hits and says little of their order, so
its texts are never taken, nor those that are negated. Query types without prose, and those that
are not known here, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sidecar.opensearch.field_patterns import matches
from sidecar.opensearch.query_syntax import words_of_query_string, words_of_simple_query_string

MAX_CHARACTERS = 1000
"""Longer query texts are cut at a word; neural-search refuses them, models do not read on."""

_MAX_SYNTAX = 4 * MAX_CHARACTERS
"""Characters of a text that are looked at, operators and blanks included."""

_MAX_DEPTH = 32
"""Deeper queries are passed over, so that no request can exhaust the stack."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can spell half a character (`\\ud83d`); tokenizers cannot take it."""

_MATCH_KINDS = frozenset({"match", "match_phrase", "match_phrase_prefix", "match_bool_prefix"})
_SCORED_CHILDREN: Mapping[str, str] = MappingProxyType(
    {
        "function_score": "query",
        "script_score": "query",
        "nested": "query",
        "has_child": "query",
        "has_parent": "query",
        "boosting": "positive",
        "dis_max": "queries",
    }
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A text of the query; `fields` are what it is looked up in, none for the index's default."""

    text: str
    fields: tuple[str, ...]
    required: bool


def read_query_text(query: object, fields: Sequence[str]) -> str | None:
    """The query text of a parsed `query`, or None when it has none outside filters.

    Of several different texts those on `fields` (the plan's, dotted) are preferred, then those
    that have to match, then the longest.
    """
    found = [
        _Found(text, one.fields, one.required)
        for one in _walk(query, fields, True, _MAX_DEPTH)
        if (text := tidy(one.text))
    ]
    on_fields = [one for one in found if not one.fields or _share_a_field(one.fields, fields)]
    found = on_fields or found
    found = [one for one in found if one.required] or found
    # The first of the longest: query builders repeat one text over fields and boosts.
    return max((one.text for one in found), key=len, default=None)


def words_of_q(q: str, default_field: str | None, fields: Sequence[str]) -> str | None:
    """The query text of the URL's `q`, a `query_string` whose default field is `df`."""
    own = () if default_field is None else (default_field,)
    return tidy(_words_of_query_string(q, own, fields)) or None


def text_at(body: object, path: str) -> str | None:
    """The text at a dotted path into the search body, as `query.match.title.query`.

    A number in the path indexes an array; a key may have dots itself (`query.match.title.en`).
    """
    keys = path.split(".")
    if len(keys) > _MAX_DEPTH:
        return None
    return tidy(_text(_at(body, keys))) or None


def tidy(text: str) -> str:
    """The text with single blanks and no lone surrogates, cut at a word to MAX_CHARACTERS."""
    text = " ".join(_LONE_SURROGATE.sub("\ufffd", text[:_MAX_SYNTAX]).split())
    if len(text) <= MAX_CHARACTERS:
        return text
    head, blank, _ = text[: MAX_CHARACTERS + 1].rpartition(" ")
    return head if blank else text[:MAX_CHARACTERS]


def _walk(
    query: object, plan_fields: Sequence[str], required: bool, depth: int
) -> Iterator[_Found]:
    """Every text of the scored part of a query, in its order."""
    if not isinstance(query, dict) or depth == 0:
        return
    for kind, setting in query.items():
        if not isinstance(setting, dict):
            continue
        if kind in _MATCH_KINDS:
            for field, value in setting.items():
                text = value.get("query") if isinstance(value, dict) else value
                yield _Found(_text(text), (field,), required)
        elif kind in ("multi_match", "combined_fields"):
            yield _Found(_text(setting.get("query")), _fields_of(setting), required)
        elif kind == "query_string":
            own = _fields_of(setting)
            words = _words_of_query_string(_text(setting.get("query")), own, plan_fields)
            yield _Found(words, own, required)
        elif kind == "simple_query_string":
            words = words_of_simple_query_string(_text(setting.get("query"))[:_MAX_SYNTAX])
            yield _Found(words, _fields_of(setting), required)
        elif kind in ("neural", "neural_sparse"):
            # The field is a vector; the text that it was made of stands in others.
            for value in setting.values():
                text = value.get("query_text") if isinstance(value, dict) else None
                yield _Found(_text(text), (), required)
        elif kind == "intervals":
            for field, rule in setting.items():
                for text in _interval_texts(rule, depth - 1):
                    yield _Found(text, (field,), required)
        elif kind == "bool":
            for clause in _as_list(setting.get("must")):
                yield from _walk(clause, plan_fields, required, depth - 1)
            for clause in _as_list(setting.get("should")):
                yield from _walk(clause, plan_fields, False, depth - 1)
        elif kind in _SCORED_CHILDREN:
            for clause in _as_list(setting.get(_SCORED_CHILDREN[kind])):
                yield from _walk(clause, plan_fields, required, depth - 1)


def _words_of_query_string(text: str, own: Sequence[str], plan_fields: Sequence[str]) -> str:
    fields = (*own, *plan_fields)
    return words_of_query_string(text[:_MAX_SYNTAX], lambda name: _share_a_field((name,), fields))


def _interval_texts(rule: object, depth: int) -> Iterator[str]:
    if not isinstance(rule, dict) or depth == 0:
        return
    for kind, setting in rule.items():
        if kind == "match" and isinstance(setting, dict):
            yield _text(setting.get("query"))
        elif kind in ("all_of", "any_of") and isinstance(setting, dict):
            for inner in _as_list(setting.get("intervals")):
                yield from _interval_texts(inner, depth - 1)


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _fields_of(setting: Mapping[str, Any]) -> tuple[str, ...]:
    named = setting.get("fields", setting.get("default_field"))
    return tuple(
        field.partition("^")[0] for field in _as_list(named) if isinstance(field, str) and field
    )


def _share_a_field(patterns: Sequence[str], fields: Sequence[str]) -> bool:
    return any(_covers(pattern, field) for pattern in patterns for field in fields)


def _covers(pattern: str, field: str) -> bool:
    """Whether a query's field means the plan's: the same, a glob, or a multi-field of it."""
    return matches(pattern, field) or pattern.startswith(field + ".")


def _at(value: object, keys: Sequence[str]) -> object:
    if not keys:
        return value
    if isinstance(value, list):
        index = int(keys[0]) if re.fullmatch("[0-9]{1,9}", keys[0]) else len(value)
        return _at(value[index], keys[1:]) if index < len(value) else None
    if isinstance(value, dict):
        for count in range(1, len(keys) + 1):
            key = ".".join(keys[:count])
            if key in value and (inner := _at(value[key], keys[count:])) is not None:
                return inner
    return None
