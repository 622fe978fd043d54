"""Sends the requests of docs/reach.md, and says in a few words what each answer is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.raw_http import RawResponse, send
from tests.reach.rows import USES, Row, Where
from tests.sidecar.models.backends.test_static import write_model

Addresses = Mapping[Where, tuple[str, int]]

_REGION, _SERVICE = "eu-central-1", "es"
_KEYS = {
    "application": Credentials("AKIAAPP", "application-secret"),
    "temporary": Credentials("ASIATEMPORARY", "temporary-secret", "session-token=="),
}
_FAKE = {"source": "words", "backend": "fake"}
_RESULTS = ("results", "data", "rankings", "responses")
_LONGEST = 70

PLAN: dict[str, Any] = {
    "document": {"title": "title", "body": "body"},
    "stages": [{"model": "words"}],
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
}
OLD_PLANS: Mapping[str, Any] = {"words": PLAN, "widen": PLAN}
"""The plans as far as the version before knew their keys."""

OLD_ROUTES = {"docs": "words", "widened": "widen", "renamed": "words", "piped": "words"}
"""The routes of the version before, which knows no key of the other plans."""

PLANS: Mapping[str, Any] = {
    "words": PLAN,
    "widen": {**PLAN, "hybrid": "widen"},
    "relevant": {
        **PLAN,
        "min_relevance": "medium",
        "relevance_levels": {"low": 0.2, "medium": 0.6, "high": 0.8, "very_high": 0.9},
    },
    "marked": {**PLAN, "highlight": {"pre_tags": "<mark>", "post_tags": "</mark>"}},
    "table": {**PLAN, "stages": [{"model": "table"}]},
}
ROUTES = {**OLD_ROUTES, "relevant": "relevant", "marked": "marked", "tabled": "table"}


def old_main(url: str) -> dict[str, Any]:
    """The main file as far as the version before knew its keys."""
    return {
        "upstream": {"urls": [url]},
        "models": {
            "words": {"kind": "cross-encoder", **_FAKE},
            "vectors": {"kind": "bi-encoder", **_FAKE},
        },
        "apis": {"rerank": {"plan": "words"}},
    }


def new_main(url: str, folder: Path) -> dict[str, Any]:
    """The main file with everything that is off by default; its static model is in the folder."""
    main = old_main(url)
    write_model(folder / "table")
    main["models"]["table"] = {"kind": "static", "source": "./table"}
    main["upstream"]["pipelines"] = USES
    main["apis"]["rerank"]["embeddings"] = {"model": "vectors"}
    return main


def signed_main(url: str, folder: Path) -> dict[str, Any]:
    """The main file of a sidecar with `upstream.resign`, whose secrets are in the folder."""
    folder.mkdir(exist_ok=True)
    for name, key in _KEYS.items():
        (folder / name).write_text(key.secret_key)
        (folder / f"{name}-token").write_text(key.token or "-")
    main = new_main(url, folder)
    main["upstream"]["resign"] = {
        "region": _REGION,
        "service": _SERVICE,
        "credentials": {"access_key_id": "AKIAROLE", "secret_access_key_file": "application"},
        "clients": {
            "keys": {
                "AKIAAPP": "application",
                "ASIATEMPORARY": {
                    "secret_file": "temporary",
                    "session_token_file": "temporary-token",
                },
            }
        },
    }
    return main


def ask(row: Row, addresses: Addresses) -> str:
    """What the answer to a row is: its status, and X-Rescore or what an api answers."""
    host, port = addresses[row.where]
    content = row.body if isinstance(row.body, bytes) else b""
    if row.body is not None and not isinstance(row.body, bytes):
        content = json.dumps(row.body).encode()
    fields = dict(row.fields)
    if row.key is not None:
        request = AWSRequest(row.method, f"http://{host}:{port}{row.target}", data=content)
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(content).hexdigest()
        SigV4Auth(_KEYS[row.key], _SERVICE, _REGION).add_auth(request)
        fields |= dict(request.headers.items())
    if row.body is not None:
        kind = "x-ndjson" if isinstance(row.body, bytes) else "json"
        fields |= {"Content-Type": f"application/{kind}", "Content-Length": str(len(content))}
    lines = [f"{row.method} {row.target} HTTP/1.1", f"Host: {host}:{port}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    raw = "\r\n".join([*lines, "", ""]).encode() + content
    return describe(row, send(host, port, raw))


def describe(row: Row, answer: RawResponse) -> str:
    """The answer in a few words."""
    if row.where != "api":
        outcome = "; ".join(answer.values("X-Rescore")) or "no X-Rescore"
        kept = [
            part
            for place, part in enumerate(outcome.split("; "))
            if place == 0 or part.startswith(("reason=", "items=", "rescored=", "dropped=", "key="))
        ]
        shown = [name for name in ("_rescore", "highlight") if f'"{name}":'.encode() in answer.body]
        return " ".join([str(answer.status), "; ".join(kept), *(f"with `{one}`" for one in shown)])
    try:
        body = json.loads(answer.body)
    except ValueError:
        return str(answer.status)
    if answer.status == 200:
        found: Any = body
        if isinstance(body, dict):
            found = next((body[name] for name in _RESULTS if name in body), None)
        return f"200, {len(found)} results" if isinstance(found, list) else "200"
    error = body.get("message", body.get("error", "")) if isinstance(body, dict) else ""
    text = error if isinstance(error, str) else ""
    return f"{answer.status} {text[:_LONGEST]}".strip().replace("|", "/")
