"""Who may call, and whose account OpenSearch is searched with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.kendra.replies import ids
from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import load_collection
from tests.running import Sidecar, request, running_sidecar

REPORTS = "11111111-2222-4333-8444-555555555555"
OTHERS = "22222222-2222-4333-8444-555555555555"
TARGET = "AWSKendraFrontendService"


def account(node: SecureNode, user: str) -> dict[str, str]:
    return {"username": user, "password": node.users[user]}


@pytest.fixture(scope="module")
def node(secure_3: SecureNode) -> SecureNode:
    load_collection(secure_3)
    return secure_3


@pytest.fixture(scope="module")
def sidecar(node: SecureNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    fields = {"title": "title", "body": "body"}
    kendra = {
        "indexes": {
            REPORTS: {
                "index": "docs1",
                "fields": fields,
                "attributes": {
                    "dept": {"type": "STRING", "facetable": True},
                    "owner": {"type": "STRING"},
                    "secret": {"type": "STRING"},
                },
            },
            OTHERS: {"index": "other1", "fields": fields, "account": account(node, "carol")},
        },
        "region": "us-east-1",
        "model_deadline_ms": 20_000,
        "access_keys": [
            {"id": "PLAIN", "secret": "plain"},
            {"id": "BOB", "secret": "bob", "account": account(node, "bob")},
            {"id": "CAROL", "secret": "carol", "account": account(node, "carol")},
            {"id": "LIMITED", "secret": "limited", "indexes": [OTHERS]},
        ],
    }
    upstream = {"urls": [node.url], "tls": {"ca_file": str(node.ca)}, **account(node, "admin")}
    with running_sidecar(
        tmp_path_factory.mktemp("callers"),
        node.url,
        {"words": {}},
        {},
        main={"upstream": upstream, "apis": {"kendra": kendra}},
    ) as running:
        yield running


def client(sidecar: Sidecar, key: str, secret: str, region: str = "us-east-1") -> Any:
    return boto3.client(
        "kendra",
        endpoint_url=f"http://{sidecar.api}",
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def query(sidecar: Sidecar, key: str, index_id: str = REPORTS) -> Any:
    return client(sidecar, key, key.lower()).query(
        IndexId=index_id,
        QueryText="quarterly report",
        QueryResultTypeFilter="DOCUMENT",
        PageSize=100,
        Facets=[{"DocumentAttributeKey": "dept"}] if index_id == REPORTS else [],
    )


def refusal(sidecar: Sidecar, key: str, secret: str, **more: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        client(sidecar, key, secret, **more).query(IndexId=REPORTS, QueryText="report")
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_key_without_an_account_searches_with_the_indexs(sidecar: Sidecar) -> None:
    assert len(ids(query(sidecar, "PLAIN"))) == 10
    assert sorted(ids(query(sidecar, "PLAIN", OTHERS))) == ["o1", "o2", "o3", "o4"]


def test_a_keys_own_account_sees_what_opensearch_lets_it_see(sidecar: Sidecar) -> None:
    assert len(ids(query(sidecar, "PLAIN"))) == 10
    reply = query(sidecar, "BOB")
    assert sorted(ids(reply), key=int) == ["1", "3", "5", "7", "9"]
    assert reply["TotalNumberOfResults"] == 5
    [facet] = reply["FacetResults"]
    [pair] = facet["DocumentAttributeValueCountPairs"]
    assert (pair["DocumentAttributeValue"], pair["Count"]) == ({"StringValue": "public"}, 5)
    written = json.dumps(reply["ResultItems"])
    assert "secret-" not in written
    assert "owner-" not in written


def test_an_account_that_may_not_search_is_denied(sidecar: Sidecar) -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        query(sidecar, "CAROL")
    assert len(ids(query(sidecar, "CAROL", OTHERS))) == 4


def test_a_key_may_be_limited_to_indexes(sidecar: Sidecar) -> None:
    assert len(ids(query(sidecar, "LIMITED", OTHERS))) == 4
    with pytest.raises(ClientError, match="may not search the index"):
        query(sidecar, "LIMITED")


def test_signatures_are_verified(sidecar: Sidecar) -> None:
    assert refusal(sidecar, "PLAIN", "wrong") == ("InvalidSignatureException", 403)
    assert refusal(sidecar, "NOBODY", "plain") == ("InvalidClientTokenId", 403)
    wrong_region = refusal(sidecar, "PLAIN", "plain", region="eu-west-1")
    assert wrong_region == ("InvalidSignatureException", 403)


@pytest.mark.parametrize(
    ("operation", "body", "status", "name"),
    [
        ("Query", {"IndexId": REPORTS}, 403, "MissingAuthenticationToken"),
        ("Query", None, 403, "MissingAuthenticationToken"),
        ("DescribeIndex", {}, 400, "UnknownOperationException"),
        ("", {}, 400, "UnknownOperationException"),
    ],
)
def test_requests_that_are_not_read_any_further(
    sidecar: Sidecar, operation: str, body: Any, status: int, name: str
) -> None:
    fields = {"X-Amz-Target": f"{TARGET}.{operation}"}
    answer = request(sidecar.api, "POST", "/", body, fields)
    assert answer.status == status
    assert answer.values("Content-Type") == ["application/x-amz-json-1.1"]
    assert answer.values("x-amzn-ErrorType") == [name]
    assert answer.values("x-amzn-RequestId")
    members = json.loads(answer.body)
    assert members["__type"] == name
    assert members["Message"] == members["message"] != ""


@pytest.mark.parametrize("target", ["AWSKendraFrontend.Query", "Query", "", f"{TARGET}Query"])
def test_a_target_of_no_service_is_refused_as_the_api_does(sidecar: Sidecar, target: str) -> None:
    answer = request(sidecar.api, "POST", "/", {"IndexId": REPORTS}, {"X-Amz-Target": target})
    assert answer.status == 400
    assert answer.values("Content-Type") == ["application/x-amz-json-1.1"]
    assert answer.values("x-amzn-ErrorType") == ["UnknownOperationException"]
    assert json.loads(answer.body)["__type"] == "UnknownOperationException"
    # Requests without a target are not this API's.
    assert request(sidecar.api, "POST", "/", {}).status == 404


def test_calls_are_counted(sidecar: Sidecar) -> None:
    def calls(outcome: str) -> float:
        return sidecar.metric("rescore_kendra_calls_total", operation="Query", outcome=outcome)

    before = calls("ok"), calls("InvalidSignatureException")
    query(sidecar, "PLAIN")
    refusal(sidecar, "PLAIN", "wrong")
    assert (calls("ok"), calls("InvalidSignatureException")) == (before[0] + 1, before[1] + 1)
    assert sidecar.metric("rescore_kendra_orders_total", operation="Query", reason="ok") > 0
