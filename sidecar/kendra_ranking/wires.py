"""The three wires of the service: which operation a request calls, and its members as bytes.

- `json`, awsJson 1.0: `POST /`, with the operation in `X-Amz-Target`. For boto3 and the AWS CLI.
- `cbor`, rpc-v2-cbor: the operation is the end of the path. For the Go SDK of 2026.
- `rest`: method and path, with a JSON body. For OpenSearch's plugin, which sends the content
  type of a form, a slash at the end of the path and sometimes two at its start. The door therefore
  ignores the content type and these slashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote

import cbor2

from sidecar.aws.json import (
    AwsError,
    read_json_object,
    read_target,
    unknown_operation,
    unparseable,
    write_json,
)
from sidecar.kendra_ranking.cbor_bodies import BadCbor, parse_cbor
from sidecar.kendra_ranking.operations import SERVICE, Operation, find_by_path

Wire = Literal["json", "cbor", "rest"]

_CBOR_PATH = re.compile(rf"/service/{SERVICE}/operation/([^/]+)/?$")
_REST_PATH = re.compile(r"(?:^|/)rescore-execution-plans(?:/|$)")
_CONTENT_TYPES = {
    "json": "application/x-amz-json-1.0",
    "cbor": "application/cbor",
    "rest": "application/json",
}
# Enough for a thousand groups of three tokenised documents: about 8 MiB, the default limit of a
# body.
_MOST_VALUES = 1_000_000


class Timestamp(float):
    """Epoch seconds in an answer. Each wire encodes them in its own form."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the head of a request says.

    `operation` is None if the service has no operation called `name`. `members` are those in the
    path and query.
    """

    wire: Wire
    name: str
    operation: Operation | None
    members: Mapping[str, object]


def find_wire(path: str, target: str | None) -> Wire | None:
    """The wire of a request, by its path and `X-Amz-Target`; None for another service's."""
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
    """Read the head of a request on this wire. `target` is its path and query, undecoded."""
    path, _, query = target.partition("?")
    if wire == "rest":
        match_by_path = find_by_path(operations, method, path)
        if match_by_path is None:
            return Call(wire, f"{method} {path}", None, {})
        operation, path_value = match_by_path
        rest = operation.rest
        members: dict[str, object] = {}
        if rest and rest.query:
            parameters = dict(parse_qsl(query, keep_blank_values=True))
            members = {
                member: _number_or_text(value) if member == "MaxResults" else value
                for name, member in rest.query.items()
                if (value := parameters.get(name)) is not None
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
    """The members of a request, not yet checked.

    Raises AwsError if the body cannot be parsed or there is no such operation.
    """
    if call.wire == "cbor":
        members = _read_cbor_object(body)
    else:
        members = read_json_object(body, _MOST_VALUES)
    if call.operation is None:
        raise unknown_operation(call.name, 400 if call.wire == "json" else 404)
    return {**members, **call.members}


def write_answer(wire: Wire, members: Mapping[str, object]) -> tuple[bytes, dict[str, str]]:
    """The body of an answer, and the header fields that belong to it."""
    fields = {"Content-Type": _CONTENT_TYPES[wire]}
    if wire == "cbor":
        fields["smithy-protocol"] = "rpc-v2-cbor"
        return cbor2.dumps(_tag_timestamps(members)), fields
    return write_json(members), fields


def write_error(wire: Wire, error: AwsError) -> tuple[int, bytes, dict[str, str]]:
    """The status, body and header fields of an error."""
    body, fields = write_answer(wire, error.members)
    fields["x-amzn-ErrorType"] = error.name
    if wire == "json":
        return error.json_status, body, fields
    if wire == "rest" and error.name == "ThrottlingException":
        # The plugin repeats a request three times after a 429, on a thread that searches wait
        # for. After any other 4xx it returns the original order at once.
        return 400, body, fields
    return error.status, body, fields


def _read_cbor_object(body: bytes) -> dict[str, object]:
    if not body:
        return {}
    try:
        value = parse_cbor(body, _MOST_VALUES)
    except BadCbor as error:
        raise unparseable(f"The request body cannot be read: {error}.") from None
    if not isinstance(value, dict):
        raise unparseable("The request body must be a CBOR map.")
    return {name: member for name, member in value.items() if isinstance(name, str)}


def _tag_timestamps(value: object) -> object:
    match value:
        case Timestamp():
            return cbor2.CBORTag(1, float(value))
        case Mapping():
            return {name: _tag_timestamps(member) for name, member in value.items()}
        case list():
            return [_tag_timestamps(item) for item in value]
        case _:
            return value


def _number_or_text(text: str) -> object:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else text
