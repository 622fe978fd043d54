"""AWS's JSON protocols: one kind of error, JSON objects in and out, the target header."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping

from sidecar.api.json_bodies import MOST_VALUES, TooManyValues, parse_json

_MESSAGE_LENGTH = 2048


class AwsError(Exception):
    """An error as AWS clients know it.

    `name` is the exception's name; SDKs choose the type that they raise by it. `status` is the HTTP
    status in the service's model. `json_status` is the one in the awsJson protocol, where all
    errors of clients have 400.
    """

    def __init__(self, name: str, message: str, status: int = 400, json_status: int = 400) -> None:
        # The models in SDKs allow no line breaks and no longer messages.
        self.message = printable(message)[:_MESSAGE_LENGTH]
        super().__init__(f"{name}: {self.message}")
        self.name = name
        self.status = status
        self.json_status = json_status

    @property
    def members(self) -> dict[str, str]:
        """The error's body. Botocore reads the name only here, and the message from `Message`;
        other SDKs read `message`."""
        return {"__type": self.name, "Message": self.message, "message": self.message}


def printable(text: str) -> str:
    """The text with a blank for each control character and lone surrogate."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)


def unparseable(why: str) -> AwsError:
    """The error for a body that does not follow its protocol."""
    return AwsError("SerializationException", why)


def unknown_operation(what: str, status: int) -> AwsError:
    """The error for an operation that the service does not have."""
    return AwsError("UnknownOperationException", f"There is no operation {what}.", status)


def read_target(target: str | None, service: str) -> str | None:
    """The operation in an `X-Amz-Target` header; None if the service is another one."""
    prefix, dot, operation = (target or "").partition(".")
    return operation if dot and prefix == service else None


def read_json_object(body: bytes, most_values: int = MOST_VALUES) -> dict[str, object]:
    """Read a request body, one JSON object in UTF-8; an empty body is an empty object.

    Raises AwsError for anything else, and for more than `most_values` values.
    """
    if not body:
        return {}
    if body.startswith(BOM_UTF8):
        raise unparseable("The request body is not valid JSON.")
    try:
        value = parse_json(body, most_values)
    except TooManyValues:
        raise unparseable(f"The request body has more than {most_values} values.") from None
    except UnicodeDecodeError:
        raise unparseable("The request body is not UTF-8.") from None
    except RecursionError:
        raise unparseable("The request body is nested too deeply.") from None
    except ValueError:
        raise unparseable("The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise unparseable("The request body must be a JSON object.")
    return value


def write_json(members: Mapping[str, object]) -> bytes:
    """One JSON object; raises ValueError for numbers that are not finite."""
    return json.dumps(members, separators=(",", ":"), allow_nan=False).encode()
