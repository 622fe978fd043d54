"""Spans of searches that are forwarded, in the shadow, of two plans, and of an arm."""

from __future__ import annotations

import json
import queue
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.canned_node import canned_node
from tests.running import Sidecar, request, running_sidecar
from tests.sidecar.tracing.trace_receiver import Received, attributes, http_receiver, spans_of

PAGE = (Path(__file__).parents[3] / "docs/operating.md").read_text()
"""The page whose search is sent here, and whose trace is compared with the one that arrives."""

SEARCH = {"query": {"match": {"body": "copper kettle hunter2"}}}
PLAN = {"document": {"body": "body"}, "deadline_ms": 20_000}
PLANS = {
    "words": PLAN,
    "second": {**PLAN, "fusion": {"method": "replace"}},
    "later": {**PLAN, "mode": "shadow"},
}
ROUTES = [
    {"index": "docs", "plan": "words"},
    {"index": "products", "plan": "words"},
    {"index": "both", "interleave": ["words", "second"]},
    {"index": "own", "interleave": ["off", "second"]},
    {"index": "arms", "split": {"second": 100}},
    {"index": "shade", "plan": "later"},
]
SECRETS = {
    "Authorization": "Basic hunter2",
    "Cookie": "session=hunter2",
    "X-Rescore-Query": "hunter2",
    "es-security-runas-user": "hunter2",
}


def run_searches(sidecar: Sidecar) -> None:
    for index in ("both", "own", "arms", "shade"):
        target = f"/{index}/_search?routing=hunter2"
        assert request(sidecar.proxy, "POST", target, SEARCH, SECRETS).status == 200
    fields = {**SECRETS, "X-Rescore": "off"}
    assert request(sidecar.proxy, "POST", "/docs/_search", SEARCH, fields).status == 200
    # Credentials in the target itself are OpenSearch's business alone.
    request(sidecar.proxy, "POST", "http://ann:hunter2@x/docs/_search", SEARCH)
    example = re.search(r"curl -s localhost:9201(\S+) .*\\\n +-d '(.*)'\n\nhas this trace", PAGE)
    assert example
    assert request(sidecar.proxy, "POST", example[1], json.loads(example[2])).status == 200
    end = time.monotonic() + 30
    while not sidecar.metric("rescore_shadows_total", plan="later", status="applied", reason=""):
        assert time.monotonic() < end, "the shadow does not end"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    received: Received = queue.SimpleQueue()
    with pytest.MonkeyPatch.context() as patch, http_receiver(received) as url:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        folder, main = tmp_path_factory.mktemp("traced"), {"routes": ROUTES}
        with canned_node() as node, running_sidecar(folder, node, PLANS, {}, main=main) as sidecar:
            run_searches(sidecar)
    return spans_of(received)


def find(spans: list[Any], index: str) -> Any:
    """The span of the search of an index."""
    (found,) = (
        span
        for span in spans
        if span.kind == span.SPAN_KIND_SERVER
        and attributes(span).get("url.path") == f"/{index}/_search"
    )
    return found


def below(spans: list[Any], parent: Any) -> list[Any]:
    children = [span for span in spans if span.parent_span_id == parent.span_id]
    return sorted(children, key=lambda span: span.start_time_unix_nano)


def test_a_search_that_is_forwarded_ends_with_its_answer(spans: list[Any]) -> None:
    root = find(spans, "docs")
    (upstream,) = below(spans, root)
    assert attributes(root)["rescore.reason"] == "off"
    assert attributes(root)["http.response.status_code"] == 200
    assert upstream.name == "upstream"
    assert attributes(upstream)["http.response.status_code"] == 200
    assert attributes(upstream)["db.operation.name"] == "search"
    assert upstream.end_time_unix_nano == root.end_time_unix_nano > upstream.start_time_unix_nano


@pytest.mark.parametrize(
    ("index", "plans"), [("both", ["words", "second"]), ("own", ["second"])], ids=["both", "own"]
)
def test_each_plan_of_an_interleave_has_its_own_steps(
    spans: list[Any], index: str, plans: list[str]
) -> None:
    root = find(spans, index)
    teams = [span for span in below(spans, root) if span.name == "team"]
    assert [attributes(team)["rescore.plan"] for team in teams] == plans
    assert all("model" in {step.name for step in below(spans, team)} for team in teams)


def draw(spans: list[Any], span: Any, indent: str = "") -> list[str]:
    """A span and those below it, as the page draws them."""
    told = attributes(span)
    line = indent + span.name
    if not indent:
        line += ": " + ", ".join(
            f"{name} {told['rescore.' + name]}" for name in ("plan", "status", "scored")
        )
    elif "db.operation.name" in told or "rescore.model" in told:
        line += f": {told.get('db.operation.name') or told['rescore.model']}"
    return [
        line,
        *(one for child in below(spans, span) for one in draw(spans, child, indent + "  ")),
    ]


def test_the_page_shows_the_trace_that_arrives(spans: list[Any]) -> None:
    shown = re.search(r"has this trace .*?```\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert shown[1].splitlines() == draw(spans, find(spans, "products"))


def test_a_split_shows_the_plan_of_the_arm(spans: list[Any]) -> None:
    told = attributes(find(spans, "arms"))
    assert (told["rescore.plan"], told["rescore.status"]) == ("second", "applied")
    assert (told["rescore.scored"], told["rescore.student"]) == (4, 0)


def test_a_shadow_is_a_span_below_its_search(spans: list[Any]) -> None:
    root = find(spans, "shade")
    assert attributes(root)["rescore.status"] == "shadow"
    (shadow,) = (span for span in below(spans, root) if span.name != "upstream")
    told = attributes(shadow)
    assert shadow.name == "shadow POST /{index}/_search"
    assert shadow.kind == shadow.SPAN_KIND_INTERNAL
    assert (told["rescore.shadow"], told["rescore.status"]) == (True, "applied")
    assert "http.response.status_code" not in told
    assert {"upstream", "read", "prepare", "model"} <= {step.name for step in below(spans, shadow)}


def test_no_span_has_a_secret(spans: list[Any]) -> None:
    assert "hunter2" not in "".join(map(str, spans))
