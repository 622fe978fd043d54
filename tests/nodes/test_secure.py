"""What each user of a secure node may see: the ground that tests of the proxy stand on."""

from __future__ import annotations

import json
import socket
import ssl

import pytest

from tests.nodes.secure import Answer, SecureNode
from tests.nodes.secure_collection import DOCS1, OTHER1, QUERY, load_collection

PUBLIC = {identifier for identifier, document in DOCS1.items() if document["dept"] == "public"}
SEARCH = {"size": 20, "query": QUERY}


@pytest.fixture(scope="module")
def node(secure_opensearch: SecureNode) -> SecureNode:
    load_collection(secure_opensearch)
    return secure_opensearch


def search(node: SecureNode, user: str, indices: str, **more: object) -> Answer:
    return node.request(user, "POST", f"/{indices}/_search", {**SEARCH, **more})


def found(answer: Answer) -> set[str]:
    return {hit["_id"] for hit in answer.json()["hits"]["hits"]}


def refusal(answer: Answer) -> str:
    """The type of the error, of an answer that is a refusal."""
    assert answer.status == 403
    kind: str = answer.json()["error"]["type"]
    return kind


def test_answers_with_its_version(node: SecureNode) -> None:
    assert node.request("admin", "GET", "/").json()["version"]["number"] == node.version


def test_certificate_is_of_its_own_authority(node: SecureNode) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        node.request("admin", "GET", "/", tls=ssl.create_default_context())


def test_admin_certificate_needs_no_password(node: SecureNode) -> None:
    tls = ssl.create_default_context(cafile=node.ca)
    tls.load_cert_chain(node.admin_certificate, node.admin_key)
    answer = node.request(None, "GET", "/_plugins/_security/authinfo", tls=tls)
    assert answer.json()["principal"] == "CN=admin,O=tests"


def test_chooses_http_2_where_the_release_has_it(node: SecureNode) -> None:
    tls = ssl.create_default_context(cafile=node.ca)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((node.host, node.port), 30) as connection,
        tls.wrap_socket(connection, server_hostname=node.host) as stream,
    ):
        chosen = stream.selected_alpn_protocol()
    assert chosen == {"3.4.0": "h2", "2.19.4": None}[node.version]


@pytest.mark.parametrize("authorization", [None, "Basic Ym9iOndyb25n"], ids=["none", "wrong"])
def test_without_credentials_is_401(node: SecureNode, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = node.request(None, "GET", "/docs1/_search", headers=headers)
    assert (answer.status, answer.body) == (401, b"Unauthorized")
    assert answer.headers["www-authenticate"] == 'Basic realm="OpenSearch Security"'
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("user", "indices", "expected"),
    [
        ("alice", "docs1", set(DOCS1)),
        ("alice", "docs1,other1", {*DOCS1, *OTHER1}),
        ("bob", "docs1", PUBLIC),
        ("carol", "other1", set(OTHER1)),
    ],
)
def test_search_finds_what_the_user_may_read(
    node: SecureNode, user: str, indices: str, expected: set[str]
) -> None:
    answer = search(node, user, indices)
    assert answer.status == 200
    assert found(answer) == expected
    assert answer.json()["hits"]["total"]["value"] == len(expected)


@pytest.mark.parametrize(
    ("user", "indices"),
    [("carol", "docs1"), ("bob", "other1"), ("bob", "docs1,other1"), ("bob", "_all"), ("bob", "*")],
)
def test_one_forbidden_index_refuses_the_whole_search(
    node: SecureNode, user: str, indices: str
) -> None:
    assert refusal(search(node, user, indices)) == "security_exception"


def test_private_documents_leave_no_trace(node: SecureNode) -> None:
    aggregations = {"departments": {"terms": {"field": "dept"}}}
    answer = search(node, "bob", "docs1", aggs=aggregations).json()
    buckets = answer["aggregations"]["departments"]["buckets"]
    assert buckets == [{"key": "public", "doc_count": len(PUBLIC)}]
    assert node.request("bob", "GET", "/docs1/_count").json()["count"] == len(PUBLIC)
    assert node.request("bob", "GET", "/docs1/_doc/1").status == 200
    assert node.request("bob", "GET", "/docs1/_doc/2").status == 404


def test_hidden_field_is_absent_and_owner_is_hashed(node: SecureNode) -> None:
    source = node.request("bob", "GET", "/docs1/_doc/1").json()["_source"]
    owner = source.pop("owner")
    shown = {"title", "body", "dept"}
    assert source == {field: DOCS1["1"][field] for field in shown}
    assert len(bytes.fromhex(owner)) == 32


def test_hidden_field_cannot_be_searched(node: SecureNode) -> None:
    query = {"term": {"secret": DOCS1["1"]["secret"]}}
    assert found(search(node, "alice", "docs1", query=query)) == {"1"}
    assert found(search(node, "bob", "docs1", query=query)) == set()


def test_multi_search_refuses_item_by_item(node: SecureNode) -> None:
    lines = [{"index": "docs1"}, SEARCH, {"index": "other1"}, SEARCH]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = node.request("bob", "POST", "/_msearch", body)
    assert answer.status == 200
    assert [item["status"] for item in answer.json()["responses"]] == [200, 403]


@pytest.mark.parametrize(
    "target",
    [
        "/_nodes/http",
        "/_cluster/health",
        "/_cat/indices",
        "/_search/pipeline",
        "/docs1/_mapping",
        "/docs1/_settings",
        "/_resolve/index/*",
    ],
)
def test_reader_may_not_look_at_the_cluster(node: SecureNode, target: str) -> None:
    assert refusal(node.request("bob", "GET", target)) == "security_exception"


def test_reader_may_not_write(node: SecureNode) -> None:
    answer = node.request("bob", "PUT", "/docs1/_doc/99", {"title": "x"})
    assert refusal(answer) == "security_exception"
