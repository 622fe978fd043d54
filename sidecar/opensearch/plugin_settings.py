"""The index settings of OpenSearch's Kendra Intelligent Ranking plugin, without the plugin.

    {"settings": {"index": {"plugin": {"searchrelevance": {"result_transformer":
      {"kendra_intelligent_ranking": {"order": 1,
        "properties": {"title_field": "t", "body_field": "b", "doc_limit": 25}}}}}}}}

Keys may be nested, dotted or both, with or without the leading `index`. A cluster without the
plugin does not know them, so they are cut out of the request. Types, limits and messages are
those of the plugin (search-processor 2.11, `KendraIntelligentRankerSettings`); how a value is
read is OpenSearch's `Settings`. What is no setting of the plugin stays where it is, and the
cluster says what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.plan import DocumentFields
from sidecar.opensearch.field_patterns import matches
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    read_unique_value,
    replace_spans,
    spans_of_members,
)
from sidecar.opensearch.plugin_ext import PluginRanking

ORDER: Final = "order"
BODY_FIELD: Final = "properties.body_field"
TITLE_FIELD: Final = "properties.title_field"
DOC_LIMIT: Final = "properties.doc_limit"
NAMES: Final = (ORDER, BODY_FIELD, DOC_LIMIT, TITLE_FIELD)
"""The settings in the order in which OpenSearch checks them."""

PREFIX: Final = "index.plugin.searchrelevance.result_transformer.kendra_intelligent_ranking."

NOTHING_ELSE: Final = json.dumps({PREFIX + "*": None}).encode()
"""A change of index settings that every cluster accepts from whoever may make one, and that
changes nothing on a cluster without the plugin: what is sent when nothing else is left."""

Value = int | tuple[str, ...]
Values = Mapping[str, Value]
"""An index's settings of the plugin by their names, those in NAMES."""

_MARK: Final = b"kendra_intelligent_ranking"
_SMALLEST_DOC_LIMIT: Final = 25
_LARGEST_WINDOW: Final = 10_000  # OpenSearch's default for `index.max_result_window`


class BadSetting(ValueError):
    """A value that the plugin refuses; the message is its own."""


class _Unclear(Exception):
    """The body is not one whose meaning is certain."""


@dataclass(frozen=True, slots=True)
class SettingsRequest:
    """The body of a request without the plugin's settings, and what they are to be.

    `removed` are set back; then `added` are set.
    """

    body: bytes
    removed: frozenset[str]
    added: Values

    def change(self, values: Values) -> Values:
        """An index's settings after this request."""
        kept = {name: value for name, value in values.items() if name not in self.removed}
        return {**kept, **self.added}


def read_settings_request(body: bytes, *, creates: bool) -> SettingsRequest | None:
    """Read the plugin's settings in the body of an index's creation or of a change of settings.

    None when there are none, or when OpenSearch might read the body otherwise. Raises BadSetting
    when the plugin would refuse a value.
    """
    # Keys that are spelled with escapes are left to the cluster.
    if _MARK not in body and (creates or b"*" not in body):
        return None
    try:
        text = body.decode()
        members = read_document(text, _read_creation if creates else _read_object)
        found = _Cut(text, creates)
        wrapper = members.get("settings")
        if wrapper and isinstance(wrapper.value, dict):
            if not creates and len(members) > 1:
                return None
            edits, emptied = found.cut(wrapper.start, wrapper.value)
            if emptied:
                edits = spans_of_members(text, text.index("{"), members, ("settings",))
        elif creates:
            return None
        else:
            edits, emptied = found.cut(text.index("{"), members)
    except (UnicodeDecodeError, NotJson, RecursionError, _Unclear):
        return None
    if not found.values and not found.nulled_by_pattern:
        return None
    if emptied and not creates:
        cut = NOTHING_ELSE
    else:
        cut = replace_spans(text, [(start, end, "") for start, end in edits]).encode()
    removed = {name for name, value in found.values.items() if value is None}
    added = {
        name: _checked(name, value)
        for name in NAMES
        if (value := found.values.get(name)) is not None
    }
    return SettingsRequest(cut, frozenset(removed | found.nulled_by_pattern), added)


def ranking_of(values: Values) -> PluginRanking | None:
    """What searches of an index with these settings are rescored by; None where the plugin would
    not rescore them: `order` has to be 1, its only transformer's place, and a body be named."""
    bodies = _fields(values, BODY_FIELD)
    if values.get(ORDER) != 1 or not bodies:
        return None
    limit = values.get(DOC_LIMIT, _SMALLEST_DOC_LIMIT)
    assert isinstance(limit, int)
    document = DocumentFields(title=_fields(values, TITLE_FIELD), body=bodies)
    return PluginRanking(document, min(limit, _LARGEST_WINDOW))


def check_value(name: str, value: object) -> Value:
    """The value of one setting as a request spells it; raises BadSetting."""
    try:
        return _checked(name, _texts(value))
    except _Unclear:
        raise BadSetting(f"[{name}] is neither a text or number nor a list of them") from None


def _fields(values: Values, name: str) -> tuple[str, ...]:
    value = values.get(name, ())
    assert isinstance(value, tuple)
    return tuple(field for field in value if field)


_Texts = str | list[str]
"""A value as OpenSearch's `Settings` keep it."""


class _Cut:
    """The plugin's settings within one object of settings, gathered while they are cut out."""

    def __init__(self, text: str, creates: bool) -> None:
        self.values: dict[str, _Texts | None] = {}
        self.nulled_by_pattern: set[str] = set()
        self._text = text
        self._creates = creates

    def cut(
        self, start: int, members: Mapping[str, Spanned], path: str = ""
    ) -> tuple[list[tuple[int, int]], bool]:
        """The spans to cut in the object that starts there; or none, as all of it is to go."""
        spans = []
        gone = set()
        for key, member in members.items():
            if isinstance(member.value, dict):
                inside, emptied = self.cut(member.start, member.value, f"{path}{key}.")
                spans += inside
                if emptied:
                    gone.add(key)
            elif self._takes(path + key, member.value):
                gone.add(key)
        if gone and len(gone) == len(members):
            return [], True
        return spans + spans_of_members(self._text, start, members, gone), False

    def _takes(self, key: str, value: object) -> bool:
        if "*" in key:
            # A null by pattern stays: every cluster takes it, also where nothing fits.
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
    """The value as the plugin takes it; raises BadSetting."""
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
    """What `Integer.parseInt` reads, or None."""
    if not re.fullmatch(r"[+-]?\d+", text):
        return None
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 10:
        return None
    number = int(digits or "0") * (-1 if text.startswith("-") else 1)
    return number if -(1 << 31) <= number < 1 << 31 else None


def _split(text: str) -> list[str]:
    """A list that is written as one text, with commas."""
    parts = text.split(",")
    while parts and not parts[-1]:
        parts.pop()
    return [part.strip() for part in parts]


def _read_creation(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, {"settings": _read_settings})


def _read_settings(text: str, start: int) -> tuple[Any, int]:
    """Any value; objects with the places of their members, to any depth."""
    if text.startswith("{", start):
        return _read_object(text, start)
    return read_unique_value(text, start)


def _read_object(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=_read_settings)
