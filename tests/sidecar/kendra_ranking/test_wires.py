"""The three wires: every operation on each; how clients vary paths, bodies and content types."""

import json
from typing import Any

import cbor2
import pytest

from tests.sidecar.kendra_ranking.serving import PLAN_ID, TARGET, Answer, Served, document

ARN = f"arn:aws:kendra-ranking:us-east-1:000000000000:rescore-execution-plan/{PLAN_ID}"
DOCUMENTS = [
    {
        "Id": "d1@1",
        "GroupId": "d1",
        "TokenizedTitle": None,
        "TokenizedBody": ["forgot", "password"],
        "OriginalScore": 3.2,
    },
    {
        "Id": "d1@2",
        "GroupId": "d1",
        "TokenizedTitle": None,
        "TokenizedBody": ["contact"],
        "OriginalScore": 3.2,
    },
]
RESCORE = {"SearchQuery": "reset password", "Documents": DOCUMENTS}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
RESCORE_PATH = f"/rescore-execution-plans/{PLAN_ID}/rescore"

# Each operation, and the members of its answer.
OPERATIONS = {
    "CreateRescoreExecutionPlan": ({"Name": "n"}, {"Id", "Arn"}),
    "DescribeRescoreExecutionPlan": (
        {"Id": PLAN_ID},
        {"Id", "Arn", "Name", "Description", "CapacityUnits", "CreatedAt", "UpdatedAt", "Status"},
    ),
    "ListRescoreExecutionPlans": ({}, {"SummaryItems"}),
    "UpdateRescoreExecutionPlan": ({"Id": PLAN_ID, "Description": "d"}, set()),
    "Rescore": ({"RescoreExecutionPlanId": PLAN_ID, **RESCORE}, {"RescoreId", "ResultItems"}),
    "TagResource": ({"ResourceARN": ARN, "Tags": [{"Key": "k", "Value": "v"}]}, set()),
    "UntagResource": ({"ResourceARN": ARN, "TagKeys": ["k"]}, set()),
    "ListTagsForResource": ({"ResourceARN": ARN}, {"Tags"}),
}


def call_cbor(door: Served, operation: str, body: bytes, base: str = "") -> Answer:
    fields = {
        "Content-Type": "application/cbor",
        "Accept": "application/cbor",
        "smithy-protocol": "rpc-v2-cbor",
    }
    answer = door.send("POST", f"{base}/service/{TARGET}/operation/{operation}", body, fields)
    assert answer.fields["content-type"] == "application/cbor"
    assert answer.fields["smithy-protocol"] == "rpc-v2-cbor"
    return answer


def test_every_operation_is_in_the_table() -> None:
    assert len(OPERATIONS) + 1 == 9  # and Delete, below


@pytest.mark.parametrize("operation", OPERATIONS)
def test_json(door: Served, operation: str) -> None:
    members, answered = OPERATIONS[operation]
    answer = door.call(operation, members)
    assert answer.status == 200
    assert set(answer.json) == answered
    assert answer.fields["content-type"] == "application/x-amz-json-1.0"
    assert len(answer.fields["x-amzn-requestid"]) == 36


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cbor(door: Served, operation: str) -> None:
    members, answered = OPERATIONS[operation]
    answer = call_cbor(door, operation, cbor2.dumps(members))
    assert answer.status == 200
    assert set(cbor2.loads(answer.body)) == answered


def test_delete_on_each_wire(door: Served) -> None:
    def create() -> str:
        return str(door.call("CreateRescoreExecutionPlan", {"Name": "n"}).json["Id"])

    name = "DeleteRescoreExecutionPlan"
    assert door.call(name, {"Id": create()}).body == b"{}"
    assert call_cbor(door, name, cbor2.dumps({"Id": create()})).body == b"\xa0"
    assert door.send("DELETE", f"/rescore-execution-plans/{create()}").body == b"{}"


def test_rest_operations(door: Served) -> None:
    created = door.send("POST", "/rescore-execution-plans", b'{"Name": "rest"}')
    assert (created.status, created.fields["content-type"]) == (200, "application/json")
    path = f"/rescore-execution-plans/{created.json['Id']}"
    assert door.send("PUT", path, b'{"Description": "new"}').status == 200
    described = door.send("GET", path).json
    assert (described["Name"], described["Description"]) == ("rest", "new")
    assert door.send("DELETE", path).status == 200
    assert door.send("GET", path).error == (404, "ResourceNotFoundException")


def test_rest_pages(door: Served) -> None:
    first = door.send("GET", "/rescore-execution-plans?maxResults=1").json
    assert len(first["SummaryItems"]) == 1
    token = door.call("ListRescoreExecutionPlans", {"MaxResults": 1}).json["NextToken"]
    second = door.send("GET", f"/rescore-execution-plans?maxResults=1&nextToken={token}").json
    assert second["SummaryItems"] != first["SummaryItems"]
    for query in ("maxResults=x", "maxResults=", "maxResults=51", "nextToken=", "nextToken=x"):
        answer = door.send("GET", f"/rescore-execution-plans?{query}")
        assert answer.error == (400, "ValidationException")


def test_the_path_says_the_plan_whatever_the_body_says(door: Served) -> None:
    body = json.dumps({**RESCORE, "RescoreExecutionPlanId": "0" * 36}).encode()
    assert door.send("POST", RESCORE_PATH, body).status == 200


@pytest.mark.parametrize(
    "path",
    [
        RESCORE_PATH,
        RESCORE_PATH + "/",
        "/" + RESCORE_PATH,
        "/" + RESCORE_PATH + "//",
        "/base" + RESCORE_PATH,
    ],
    ids=["plain", "slash at the end", "two at the start", "slashes everywhere", "base path"],
)
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_the_plugins_way_of_calling(door: Served, path: str, chunked: bool) -> None:
    answer = door.send("POST", path, json.dumps(RESCORE).encode(), FORM, chunked)
    assert answer.status == 200
    assert answer.fields["content-type"] == "application/json"
    assert [item["DocumentId"] for item in answer.json["ResultItems"]] == ["d1"]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/xml", "x"])
def test_the_content_type_does_not_matter(door: Served, content_type: str | None) -> None:
    fields = {} if content_type is None else {"Content-Type": content_type}
    assert door.send("POST", RESCORE_PATH, json.dumps(RESCORE).encode(), fields).status == 200


def test_the_plugins_special_scores(door: Served) -> None:
    documents = [
        '{"Id":"a","TokenizedTitle":null,"TokenizedBody":["x"],"OriginalScore":"NaN"}',
        '{"Id":"b","TokenizedTitle":null,"TokenizedBody":["x"],"OriginalScore":1.2345679E7}',
        '{"Id":"c","TokenizedTitle":null,"TokenizedBody":["x"],"OriginalScore":"Infinity"}',
    ]
    body = f'{{"SearchQuery":"q","Documents":[{",".join(documents)}]}}'.encode()
    items = door.send("POST", RESCORE_PATH + "/", body, FORM, chunked=True).json["ResultItems"]
    assert [item["DocumentId"] for item in items] == ["b", "a", "c"]


def test_an_endpoints_base_path_is_kept_by_sdks(door: Served) -> None:
    fields = {"X-Amz-Target": f"{TARGET}.ListRescoreExecutionPlans"}
    assert door.send("POST", "/aws/kendra", b"{}", fields).status == 200
    assert call_cbor(door, "ListRescoreExecutionPlans", b"\xa0", base="/base").status == 200


def test_no_body_is_no_members(door: Served) -> None:
    assert door.call("ListRescoreExecutionPlans", b"").status == 200
    assert call_cbor(door, "ListRescoreExecutionPlans", b"").status == 200


def test_times_are_numbers_in_json_and_tagged_in_cbor(door: Served) -> None:
    members = {"Id": PLAN_ID}
    created = door.call("DescribeRescoreExecutionPlan", members).json["CreatedAt"]
    assert isinstance(created, float)
    answer = call_cbor(door, "DescribeRescoreExecutionPlan", cbor2.dumps(members))
    assert cbor2.loads(answer.body)["CreatedAt"].timestamp() == pytest.approx(created, abs=0.001)
    assert b"\x69CreatedAt\xc1\xfb" in answer.body


def test_cbor_of_the_sdks_kind(door: Served) -> None:
    """Indefinite lengths, 32-bit and 16-bit floats, as the Go SDK and botocore send them."""
    entry = b"\xbf\x62Id\x61d\x6dOriginalScore\xfa\x40\x4c\xcc\xcd\xff"
    not_a_number = b"\xa2\x62Id\x61e\x6dOriginalScore\xf9\x7e\x00"
    body = (
        b"\xbf\x76RescoreExecutionPlanId\x78\x24"
        + PLAN_ID.encode()
        + b"\x6bSearchQuery\x7f\x61a\x61b\xff\x69Documents\x9f"
        + entry
        + not_a_number
        + b"\xff\xff"
    )
    items = cbor2.loads(call_cbor(door, "Rescore", body).body)["ResultItems"]
    assert [item["DocumentId"] for item in items] == ["d", "e"]


@pytest.mark.parametrize(
    "value", [cbor2.CBORTag(1, 5), cbor2.CBORTag(5, [2**62, 1]), b"bytes", cbor2.undefined, {1: 2}]
)
def test_cbor_values_that_json_has_not(door: Served, value: Any) -> None:
    body = {"Id": PLAN_ID, "Unknown": value, 7: "seven"}
    assert call_cbor(door, "DescribeRescoreExecutionPlan", cbor2.dumps(body)).status == 200
    wrong = cbor2.dumps({"Id": value})
    assert call_cbor(door, "DescribeRescoreExecutionPlan", wrong).status == 400


def test_the_same_answer_on_every_wire(door: Served) -> None:
    documents = [document(f"d{n}", f"word{n} reset password"[: n * 5 or 1]) for n in range(1, 6)]
    body = {"SearchQuery": "reset password", "Documents": documents}
    members = {"RescoreExecutionPlanId": PLAN_ID, **body}
    answers = [
        door.call("Rescore", members).json,
        cbor2.loads(call_cbor(door, "Rescore", cbor2.dumps(members)).body),
        door.send("POST", RESCORE_PATH, json.dumps(body).encode()).json,
    ]
    assert answers[0]["ResultItems"] == answers[1]["ResultItems"] == answers[2]["ResultItems"]
    assert len({answer["RescoreId"] for answer in answers}) == 3


def test_unknown_operations(door: Served) -> None:
    assert door.call("Query", {}).error == (400, "UnknownOperationException")
    answer = call_cbor(door, "Query", b"\xa0")
    assert (answer.status, cbor2.loads(answer.body)["__type"]) == (
        404,
        "UnknownOperationException",
    )
    plans = "/rescore-execution-plans"
    for method, path in [("PATCH", plans), ("GET", RESCORE_PATH), ("POST", plans + "/a/b/c")]:
        assert door.send(method, path).error == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", "/", {}),
        ("POST", "/", {"X-Amz-Target": "AWSKendraFrontendService.Query"}),
        ("POST", "/rescore-execution-plans", {"X-Amz-Target": "Other.Operation"}),
        ("POST", "/service/Other/operation/Rescore", {}),
        ("POST", "/my-rescore-execution-plans", {}),
    ],
)
def test_other_services_requests_are_left_to_them(
    door: Served, method: str, path: str, fields: dict[str, str]
) -> None:
    answer = door.send(method, path, b"{}", fields)
    assert (answer.status, answer.body[:15]) == (404, b"nothing is here")
