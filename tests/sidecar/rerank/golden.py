"""Recorded exchanges: what a caller sends, and the answer to the byte but for ids and the clock."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.sidecar.rerank.api import Api

FOLDER = Path(__file__).parents[2] / "golden" / "rerank"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CREATED = re.compile(r'("created":)\d+')


def exchange(send: dict[str, Any], api: Api) -> dict[str, Any]:
    """Send what a case says and return the answer in a case's form."""
    body = send["body"]
    content = (
        b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    )
    answer = api.send(send["method"], send["target"], content, send["fields"])
    return {
        "status": answer.status,
        "content_type": answer.values("Content-Type")[0],
        "body": masked(answer.body.decode("ascii")),
    }


def masked(body: str) -> str:
    return _CREATED.sub(r"\g<1>0", _UUID.sub("ID", body))


def write_case(file: Path, send: dict[str, Any], api: Api) -> None:
    """Record a case; read it before you keep it."""
    case = {"send": send, "answer": exchange(send, api)}
    file.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
