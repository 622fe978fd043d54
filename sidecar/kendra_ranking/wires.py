"""The three wires of the service: which operation a request calls, and how its members are spelt.

- `json`, awsJson 1.0: `POST /`, the operation in `X-Amz-Target`. boto3, the AWS CLI.
- `cbor`, rpc-v2-cbor: the operation at the end of the path. The Go SDK of 2026.
- `rest`: method and path, JSON bodies. OpenSearch's plugin, which sends a form's content type, a
  slash at the end and sometimes two at the start; so neither is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote

import cbor2

from sidecar.aws_json import (
    AwsError,
    read_json_object,
    read_target,
    unknown_operation,
    unparseable,
    write_json,
)
from sidecar.kendra_ranking.operations import SERVICE, Operation, find_by_path

Wire = Literal["json", "cbor", "rest"]

_CBOR_PATH = re.compile(rf"/service/{SERVICE}/operation/([^/]+)/?$")
_REST_PATH = re.compile(r"(?:^|/)rescore-execution-plans(?:/|$)")
_CONTENT_TYPES = {
    "json": "application/x-amz-json-1.0",
    "cbor": "application/cbor",
    "rest": "application/json",
}
# What cbor2 makes of these tags may cost any amount of time, as big fractions do.
_TAGS = (*range(6), 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)


class Timestamp(float):
    """Epoch seconds in an answer; each wire has its own form for them."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a request's head says: the wire, the operation's name, the members in the target."""

    wire: Wire
    name: str
    operation: Operation | None
    members: Mapping[str, object]


def find_wire(path: str, target: str | None) -> Wire | None:
    """The wire of a request by its path and `X-Amz-Target`; None if it is another service's."""
    if target is not None:
        return "json" if read_target(target, SERVICE) is not None else None
    if _CBOR_PATH.search(path):
        return "cbor"
    return "rest" if _REST_PATH.search(path) else None


def read_call(
    wire: Wire,
    operations: Mapping[str, Operation],
    method: str,
    target: str,
    amz_target: str | None,
) -> Call:
    """Read the head of a request of this wire; `target` is its path and query, undecoded."""
    path, _, query = target.partition("?")
    if wire == "rest":
        found = find_by_path(operations, method, path)
        if found is None:
            return Call(wire, f"{method} {path}", None, {})
        operation, path_value = found
        rest = operation.rest
        members: dict[str, object] = {}
        if rest and rest.query:
            given = dict(parse_qsl(query, keep_blank_values=True))
            members = {
                member: _number_or_text(given[name]) if member == "MaxResults" else given[name]
                for name, member in rest.query.items()
                if name in given
            }
        if rest and rest.path_member:
            members[rest.path_member] = unquote(path_value)
        return Call(wire, operation.name, operation, members)
    if wire == "cbor":
        match = _CBOR_PATH.search(path)
        name = unquote(match[1]) if match else ""
    else:
        name = read_target(amz_target, SERVICE) or ""
    return Call(wire, name, operations.get(name) if method == "POST" else None, {})


def read_members(call: Call, body: bytes) -> dict[str, object]:
    """The members of a request, not yet checked; raises AwsError if there is nothing to check."""
    if call.wire == "cbor":
        members = _read_cbor_object(body)
    else:
        members = read_json_object(body)
    if call.operation is None:
        raise unknown_operation(call.name, 400 if call.wire == "json" else 404)
    return {**members, **call.members}


def write_answer(wire: Wire, members: Mapping[str, object]) -> tuple[bytes, dict[str, str]]:
    """The body of an answer, and the header fields that go with it."""
    fields = {"Content-Type": _CONTENT_TYPES[wire]}
    if wire == "cbor":
        fields["smithy-protocol"] = "rpc-v2-cbor"
        return cbor2.dumps(_tagged(members)), fields
    return write_json(members), fields


def write_error(wire: Wire, error: AwsError) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and header fields of an error."""
    body, fields = write_answer(wire, error.members)
    fields["x-amzn-ErrorType"] = error.name
    if wire == "json":
        return error.json_status, body, fields
    if wire == "rest" and error.name == "ThrottlingException":
        # The plugin repeats a 429 three times, on a thread that searches wait for. Any other
        # 4xx gives its user the original order at once.
        return 400, body, fields
    return error.status, body, fields


def _read_cbor_object(body: bytes) -> dict[str, object]:
    if not body:
        return {}
    try:
        value = cbor2.loads(body, semantic_decoders=dict.fromkeys(_TAGS, _leave_untagged))
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        raise unparseable("The request body is not valid CBOR.") from None
    if not isinstance(value, dict):
        raise unparseable("The request body must be a CBOR map.")
    return {name: member for name, member in value.items() if isinstance(name, str)}


def _leave_untagged(value: object, _immutable: bool) -> object:
    return value


def _tagged(value: object) -> object:
    match value:
        case Timestamp():
            return cbor2.CBORTag(1, float(value))
        case Mapping():
            return {name: _tagged(member) for name, member in value.items()}
        case list():
            return [_tagged(item) for item in value]
        case _:
            return value


def _number_or_text(text: str) -> object:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else text
