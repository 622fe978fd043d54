"""Who may have the Kendra plugin's settings kept: whoever the cluster lets change the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import QUERY, load_collection
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar

PREFIX = "index.plugin.searchrelevance.result_transformer.kendra_intelligent_ranking"
SETTINGS = {f"{PREFIX}.order": 1, f"{PREFIX}.properties.body_field": "body"}
PLAN = {"deadline_ms": 20_000, "document": {"body": "title"}}
INDEX = "docs1"


@pytest.fixture(params=["secure_3", "secure_2"])
def node(request: pytest.FixtureRequest) -> SecureNode:
    found: SecureNode = request.getfixturevalue(request.param)
    load_collection(found)
    return found


@pytest.fixture
def sidecar(node: SecureNode, tmp_path: Path) -> Iterator[Sidecar]:
    # The sidecar's own account may do everything; nothing here is done with it.
    upstream = {
        "urls": [node.url],
        "tls": {"ca_file": str(node.ca)},
        "username": "admin",
        "password": node.users["admin"],
    }
    main = {"upstream": upstream, "kendra_plugin_settings_file": "settings.json"}
    plans = {"kendra-intelligent-ranking": PLAN}
    with running_sidecar(tmp_path, node.url, plans, {}, main=main) as running:
        yield running


def ask(
    sidecar: Sidecar, node: SecureNode, user: str | None, method: str, target: str, body: object
) -> RawResponse:
    fields = {"Authorization": node.basic(user)} if user else {}
    return request(sidecar.proxy, method, target, body, fields)


def test_only_who_may_change_the_index_changes_its_searches(
    node: SecureNode, sidecar: Sidecar
) -> None:
    def put(user: str | None) -> int:
        return ask(sidecar, node, user, "PUT", f"/{INDEX}/_settings", SETTINGS).status

    def outcomes() -> list[str]:
        response = ask(sidecar, node, "alice", "POST", f"/{INDEX}/_search", {"query": QUERY})
        assert response.status == 200
        return response.values("X-Rescore")

    assert put(None) == 401
    # Alice may read the index and its settings, Bob the index; neither may change it.
    assert put("alice") == 403
    assert put("bob") == 403
    assert outcomes() == []
    assert put("admin") == 200
    (outcome,) = outcomes()
    assert outcome.startswith("applied; plan=kendra-intelligent-ranking; window=25; scored=10; ")

    off = {f"{PREFIX}.*": None}
    assert ask(sidecar, node, "alice", "PUT", f"/{INDEX}/_settings", off).status == 403
    assert ask(sidecar, node, "alice", "DELETE", f"/{INDEX}", None).status == 403
    whole = {"settings": SETTINGS}
    assert ask(sidecar, node, "alice", "PUT", "/docs-of-alice", whole).status == 403
    assert outcomes() != []
    assert ask(sidecar, node, "admin", "PUT", f"/{INDEX}/_settings", off).status == 200
    assert outcomes() == []
