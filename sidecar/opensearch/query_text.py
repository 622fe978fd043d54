"""Reads the words that a user typed out of a search's query.

Only the scored parts of a query are read. A filter narrows the hits and says little about their
order, so its texts are ignored, and so are negated texts. Query types without text, and unknown
ones, are ignored too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from sidecar.opensearch.query_syntax import read_query_string_words, read_simple_query_string_words
from sidecar.opensearch_rules.name_patterns import matches

MAX_CHARACTERS = 1000
"""Longer query texts are cut at a word: neural-search refuses them, and models ignore the rest."""

_MAX_SYNTAX = 4 * MAX_CHARACTERS
"""Maximum number of characters of a text that are read, operators and blanks included."""

_MAX_SYNTAX_OF_ALL = 16 * _MAX_SYNTAX
"""The same for all query strings of a search together; each different one counts once."""

_MAX_DEPTH = 32
"""Deeper parts of a query are ignored, so that no request can exhaust the stack."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can contain half a character (`\\ud83d`), which tokenizers cannot read."""

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
        "hybrid": "queries",
    }
)


class TooManyClauses(Exception):
    """The query has more texts, fields or syntax than are read."""


@dataclass(frozen=True, slots=True)
class _QueryText:
    """A text of the query. `fields` are the fields that it is searched in; empty means the index's
    default."""

    text: str
    fields: tuple[str, ...]
    required: bool


def read_query_text(query: object, fields: Sequence[str], max_texts: int) -> str | None:
    """The query text of a parsed `query`, or None if it has no text outside filters.

    If there are several texts, those on `fields` (the plan's, dotted) are preferred, then those
    that must match, then the longest. Raises TooManyClauses for more than `max_texts` texts, or for
    more field names than that in one list.
    """
    texts = list(islice(_walk(query, _QueryStrings(fields), True, _MAX_DEPTH), max_texts + 1))
    if len(texts) > max_texts or any(len(one.fields) > max_texts for one in texts):
        raise TooManyClauses
    candidates = [replace(one, text=text) for one in texts if (text := tidy(one.text))]
    names = _Names(fields)
    on_fields = [one for one in candidates if not one.fields or any(map(names.include, one.fields))]
    candidates = on_fields or candidates
    candidates = [one for one in candidates if one.required] or candidates
    # The first of the longest: query builders repeat one text over fields and boosts.
    return max((one.text for one in candidates), key=len, default=None)


def read_q_words(q: str, default_field: str | None, fields: Sequence[str]) -> str | None:
    """The query text of the URL's `q`, a `query_string` whose default field is `df`."""
    own = () if default_field is None else (default_field,)
    return tidy(_QueryStrings(fields).words(q, own)) or None


def read_text_at(body: object, path: str) -> str | None:
    """The text at a dotted path in the search body, such as `query.match.title.query`.

    A number in the path is an index into an array. A key may contain dots itself
    (`query.match.title.en`).
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


class _Names:
    """Names of fields, to compare with the fields that a query names."""

    def __init__(self, names: Sequence[str]) -> None:
        self.all = names
        self._all = frozenset(names)

    def include(self, pattern: str) -> bool:
        """Whether a query's field is one of them, a multi-field of one, or a pattern for one."""
        keys = pattern.split(".", _MAX_DEPTH)
        if any(".".join(keys[:count]) in self._all for count in range(1, len(keys) + 1)):
            return True
        return "*" in pattern and any(matches(pattern, name) for name in self.all)


class _QueryStrings:
    """Reads the query strings of one search, within a bound for all of them together."""

    def __init__(self, plan_fields: Sequence[str]) -> None:
        self._plan_fields = tuple(plan_fields)
        self._words: dict[tuple[str, tuple[str, ...] | None], str] = {}
        self._steps_left = _MAX_SYNTAX_OF_ALL

    def words(self, text: str, own: tuple[str, ...]) -> str:
        """The words of a `query_string`; `own` are the fields that it names itself."""
        names = _Names((*own, *self._plan_fields))

        def is_text_field(pattern: str) -> bool:
            if "*" in pattern:
                self._spend(len(names.all))
            return names.include(pattern)

        return self._once(text, own, lambda cut: read_query_string_words(cut, is_text_field))

    def simple_words(self, text: str) -> str:
        """The words of a `simple_query_string`."""
        return self._once(text, None, read_simple_query_string_words)

    def _once(self, text: str, own: tuple[str, ...] | None, read: Callable[[str], str]) -> str:
        # Query builders repeat one text over fields and boosts.
        key = (text[:_MAX_SYNTAX], own)
        if key not in self._words:
            self._spend(len(key[0]))
            self._words[key] = read(key[0])
        return self._words[key]

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise TooManyClauses


def _walk(
    query: object, strings: _QueryStrings, required: bool, depth: int
) -> Iterator[_QueryText]:
    """Every text of the scored part of a query, in order."""
    if not isinstance(query, dict) or depth == 0:
        return
    for kind, setting in query.items():
        if not isinstance(setting, dict):
            continue
        if kind in _MATCH_KINDS:
            for field, value in setting.items():
                text = value.get("query") if isinstance(value, dict) else value
                yield _QueryText(_text(text), (field,), required)
        elif kind in ("multi_match", "combined_fields"):
            yield _QueryText(_text(setting.get("query")), _fields_of(setting), required)
        elif kind == "query_string":
            own = _fields_of(setting)
            words = strings.words(_text(setting.get("query")), own)
            yield _QueryText(words, own, required)
        elif kind == "simple_query_string":
            words = strings.simple_words(_text(setting.get("query")))
            yield _QueryText(words, _fields_of(setting), required)
        elif kind in ("neural", "neural_sparse"):
            # The field is a vector; the text that it was made from is in other fields.
            for value in setting.values():
                text = value.get("query_text") if isinstance(value, dict) else None
                yield _QueryText(_text(text), (), required)
        elif kind == "intervals":
            for field, rule in setting.items():
                for text in _interval_texts(rule, depth - 1):
                    yield _QueryText(text, (field,), required)
        elif kind == "bool":
            for clause in _as_list(setting.get("must")):
                yield from _walk(clause, strings, required, depth - 1)
            for clause in _as_list(setting.get("should")):
                yield from _walk(clause, strings, False, depth - 1)
        elif kind in _SCORED_CHILDREN:
            for clause in _as_list(setting.get(_SCORED_CHILDREN[kind])):
                yield from _walk(clause, strings, required, depth - 1)


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
