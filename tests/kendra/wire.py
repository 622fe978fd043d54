"""Requests that boto3 would not send, and replies before boto3 reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.kendra.serving import PAPERS, Kendra
from tests.running import request

TARGET = "AWSKendraFrontendService"


@dataclass(frozen=True, slots=True)
class Wire:
    """A reply: its status, and the members of its JSON."""

    status: int
    content_type: str
    members: dict[str, Any]

    @property
    def error(self) -> str:
        """The name of the error; empty if the reply is not an error."""
        return str(self.members.get("__type", ""))

    @property
    def message(self) -> str:
        """The error's message."""
        return str(self.members.get("message", ""))


def post(kendra: Kendra, operation: str, **members: Any) -> Wire:
    """Sends one request. By default `IndexId` is the collection's and `QueryText` is a word."""
    whole: dict[str, Any] = {"IndexId": PAPERS}
    if operation in ("Query", "Retrieve"):
        whole["QueryText"] = "kettle"
    fields = {"X-Amz-Target": f"{TARGET}.{operation}"}
    answer = request(kendra.sidecar.api, "POST", "/", {**whole, **members}, fields)
    [content_type] = answer.values("Content-Type")
    return Wire(answer.status, content_type, json.loads(answer.body))
