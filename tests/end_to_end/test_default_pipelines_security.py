"""Default search pipelines are asked for with the caller's own rights, and refusals stay few."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import QUERY, load_collection
from tests.running import Sidecar, request, running_sidecar

PLAN: dict[str, Any] = {"rescore_window": 10, "deadline_ms": 20_000}
SETTING = "index.search.default_pipeline"
BODY = {"query": QUERY, "size": 3}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module", params=["secure_3", "secure_2"])
def node(request: pytest.FixtureRequest) -> Iterator[SecureNode]:
    found: SecureNode = request.getfixturevalue(request.param)
    load_collection(found)
    # This node has no processors; what a pipeline does is not looked at.
    pipeline: dict[str, Any] = {"request_processors": []}
    assert found.request("admin", "PUT", "/_search/pipeline/all", pipeline).status == 200
    assert found.request("admin", "PUT", "/docs1/_settings", {SETTING: "all"}).status == 200
    yield found
    load_collection(found)
    assert found.request("admin", "DELETE", "/_search/pipeline/all").status == 200


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def sidecar(
    node: SecureNode, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    # The sidecar's own account may read every setting.
    upstream = {
        "urls": [node.url],
        "tls": {"ca_file": str(node.ca)},
        "username": "admin",
        "password": node.users["admin"],
    }
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {"docs1": "open"}
    with running_sidecar(
        folder, node.url, {"open": PLAN}, routes, main={"upstream": upstream}, clock=clock
    ) as running:
        yield running


def search(sidecar: Sidecar, node: SecureNode, user: str) -> str:
    fields = {"Authorization": node.basic(user)}
    response = request(sidecar.proxy, "POST", "/docs1/_search", BODY, fields)
    assert response.status == 200
    assert len(json.loads(response.body)["hits"]["hits"]) == 3
    (outcome,) = response.values("X-Rescore")
    return outcome


def refusals(node: SecureNode) -> int:
    """How often the audit log says that bob may not read settings; it is in order."""
    marker = f"/docs-marker-{len(node.log.read_bytes())}"
    assert node.request("bob", "DELETE", marker).status == 403
    while True:
        lines = re.findall(r"\[audit +\] (\{.*\})", node.log.read_text("utf-8", "replace"))
        events = [json.loads(line) for line in lines]
        if any(marker[1:] in event.get("audit_trace_indices", ()) for event in events):
            break
    return sum(
        event.get("audit_request_privilege") == "indices:monitor/settings/get"
        and event.get("audit_request_effective_user") == "bob"
        for event in events
    )


def test_who_may_not_read_settings_is_served_as_without_them(
    node: SecureNode, sidecar: Sidecar, clock: Clock
) -> None:
    refused = refusals(node)
    metric = ("rescore_default_pipelines_total", "refused")
    # A search does not wait for a slow answer, so the answer may come after it.
    while not sidecar.metric(metric[0], answer=metric[1]):
        assert search(sidecar, node, "bob").startswith("applied; ")
    for _ in range(5):
        assert search(sidecar, node, "bob").startswith("applied; ")
    clock.now += 599
    assert search(sidecar, node, "bob").startswith("applied; ")
    assert refusals(node) == refused + 1
    clock.now += 2
    while sidecar.metric(metric[0], answer=metric[1]) < 2:
        assert search(sidecar, node, "bob").startswith("applied; ")
    assert refusals(node) == refused + 2


def test_what_one_caller_learns_is_not_said_to_another(node: SecureNode, sidecar: Sidecar) -> None:
    while not sidecar.metric("rescore_default_pipelines_total", answer="pipeline"):
        search(sidecar, node, "alice")
    skipped = "skipped; reason=search_pipeline; plan=open; key=upstream.pipelines.all"
    assert search(sidecar, node, "alice") == skipped
    assert search(sidecar, node, "bob").startswith("applied; ")
    assert search(sidecar, node, "alice") == skipped
