"""Dashboards and alerts ask only for what a running sidecar exports.

Every metric and every label of an expression must be in a real scrape. `promtool` is a large
program in Go, so expressions are read here by their names, labels, functions and brackets.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.canned_node import canned_node
from tests.running import request, running_sidecar

ROOT = Path(__file__).parent.parent
FUNCTIONS = {"histogram_quantile", "increase", "rate", "sum", "time"}
WORDS = {"by"}
OF_THE_SCRAPE = {"instance"}
"""Labels that Prometheus adds."""

TOKEN = re.compile(
    r"""\s+ | "(?P<text>[^"]*)" | \[(?P<range>\w+|\$__rate_interval)\] | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_:]*) | (?P<sign>=~|!=|==|[={}(),/><-])""",
    re.VERBOSE,
)


def rules() -> list[tuple[str, str]]:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"]
    return [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def panels() -> list[tuple[str, str]]:
    board = json.loads((ROOT / "deploy/grafana/rescore-sidecar.json").read_text())
    return [
        (panel["title"], target["expr"])
        for panel in board["panels"]
        if panel["type"] != "row"
        for target in panel["targets"]
    ]


MODEL = {"kind": "bi-encoder", "source": "words", "backend": "fake"}

EXPRESSIONS = [*rules(), *panels()]


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each sample in a scrape, after a search and some failures."""
    plan = {"document": {"body": "body"}, "deadline_ms": 20_000}
    plans = {
        "words": {**plan, "guard": {"failed_share": 0.5}},
        "later": {**plan, "mode": "shadow"},
    }
    routes = {"docs": "words", "shade": "later"}
    folder = tmp_path_factory.mktemp("scrape")
    main = {"models": {"words": MODEL}, "ubi": {}}
    with (
        canned_node() as node,
        running_sidecar(folder, node, plans, routes, main=main) as sidecar,
    ):
        body = {"query": {"match": {"body": "copper kettle"}}}
        for index in routes:
            assert request(sidecar.proxy, "POST", f"/{index}/_search", body).status == 200
        metrics = sidecar.app.metrics
        metrics.trace_spans.labels("lost")
        metrics.loop_stalls.labels("computing")
        metrics.config_reloads.labels("refused")
        # Only a model that reads texts in pieces has a student.
        metrics.student_error.labels("words")
        metrics.student_estimates.labels("words")
        metrics.student_teachings.labels("words", "failed")
        while not sidecar.metric("rescore_shadow_overlap_at_10_count", plan="later"):
            request(sidecar.api, "GET", "/metrics")
        text = request(sidecar.api, "GET", "/metrics").body.decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def tokens(expression: str) -> list[tuple[str, str]]:
    """Kind and text of each token; fails on anything that is none."""
    place, found = 0, []
    while place < len(expression):
        match = TOKEN.match(expression, place)
        assert match, f"not understood: {expression[place:]}"
        place = match.end()
        if match.lastgroup:
            found.append((match.lastgroup, match[match.lastgroup]))
    return found


def find_mistakes(expression: str, scrape: dict[str, set[str]]) -> list[str]:
    """What the expression asks for and the scrape does not have."""
    found = tokens(expression)
    mistakes = []
    depth: list[str] = []
    metrics, labels = set(), set()
    by = False
    for number, (kind, text) in enumerate(found):
        following = found[number + 1][1] if number + 1 < len(found) else ""
        if kind == "sign" and text in "({":
            depth.append("labels" if text == "{" or by else "(")
            by = False
        elif kind == "sign" and text in ")}":
            if not depth:
                return ["a bracket is closed that is not open"]
            depth.pop()
        elif kind == "name" and depth and depth[-1] == "labels":
            labels.add(text)
        elif kind == "name" and text in WORDS:
            by = True
        elif kind == "name" and following == "(" or text in FUNCTIONS:
            if text not in FUNCTIONS:
                mistakes.append(f"unknown function {text}")
        elif kind == "name":
            metrics.add(text)
    if depth:
        mistakes.append("a bracket is not closed")
    if not metrics:
        mistakes.append("no metric")
    mistakes += [f"no metric {one}" for one in sorted(metrics - scrape.keys())]
    known = OF_THE_SCRAPE.union(*(scrape.get(one, set()) for one in metrics))
    return mistakes + [f"no label {one}" for one in sorted(labels - known)]


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[one for one, _ in EXPRESSIONS])
def test_expressions_ask_for_what_is_exported(
    name: str, expression: str, scrape: dict[str, set[str]]
) -> None:
    assert not find_mistakes(expression, scrape)


@pytest.mark.parametrize(
    "expression",
    [
        "relay_no_such_metric == 0",
        'relay_errors_total{cause="front"}',
        "sum by (plan) (rate(relay_errors_total[5m]))",
        "sum(rate(relay_errors_total[5m])",
        "median(relay_upstream_up)",
        "5 > 4",
    ],
)
def test_the_check_finds_each_kind_of_mistake(expression: str, scrape: dict[str, set[str]]) -> None:
    assert find_mistakes(expression, scrape)


def test_promtool_accepts_the_rules_and_their_cases() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH; apt-get install prometheus contains it")
    for command in ("check rules rules.yaml", "test rules rules_test.yaml"):
        run = subprocess.run(
            [promtool, *command.split()],
            cwd=ROOT / "deploy/prometheus",
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_alerts_name_only_labels_that_their_series_have(scrape: dict[str, set[str]]) -> None:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"]
    for rule in groups[0]["rules"]:
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        grouped = re.search(r"by \(([^)]*)\)", rule["expr"])
        metric = re.search(r"\b(?:relay|rescore|loop|log|trace)_\w+", rule["expr"])
        assert metric
        left = set(re.findall(r"\w+", grouped[1])) if grouped else scrape[metric[0]]
        assert used <= left | OF_THE_SCRAPE, rule["alert"]
