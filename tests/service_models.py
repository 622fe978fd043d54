"""Compares what a door declares and answers with AWS's own models, as botocore carries them."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import cache
from typing import Any

import boto3

from sidecar.aws.shapes import (
    Flag,
    Items,
    Moment,
    NestingEnd,
    Number,
    OneOf,
    Pairs,
    Shape,
    Structure,
    Text,
    Whole,
    has_controls,
)

# What an integer or a long can hold where the model says no more.
_RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


@cache
def service_model(service: str) -> Any:
    """The model of a service."""
    return boto3.client(service, region_name="us-east-1").meta.service_model


def check_declaration(name: str, own: Shape, model: Any, own_rules: Set[str] = frozenset()) -> None:
    """Types, required members, lengths, ranges, words and patterns, down to the last member.

    `own_rules` are names of members that differ on purpose.
    """
    limits = model.metadata
    kind, lengths = model.type_name, (limits.get("min", 0), limits.get("max"))
    differs = name in own_rules
    match own:
        case Structure():
            assert (kind, set(model.members)) == ("structure", set(own.members)), name
            assert differs or set(model.required_members) == own.required, name
            for member, shape in own.members.items():
                check_declaration(member, shape, model.members[member], own_rules)
        case Items():
            assert kind == "list", name
            assert lengths == (own.shortest, own.longest), name
            check_declaration(name, own.member, model.member, own_rules)
        case Pairs():
            assert kind == "map", name
            check_declaration(name, own.key, model.key, own_rules)
            check_declaration(name, own.member, model.value, own_rules)
        case Text():
            assert kind == "string", name
            assert lengths == (own.shortest, own.longest), name
            assert differs or limits.get("pattern") == own.pattern, name
        case Whole():
            assert kind in _RANGES, name
            least, most = _RANGES[kind]
            assert differs or own.least == limits.get("min", least), name
            assert differs or (most if own.most is None else own.most) == limits.get("max", most)
        case Number():
            assert kind == "float", name
            assert (limits.get("min"), limits.get("max")) == (own.least, own.most), name
        case OneOf():
            assert (kind, set(model.enum)) == ("string", set(own.words)), name
        case Flag():
            assert kind == "boolean", name
        case Moment():
            assert kind == "timestamp", name
        case NestingEnd():
            pass
        case _:
            raise AssertionError(f"{name}: {own}")


def check_reply(model: Any, value: Any, may_be_empty: Set[str] = frozenset()) -> set[str]:
    """Check a reply as it is on the wire by the model of it; the paths of all members it has.

    `may_be_empty` are names of texts that may have no characters, whatever the model says.
    """
    seen: set[str] = set()
    _check(model, value, "", seen, may_be_empty)
    return seen


def _check(model: Any, value: Any, path: str, seen: set[str], may_be_empty: Set[str]) -> None:
    seen.add(path)
    limits = model.metadata
    match model.type_name:
        case "structure":
            assert isinstance(value, dict), path
            assert set(value) <= set(model.members), path
            assert set(value) >= set(model.required_members), path
            for name, inner in value.items():
                below = f"{path}.{name}".lstrip(".")
                _check(model.members[name], inner, below, seen, may_be_empty)
        case "list":
            assert isinstance(value, list), path
            _check_length(value, limits, path)
            for inner in value:
                _check(model.member, inner, path, seen, may_be_empty)
        case "string":
            assert isinstance(value, str), path
            if value == "" and path.rpartition(".")[2] in may_be_empty:
                return
            _check_length(value, limits, path)
            assert not model.enum or value in model.enum, f"{path}: {value}"
            assert _fits(limits.get("pattern"), value), f"{path}: {value}"
        case "integer" | "long":
            assert isinstance(value, int), path
            assert not isinstance(value, bool), path
            least, most = _RANGES[model.type_name]
            assert least <= value <= most, path
        case "boolean":
            assert isinstance(value, bool), path
        case "timestamp":
            # Whole epoch seconds: that much is known of a date.
            assert type(value) is int, path
        case other:
            raise AssertionError(f"{path}: {other}")


def _check_length(value: Any, limits: Any, path: str) -> None:
    assert limits.get("min", 0) <= len(value) <= limits.get("max", len(value)), f"{path}: {value!r}"


def _fits(pattern: str | None, text: str) -> bool:
    if pattern is None:
        return True
    if r"\P{C}" in pattern:
        # Python's patterns have no such class.
        return not has_controls(text)
    return re.fullmatch(pattern.strip("^$"), text) is not None
