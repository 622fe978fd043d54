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
        "both": {**PLAN, "document": {"body": ["secret", "body"]}},
        "masked": {**PLAN, "document": {"title": "owner", "body": ["owner", "body"]}},
        # The passage is shown under the hidden field's name, whatever OpenSearch shows there.
        "named": {
            **PLAN,
            "document": {"body": ["secret", "owner", "body"]},
            "highlight": {"field": "secret", "when": "always"},
        },
    }
    # The sidecar's own account may read everything.
    upstream = {
        "urls": [node.url],
        "tls": {"ca_file": str(node.ca)},
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


@pytest.mark.parametrize("source", [False, True])
def test_no_hidden_text_is_shown(node: SecureNode, sidecar: Sidecar, source: bool) -> None:
    section = {"explain": True, "highlight": True}
    body = {"query": QUERY, "size": 5, "_source": source, "ext": {"rescore": section}}
    for start in (0, 5):  # the second page is cut from the cached window
        for user, sees in (("alice", True), ("bob", False), ("alice", True)):
            fields = {"Authorization": node.basic(user), "X-Rescore-Plan": "both"}
            page = {**body, "from": start}
            response = request(sidecar.proxy, "POST", "/docs1/_search", page, fields)
            assert response.values("X-Rescore")[0].startswith("applied; plan=both")
            hits = json.loads(response.body)["hits"]["hits"]
            assert all(hit["_rescore"]["passage"] and hit["highlight"] for hit in hits)
            assert bool(hits) or start == 5
            shown = json.dumps([[hit["_rescore"], hit["highlight"]] for hit in hits])
            assert ("secret-" in shown) is (sees and bool(hits)), user


@pytest.mark.parametrize("plan", ["masked", "named"])
@pytest.mark.parametrize("shown", [True, False, ["title"]], ids=["whole", "none", "title"])
def test_neither_hidden_nor_masked_text_is_in_a_passage(
    node: SecureNode, sidecar: Sidecar, plan: str, shown: object
) -> None:
    """Passages of bob's hits are cut from what OpenSearch gives to bob, and never from what another
    user's search has left in memory."""
    own: dict[str, Any] = {"highlight": {"fields": {"secret": {}, "owner": {}, "title": {}}}}
    section = {"explain": True, "highlight": True}
    body = {"query": QUERY, "size": 5, "_source": shown, "ext": {"rescore": section}, **own}
    for start in (0, 5):  # the second page is cut from the cached window
        for user in ("alice", "bob", "alice", "bob"):
            fields = {"Authorization": node.basic(user), "X-Rescore-Plan": plan}
            page = {**body, "from": start}
            response = request(sidecar.proxy, "POST", "/docs1/_search", page, fields)
            assert response.values("X-Rescore")[0].startswith(f"applied; plan={plan}")
            hits = json.loads(response.body)["hits"]["hits"]
            assert hits or (user, start) == ("bob", 5)
            assert all(hit["_rescore"]["passage"] and hit["highlight"] for hit in hits)
            if user == "bob":
                assert b"secret-" not in response.body
                assert b"owner-" not in response.body
            elif hits:
                # What is looked for can be seen: alice may read it.
                assert b"owner-" in json.dumps([hit["_rescore"] for hit in hits]).encode()
