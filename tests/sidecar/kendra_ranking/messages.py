"""Requests that are nearly valid, for fuzzing the door.

They are built from the declared shapes, so most pass the first check. They have valid members with
wrong types, lengths at the limits, deep nesting, and the bytes of one wire on another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import cbor2
from hypothesis import strategies as st

from sidecar.aws.shapes import Items, Number, Shape, Structure, Text, Whole
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.kendra_ranking.operations import Operation, declare_operations
from tests.sidecar.kendra_ranking.serving import PLAN_ID, TARGET

OPERATIONS = declare_operations(KendraRanking())
ERRORS = {
    *("ValidationException", "SerializationException", "UnknownOperationException"),
    *("ResourceNotFoundException", "ResourceUnavailableException", "ConflictException"),
    *("ServiceQuotaExceededException", "ThrottlingException", "AccessDeniedException"),
}

_STRANGE_TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["", "\0", "\ud800", "\u200d", "NaN", "x" * 3000, "' OR 1=1 --", PLAN_ID, "0" * 36]
)
_STRANGE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | _STRANGE_TEXT
    | st.just([]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_STRANGE_TEXT, inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    fields: dict[str, str]
    body: bytes


def _values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of a shape, most of them valid."""
    match shape:
        case Text():
            right = st.just(PLAN_ID) if shape.longest == 36 else st.text("ab -é中", min_size=1)
            edges = [shape.shortest, (shape.longest or 10), (shape.longest or 10) + 1]
            return right | st.sampled_from(["a" * length for length in edges]) | _STRANGE_TEXT
        case Whole():
            return st.integers(-1, 60) | st.integers()
        case Number():
            return st.floats(-10, 10) | st.floats() | st.sampled_from(["NaN", "Infinity", "1"])
        case Items():
            return st.lists(_values(shape.member) | _STRANGE, max_size=5)
        case Structure():
            return st.fixed_dictionaries(
                {name: _values(shape.members[name]) for name in sorted(shape.required)},
                optional={
                    name: _values(member) | st.none()
                    for name, member in shape.members.items()
                    if name not in shape.required
                },
            )
        case _:
            raise TypeError(shape)


def _sent(operation: Operation, members: Any, wire: str) -> Request:
    if wire == "cbor":
        fields = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        path = f"/service/{TARGET}/operation/{operation.name}"
        return Request("POST", path, fields, cbor2.dumps(_without_surrogates(members)))
    body = json.dumps(members).encode()
    if wire == "rest" and operation.rest:
        path = "/" + operation.rest.path.replace("{}", PLAN_ID)
        return Request(operation.rest.method, path, {}, body)
    return Request("POST", "/", {"X-Amz-Target": f"{TARGET}.{operation.name}"}, body)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request that this door answers."""
    operation = draw(st.sampled_from(sorted(OPERATIONS.values(), key=lambda o: o.name)))
    wire = draw(st.sampled_from(["json", "cbor", "rest"]))
    members = draw(_values(operation.input))
    for name in draw(st.lists(st.sampled_from(sorted(members) or ["x"]), max_size=1)):
        members[name] = draw(_STRANGE)
    request = _sent(operation, members, wire)
    match draw(st.integers(0, 9)):
        case 0:
            return Request(request.method, request.target, request.fields, draw(st.binary()))
        case 1:
            cut = draw(st.integers(0, len(request.body)))
            return Request(request.method, request.target, request.fields, request.body[:cut])
        case 2:
            at = draw(st.integers(0, max(0, len(request.body) - 1)))
            byte = draw(st.binary(min_size=1, max_size=1))
            body = request.body[:at] + byte + request.body[at + 1 :]
            return Request(request.method, request.target, request.fields, body)
        case _:
            return request
