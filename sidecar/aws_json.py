"""What the AWS doors share on the wire: one kind of error, JSON in and out, the target header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

_MESSAGE_LENGTH = 2048


class AwsError(Exception):
    """An error as AWS clients know it.

    `name` is the exception's name, by which SDKs choose the type they raise. `status` is the HTTP
    status that the service's model gives it, `json_status` the one of awsJson, where the errors
    of a caller share the 400.
    """

    def __init__(self, name: str, message: str, status: int = 400, json_status: int = 400) -> None:
        # Clients' models allow neither line breaks nor more characters in a message.
        self.message = printable(message)[:_MESSAGE_LENGTH]
        super().__init__(f"{name}: {self.message}")
        self.name = name
        self.status = status
        self.json_status = json_status

    @property
    def members(self) -> dict[str, str]:
        """The error's body. Botocore reads the name here alone, and fills its modelled member
        from `Message` while others read `message`."""
        return {"__type": self.name, "Message": self.message, "message": self.message}


def printable(text: str) -> str:
    """The text with a blank for each control character and lone surrogate."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)


def unparseable(why: str) -> AwsError:
    """The error for a body that is not what its wire promises."""
    return AwsError("SerializationException", why)


def unknown_operation(what: str, status: int) -> AwsError:
    """The error for an operation that the service does not have."""
    return AwsError("UnknownOperationException", f"There is no operation {what}.", status)


def read_target(target: str | None, service: str) -> str | None:
    """The operation that an `X-Amz-Target` names, None when it is another service's."""
    prefix, dot, operation = (target or "").partition(".")
    return operation if dot and prefix == service else None


def read_json_object(body: bytes) -> dict[str, object]:
    """Read a request body; one of no bytes is an object without members.

    Raises AwsError for anything but one JSON object in UTF-8.
    """
    if not body:
        return {}
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
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
    """One JSON object; numbers are finite."""
    return json.dumps(members, separators=(",", ":"), allow_nan=False).encode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
