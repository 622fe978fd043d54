"""Searches as applications send them: the words that users typed, or the reason for a skip.

Each file in `applications/` has searches of one kind of application in that application's form, and
names the fields of a plan for its documents. The expected text is what a person reads in the
search. `raw` replaces `body` if the body is not JSON.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.plan import Plan
from sidecar.config.limits import Limits
from sidecar.kendra_plugin.section import read_plugin_section
from sidecar.opensearch.search_request import read_search_request
from sidecar.opensearch.skip_reasons import SKIP_REASONS, Skip
from sidecar.opensearch_rules.request_headers import SearchHeaders
from sidecar.relay.heads import parse_request_head

TABLES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "applications").glob("*.json"))
}
CASES = [(table["fields"], case) for table in TABLES.values() for case in table["cases"]]

HEAD = parse_request_head(b"POST /docs/_search HTTP/1.1\r\nHost: search\r\n\r\n")

OF_THE_HEAD = {"signed", "content_encoding", "content_type", "query_header"}
OF_OTHER_ENDPOINTS = {"multi_search", "template", "templates"}
OF_NO_APPLICATION = {reason for reason in SKIP_REASONS if reason.startswith("limits.")}


@pytest.mark.parametrize(("fields", "case"), CASES, ids=[case["name"] for _, case in CASES])
def test_what_the_user_typed(fields: dict[str, list[str]], case: dict[str, Any]) -> None:
    assert read_outcome(fields, case) == {
        key: case[key] for key in ("text", "reason") if key in case
    }


def test_there_are_enough_searches_and_every_one_has_its_name() -> None:
    names = [case["name"] for _, case in CASES]
    assert len(names) >= 150
    assert len(set(names)) == len(names)


def test_every_reason_that_a_body_or_a_url_can_give_occurs() -> None:
    given = {case["reason"] for _, case in CASES if "reason" in case}
    assert given == SKIP_REASONS.keys() - OF_THE_HEAD - OF_OTHER_ENDPOINTS - OF_NO_APPLICATION


def read_outcome(fields: dict[str, list[str]], case: dict[str, Any]) -> dict[str, str]:
    """The query text or the reason, read like a search: the Kendra plugin's section comes first."""
    plan = Plan.model_validate(
        {"rescore_window": 50, "document": fields, "stages": [{"model": "m"}]}
    )
    target = case.get("target", "/docs/_search").encode()
    body = body_of(case)
    section = read_plugin_section(HEAD, body, Limits())
    if section is not None:
        plan, body = section.apply(plan), section.request.body
    headers = SearchHeaders(content_type=b"application/json" if body else None)
    found = read_search_request(target, body, headers, plan, Limits())
    return {"reason": found.reason} if isinstance(found, Skip) else {"text": found.query_text}


def body_of(case: dict[str, Any]) -> bytes:
    if "body" in case:
        return json.dumps(case["body"], ensure_ascii=False).encode()
    return str(case.get("raw", "")).encode()
