"""Text is fetched with the client's own rights: what he may not read is not read for him."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import QUERY, load_collection
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar

PLAN: dict[str, Any] = {
    "rescore_window": 10,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
    "scores": "positional",
}
BODY = {"query": QUERY, "size": 10, "_source": False}


@pytest.fixture(scope="module", params=["secure_3", "secure_2"])
def node(request: pytest.FixtureRequest) -> SecureNode:
    found: SecureNode = request.getfixturevalue(request.param)
    load_collection(found)
    return found


@pytest.fixture(scope="module")
def sidecar(node: SecureNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    plans = {
        "open": PLAN,
        # `secret` is hidden from bob, `owner` is hashed for him.
        "secret": {**PLAN, "document": {"body": "secret"}},
    }
    # The sidecar's own account may read everything.
    upstream = {
        "urls": [node.url],
        "tls": {"ca": str(node.ca)},
        "username": "admin",
        "password": node.users["admin"],
    }
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {"docs1": "open", "other1": "open"}
    with running_sidecar(folder, node.url, plans, routes, main={"upstream": upstream}) as running:
        yield running


def search(
    sidecar: Sidecar, node: SecureNode, user: str, indices: str, plan: str = "open"
) -> tuple[RawResponse, str]:
    fields = {"Authorization": node.basic(user), "X-Rescore-Plan": plan}
    response = request(sidecar.proxy, "POST", f"/{indices}/_search", BODY, fields)
    (outcome,) = response.values("X-Rescore")
    return response, outcome


def test_every_user_gets_his_own_documents_rescored(node: SecureNode, sidecar: Sidecar) -> None:
    for user, indices, count in (
        ("alice", "docs1", 10),
        ("bob", "docs1", 5),
        ("alice", "docs1,other1", 10),
        ("carol", "other1", 4),
    ):
        response, outcome = search(sidecar, node, user, indices)
        assert outcome.startswith(f"applied; plan=open; window=10; scored={count}; "), user
        assert len(json.loads(response.body)["hits"]["hits"]) == count


def test_a_hidden_field_is_not_read(node: SecureNode, sidecar: Sidecar) -> None:
    for user, expected in (
        ("alice", "applied; plan=secret; window=10; scored=10; "),
        ("bob", "failed; reason=no_text; plan=secret"),
        ("alice", "applied; plan=secret; window=10; scored=10; "),
    ):
        response, outcome = search(sidecar, node, user, "docs1", "secret")
        assert response.status == 200
        assert outcome.startswith(expected), user
        assert b"secret" not in response.body


def test_a_forbidden_index_stays_forbidden(node: SecureNode, sidecar: Sidecar) -> None:
    response, outcome = search(sidecar, node, "bob", "docs1,other1")
    assert (response.status, outcome) == (403, "skipped; reason=refused; plan=open")
