"""The index settings of OpenSearch's Kendra Intelligent Ranking plugin, without the plugin.

    {"settings": {"index": {"plugin": {"searchrelevance": {"result_transformer":
      {"kendra_intelligent_ranking": {"order": 1,
        "properties": {"title_field": "t", "body_field": "b", "doc_limit": 25}}}}}}}}

Keys may be nested, dotted or both, with or without the leading `index`. A cluster without the
plugin does not know these settings, so they are cut out of the request. Types, limits and messages
are those of the plugin (search-processor 2.11, `KendraIntelligentRankerSettings`). Values are read
as OpenSearch's `Settings` does. All other settings stay in the request for the cluster to judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.plan import DocumentFields
from sidecar.config.limits import Limits
from sidecar.kendra_plugin.section import PluginRanking
from sidecar.opensearch_rules.limits import MAX_RESULT_WINDOW
from sidecar.opensearch_rules.name_patterns import matches
from sidecar.spans.json_amounts import has_more_values
from sidecar.spans.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    read_unique_value,
    replace_spans,
    spans_of_members,
)

ORDER: Final = "order"
BODY_FIELD: Final = "properties.body_field"
TITLE_FIELD: Final = "properties.title_field"
DOC_LIMIT: Final = "properties.doc_limit"
NAMES: Final = (ORDER, BODY_FIELD, DOC_LIMIT, TITLE_FIELD)
"""The settings in the order in which OpenSearch checks them."""

PREFIX: Final = "index.plugin.searchrelevance.result_transformer.kendra_intelligent_ranking."

NOTHING_ELSE: Final = json.dumps({PREFIX + "*": None}).encode()
"""A change of index settings that is sent if a request has no other settings. Every cluster accepts
it from a caller with the permission to change settings. It changes nothing on a cluster without the
plugin."""

Value = int | tuple[str, ...]
Values = Mapping[str, Value]
"""The plugin's settings of one index, by the names in NAMES."""

_MARK: Final = b"kendra_intelligent_ranking"
_LONGEST_KEY: Final = 1000
"""Maximum number of characters of a dotted key; a body with a longer key is not edited."""

_SMALLEST_DOC_LIMIT: Final = 25


class BadSetting(ValueError):
    """A value that the plugin refuses; the message is the plugin's."""


class _Unclear(Exception):
    """It is not certain how OpenSearch reads the body."""


@dataclass(frozen=True, slots=True)
class SettingsRequest:
    """The body of a request without the plugin's settings, and the changes to these settings.

    First the settings in `removed` are reset, then those in `added` are set.
    """

    body: bytes
    removed: frozenset[str]
    added: Values

    def change(self, values: Values) -> Values:
        """An index's settings after this request."""
        unchanged = {name: value for name, value in values.items() if name not in self.removed}
        return {**unchanged, **self.added}


def may_have_settings(body: bytes, *, creates: bool) -> bool:
    """Whether the body may have the plugin's settings; nearly no body has them.

    A key with escapes is not recognized; then the cluster answers with an error.
    """
    return _MARK in body or (not creates and b"*" in body)


def read_settings_request(body: bytes, limits: Limits, *, creates: bool) -> SettingsRequest | None:
    """Read the plugin's settings in a body that creates an index or changes settings.

    None if there are none, if OpenSearch might read the body differently, or if the body exceeds
    the limits. Raises BadSetting if the plugin would refuse a value.
    """
    if not may_have_settings(body, creates=creates):
        return None
    if len(body) > limits.search_bytes or has_more_values(body, limits.search_values):
        return None
    try:
        text = body.decode()
        members = read_document(text, _read_creation if creates else _read_object)
        cutter = _SettingsCutter(text, creates, limits.nesting)
        wrapper = members.get("settings")
        if wrapper and isinstance(wrapper.value, dict):
            if not creates and len(members) > 1:
                return None
            edits, emptied = cutter.cut(wrapper.start, wrapper.value)
            if emptied:
                edits = spans_of_members(text, text.index("{"), members, ("settings",))
        elif creates:
            return None
        else:
            edits, emptied = cutter.cut(text.index("{"), members)
    except (UnicodeDecodeError, NotJson, RecursionError, _Unclear):
        return None
    if not cutter.values and not cutter.nulled_by_pattern:
        return None
    if emptied and not creates:
        edited = NOTHING_ELSE
    else:
        edited = replace_spans(text, [(start, end, "") for start, end in edits]).encode()
    removed = {name for name, value in cutter.values.items() if value is None}
    added = {
        name: _checked(name, value)
        for name in NAMES
        if (value := cutter.values.get(name)) is not None
    }
    return SettingsRequest(edited, frozenset(removed | cutter.nulled_by_pattern), added)


def read_ranking(values: Values) -> PluginRanking | None:
    """The fields and window of an index with these settings; None if the plugin would not rescore.

    The plugin rescores if `order` is 1, the place of its only transformer, and a body field is set.
    """
    bodies = _fields(values, BODY_FIELD)
    if values.get(ORDER) != 1 or not bodies:
        return None
    limit = values.get(DOC_LIMIT, _SMALLEST_DOC_LIMIT)
    assert isinstance(limit, int)
    document = DocumentFields(title=_fields(values, TITLE_FIELD), body=bodies)
    return PluginRanking(document, min(limit, MAX_RESULT_WINDOW))


def check_value(name: str, value: object) -> Value:
    """The value of one setting as a request writes it. Raises BadSetting."""
    try:
        return _checked(name, _texts(value))
    except _Unclear:
        raise BadSetting(f"[{name}] is neither text nor a number nor a list of these") from None


def _fields(values: Values, name: str) -> tuple[str, ...]:
    value = values.get(name, ())
    assert isinstance(value, tuple)
    return tuple(field for field in value if field)


_Texts = str | list[str]
"""A value as OpenSearch's `Settings` store it."""


class _SettingsCutter:
    """Cuts the plugin's settings out of one object of settings, and collects them."""

    def __init__(self, text: str, creates: bool, depth: int) -> None:
        self.values: dict[str, _Texts | None] = {}
        self.nulled_by_pattern: set[str] = set()
        self._text = text
        self._creates = creates
        self._depth = depth

    def cut(
        self, start: int, members: Mapping[str, Spanned], path: str = "", depth: int = 1
    ) -> tuple[list[tuple[int, int]], bool]:
        """The spans to cut in the object that starts at `start`, and whether nothing would be left.

        In the latter case there are no spans, because the whole object is cut.
        """
        if depth > self._depth or len(path) > _LONGEST_KEY:
            raise _Unclear
        spans = []
        gone = set()
        for key, member in members.items():
            if isinstance(member.value, dict):
                inside, emptied = self.cut(member.start, member.value, f"{path}{key}.", depth + 1)
                spans += inside
                if emptied:
                    gone.add(key)
            elif self._collect(path + key, member.value):
                gone.add(key)
        if gone and len(gone) == len(members):
            return [], True
        return spans + spans_of_members(self._text, start, members, gone), False

    def _collect(self, key: str, value: object) -> bool:
        if "*" in key:
            # A null with a pattern stays. Every cluster accepts it, even if nothing matches.
            if value is None and not self._creates:
                self.nulled_by_pattern |= {name for name in NAMES if matches(key, PREFIX + name)}
            return False
        full = key if key.startswith("index.") else f"index.{key}"
        name = full.removeprefix(PREFIX)
        if name == full or name not in NAMES:
            return False
        if name in self.values:
            raise _Unclear
        self.values[name] = None if value is None else _texts(value)
        return True


def _texts(value: object) -> _Texts:
    return [_text(element) for element in value] if isinstance(value, list) else _text(value)


def _text(value: object) -> str:
    if value is None or isinstance(value, (dict, list)):
        raise _Unclear
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Unclear from None
    return text


def _checked(name: str, value: _Texts) -> Value:
    """The value as the plugin reads it. Raises BadSetting."""
    if name in (ORDER, DOC_LIMIT):
        text = value if isinstance(value, str) else f"[{', '.join(value)}]"
        number = _java_int(text)
        if number is None or number < 1:
            limit = "" if number is None else " must be >= 1"
            raise BadSetting(f"Failed to parse value [{text}] for setting [{PREFIX}{name}]{limit}")
        if name == DOC_LIMIT and number < _SMALLEST_DOC_LIMIT:
            raise BadSetting(
                f"Setting the value of [doc_limit] below {_SMALLEST_DOC_LIMIT} will affect"
                " ranking accuracy"
            )
        return number
    fields = _split(value) if isinstance(value, str) else value
    if len(fields) > 1:
        raise BadSetting(f"[{name.rpartition('.')[2]}] can have at most 1 element")
    return tuple(fields)


def _java_int(text: str) -> int | None:
    """The number that `Integer.parseInt` returns; None if it raises an error."""
    if not re.fullmatch(r"[+-]?\d+", text):
        return None
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 10:
        return None
    number = int(digits or "0") * (-1 if text.startswith("-") else 1)
    return number if -(1 << 31) <= number < 1 << 31 else None


def _split(text: str) -> list[str]:
    """A list that is written as one text with commas."""
    parts = text.split(",")
    while parts and not parts[-1]:
        parts.pop()
    return [part.strip() for part in parts]


def _read_creation(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, {"settings": _read_settings})


def _read_settings(text: str, start: int) -> tuple[Any, int]:
    """Any value; objects have the spans of their members, at any depth."""
    if text.startswith("{", start):
        return _read_object(text, start)
    return read_unique_value(text, start)


def _read_object(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=_read_settings)
