"""Each user gets through the proxy what he gets directly: the security plugin decides, not we.

Real nodes with TLS, users, document- and field-level security and masking. The sidecar has one
passage store and one process for all users, so every check runs right after a more privileged
user has asked the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import QUERY, load_collection
from tests.raw_http import RawResponse
from tests.running import Sidecar, request, running_sidecar

PLAN = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
    "scores": "model",
}
USERS = ["admin", "alice", "bob", "carol"]


@pytest.fixture(scope="module", params=["secure_3", "secure_2"])
def node(request: pytest.FixtureRequest) -> SecureNode:
    found: SecureNode = request.getfixturevalue(request.param)
    load_collection(found)
    return found


@pytest.fixture(scope="module")
def sidecar(node: SecureNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    # The sidecar's own account may see everything; nothing of that may reach a client.
    upstream = {
        "urls": [node.url],
        "tls": {"ca_file": str(node.ca)},
        "username": "admin",
        "password": node.users["admin"],
    }
    words = {"words": {"kind": "bi-encoder", "source": "words", "backend": "fake"}}
    with running_sidecar(
        tmp_path_factory.mktemp("sidecar"),
        node.url,
        {"secure": PLAN},
        {"docs1": "secure", "other1": "secure"},
        main={"upstream": upstream, "models": words},
    ) as running:
        yield running


def through(
    sidecar: Sidecar, node: SecureNode, user: str | None, target: str, body: object
) -> RawResponse:
    fields = {} if user is None else {"Authorization": node.basic(user)}
    return request(sidecar.proxy, "POST", target, body, fields)


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """All of an answer but its order and scores."""
    hits = sorted(
        ({**hit, "_score": None} for hit in answer["hits"]["hits"]), key=lambda hit: hit["_id"]
    )
    outer = {**answer["hits"], "hits": hits, "max_score": None}
    return {**answer, "took": 0, "hits": outer}


BODIES: dict[str, dict[str, Any]] = {
    "plain": {"query": QUERY, "size": 20},
    "aggregations": {
        "query": QUERY,
        "size": 20,
        "aggs": {"depts": {"terms": {"field": "dept"}}},
    },
    "filtered source": {"query": QUERY, "size": 20, "_source": ["dept"]},
    "no source": {"query": QUERY, "size": 20, "_source": False},
    "hidden field": {"query": {"match": {"secret": "secret-2"}}, "size": 20},
    "highlight": {
        "query": QUERY,
        "size": 20,
        "highlight": {"fields": {"title": {}, "secret": {}, "owner": {}}},
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_each_user_gets_what_he_gets_directly(
    node: SecureNode, sidecar: Sidecar, body: dict[str, Any]
) -> None:
    # From the most privileged to the least, and back again.
    for user in [*USERS, *reversed(USERS)]:
        direct = node.request(user, "POST", "/docs1/_search", body)
        proxied = through(sidecar, node, user, "/docs1/_search", body)
        assert proxied.status == direct.status, user
        if direct.status != 200:
            assert proxied.body == direct.body
            continue
        assert comparable(json.loads(proxied.body)) == comparable(direct.json()), user


def test_document_level_security_holds_on_every_page(node: SecureNode, sidecar: Sidecar) -> None:
    seen = []
    for start in range(0, 6, 2):
        body = {"query": QUERY, "from": start, "size": 2}
        through(sidecar, node, "alice", "/docs1/_search", body)
        answer = json.loads(through(sidecar, node, "bob", "/docs1/_search", body).body)
        assert answer["hits"]["total"]["value"] == 5
        seen += [hit["_id"] for hit in answer["hits"]["hits"]]
        assert all(hit["_source"]["dept"] == "public" for hit in answer["hits"]["hits"])
    assert len(seen) == len(set(seen)) == 5


def test_without_or_with_wrong_credentials_nothing_is_answered(
    node: SecureNode, sidecar: Sidecar
) -> None:
    body = BODIES["plain"]
    through(sidecar, node, "admin", "/docs1/_search", body)
    direct = node.request(None, "POST", "/docs1/_search", body)
    anonymous = through(sidecar, node, None, "/docs1/_search", body)
    wrong = request(
        sidecar.proxy, "POST", "/docs1/_search", body, {"Authorization": "Basic Ym9iOm5v"}
    )
    assert (anonymous.status, anonymous.body) == (401, direct.body)
    assert anonymous.values("www-authenticate") == ['Basic realm="OpenSearch Security"']
    assert wrong.status == 401


def test_a_further_page_of_anothers_search_is_not_answered(
    node: SecureNode, sidecar: Sidecar
) -> None:
    def page(user: str | None, start: int) -> RawResponse:
        # No other test asks like this, so no other has had its window kept.
        body = {"query": QUERY, "from": start, "size": 2, "track_total_hits": True}
        return through(sidecar, node, user, "/docs1/_search", body)

    page("admin", 0)
    assert page(None, 2).status == 401
    (said,) = page("admin", 2).values("X-Rescore")
    assert said.endswith("; cached")
    assert "cached" not in page("bob", 2).values("X-Rescore")[0]


def test_a_forbidden_index_is_forbidden(node: SecureNode, sidecar: Sidecar) -> None:
    body = BODIES["plain"]
    for target in ("/other1/_search", "/docs1,other1/_search"):
        through(sidecar, node, "admin", target, body)
        direct = node.request("bob", "POST", target, body)
        proxied = through(sidecar, node, "bob", target, body)
        assert (proxied.status, proxied.body) == (403, direct.body)


def test_readiness_uses_the_sidecars_own_account(node: SecureNode, sidecar: Sidecar) -> None:
    ready = request(sidecar.api, "GET", "/readyz")
    assert ready.status == 200
    assert json.loads(ready.body)["upstream"] == {node.url: "ok"}
    assert node.users["admin"].encode() not in ready.body


def test_no_secret_reaches_the_metrics(node: SecureNode, sidecar: Sidecar) -> None:
    through(sidecar, node, "bob", "/docs1/_search", BODIES["plain"])
    metrics = request(sidecar.api, "GET", "/metrics")
    for user in USERS:
        assert node.users[user].encode() not in metrics.body
        assert node.basic(user).encode() not in metrics.body


def test_check_upstream_asks_with_the_sidecars_account(node: SecureNode, sidecar: Sidecar) -> None:
    from sidecar.config_reading.config_files import read_config
    from sidecar.upstream_check import check_upstream

    folder = sidecar.app._folder
    config = read_config(folder / "sidecar.yaml", {})
    problems = check_upstream(config, folder)
    assert [problem for problem in problems if "has no field" not in problem] == []
