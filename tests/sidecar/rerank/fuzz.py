"""Sends mangled requests to every path and demands that none is answered with a server error.

As a program it fuzzes for a while, against a door of its own:

    python -m tests.sidecar.rerank.fuzz 60
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.sidecar.rerank.api import Api, running_api
from tests.sidecar.rerank.golden import FOLDER

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 10**400, 1.5, -0.0, "", " ", "red apple", "\ud800"),
    *("\x00", "赤いりんご", "a" * 5000, [], [[]], [None], ["red"], ["red"] * 30, [{"text": "a"}]),
    *({}, {"text": "red"}, {"text": None}, {"": ""}, [{"text": ["a"]}], ["", " ", "\u200b"]),
    *("true", "1", "NaN", "lke-reranker-base", "x" * 70_000),
)
FIELDS = (
    ("Authorization", "TC3-HMAC-SHA256 Credential=a/b/lkeap/tc3_request, SignedHeaders=, Sig"),
    ("Authorization", "Bearer \xff\xfe"),
    ("X-TC-Timestamp", "9" * 40),
    ("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Content-Type", "application/json; charset=utf-16"),
    ("Content-Type", "multipart/form-data; boundary=x"),
    ("Content-Type", "\xe9/;;"),
    ("Content-Encoding", "gzip"),
    ("X-TC-Version", "\xff"),
    ("X-TC-Action", ""),
    ("Expect", "100-continue"),
)


def mangle(case: dict[str, Any], dice: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """One request, made from a recorded one by a few changes."""
    send = case["send"]
    body, fields, target = send["body"], dict(send["fields"]), send["target"]
    if isinstance(body, dict):
        body = dict(body)
        for _ in range(dice.randrange(3)):
            name = dice.choice([*body, "documents", "texts", "Docs", "top_n", "rank_fields", "x"])
            body[name] = dice.choice(STRANGE)
        if body and dice.random() < 0.2:
            body.pop(dice.choice(list(body)))
    content = b"" if body is None else json.dumps(body).encode()
    if content and dice.random() < 0.3:
        spot = dice.randrange(len(content))
        piece = dice.choice((b"", b"\xff", b"{", b'"', b"1e999", b"NaN", b"\\ud800", b"[" * 3000))
        content = content[:spot] + piece + content[spot + dice.randrange(4) :]
    if "?" in target and dice.random() < 0.7:
        name, value = (
            dice.choice(("Docs.1", "Docs.99999", "Docs.", "Query", "a")),
            dice.choice(STRANGE),
        )
        target += "&" + urlencode({name: str(value)[:2000]}, errors="replace")
    if dice.random() < 0.3:
        name, value = dice.choice(FIELDS)
        fields[name] = value
    return send["method"], target, content, fields


def fuzz(api: Api, seed: int, enough: Callable[[int], bool]) -> Counter[str]:
    """Send requests until `enough(count)`; returns how often each shape answered each status.

    Raises AssertionError with the request that got a server error, or an answer that is no JSON.
    """
    cases = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))]
    dice = random.Random(seed)
    seen: Counter[str] = Counter()
    count = 0
    while not enough(count):
        count += 1
        method, target, content, fields = mangle(dice.choice(cases), dice)
        answer = api.send(method, target, content, fields)
        what = f"{method} {target[:200]} {fields} {content[:2000]!r}"
        assert answer.status < 500, f"{answer.body!r} for {what}"
        if answer.values("Content-Type")[0].startswith("application/json"):
            found = json.loads(answer.body)
            failed = (
                isinstance(found, dict) and "Response" in found and found["Response"].get("Error")
            )
            assert not failed or failed["Code"] != "InternalError", f"InternalError for {what}"
        seen[f"{method} {target.partition('?')[0]} {answer.status}"] += 1
    return seen


def _is_later_than(moment: float, _: int) -> bool:
    return time.monotonic() > moment


def main() -> None:
    from pipelines.plan import Plan
    from sidecar.config.main_file import Model
    from sidecar.metrics import Metrics
    from sidecar.models.loading import load_models

    until = time.monotonic() + float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    model = Model(kind="cross-encoder", source="words", backend="fake")
    plan = Plan.model_validate({"document": {"body": "body"}, "stages": [{"model": "words"}]})
    with tempfile.TemporaryDirectory() as folder:
        models = load_models({"words": model}, Path(folder), Metrics())
        tencent = {"keys": {"k": {"id": "AKID", "secret": "s"}}, "old_signatures": True}
        for settings in ({}, {"tencent": tencent}):
            half = (until + time.monotonic()) / 2 if not settings else until
            with running_api(Path(folder), models, settings, {"fused": plan}) as api:
                seen = fuzz(api, seed, partial(_is_later_than, half))
            print(f"seed {seed}, {sum(seen.values())} requests: {dict(sorted(seen.items()))}")
        models.close()


if __name__ == "__main__":
    main()
